"""`meterproof demo`: measured watts, through real firmware and a real backend that are cut off and killed on the way, down to one reading
that a stranger can verify.

In: a CSV and a folder. Out: a table, a chart, an evidence file and its policy in that folder. What was taken is counted from the meters'
own notebooks, what was stored from the backend's files by `fsck`; nothing is counted from memory of this program.
"""

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from server.demo.backend import Node
from server.demo.fleet import ROOT, Meter, Site, build_fleet, build_images, start_inverter, write_config
from server.demo.inverter import ScaledClock
from server.demo.plan import Moment, build_plan
from server.demo.processes import Child, Children, free_port
from server.demo.profile import CSV_PATH, Profile, read_profile
from server.demo.results import Outcome, write_outcome
from server.demo.screen import MeterLine, Picture, Screen
from shared.errors import MeterproofError, Unavailable

RUN_S = 100
LEAD_MS = 1500  # the programs start before the record does, so that nothing of it is missed
BEFORE_S = 6 * 3600  # commissioning is dated into the hours before the record, and before the fastest replay's lead
COMMISSION_TIMEOUT_S = 60
DRAIN_TIMEOUT_S = 60
TICK_S = 0.25


@dataclass(frozen=True)
class Options:
    """Of the command line."""

    out: Path
    csv: Path
    run_s: int
    period_s: int


class Demo:
    """The run, top to bottom in `play`."""

    def __init__(self, options: Options, profile: Profile, children: Children, console: Console) -> None:
        self.options = options
        self.profile = profile
        self.children = children
        self.console = console
        self.node = Node(options.out / "node", children)
        self.inverter: Child | None = None
        self.inverter_port = free_port()
        self.meters: list[Meter] = []
        self.picture = Picture([])
        self.start_s = self.began_ms = 0
        self.happened: list[tuple[Moment, float, float]] = []

    def play(self, screen: Screen) -> Outcome:
        self.screen = screen
        self.prepare()
        self.commission()
        self.replay()
        self.drain()
        return self.conclude()

    # --- before

    def prepare(self) -> None:
        images = self.options.out / "firmware"
        self.firmware = build_images(images)
        self.node.init()
        site = Site(
            self.options.out / "meters", self.node.org, self.node.origin, self.node.node_key, self.node.broker_port, self.inverter_port,
            self.options.period_s,
        )  # fmt: skip
        self.site = site
        self.meters = build_fleet(self.children, site, images)
        self.picture.meters = [MeterLine(meter.name, meter.interpreter) for meter in self.meters]
        self.screen.say(f"firmware built: MicroPython image {self.firmware['unix'][:16]}…, gateway image {self.firmware['cpython'][:16]}…")

    def commission(self) -> None:
        """What an installer does, with the same commands."""
        now_ms = wall_ms()
        clock = ScaledClock(now_ms // 1000 - self.profile.duration_s - BEFORE_S, now_ms, 1000)
        self.node.start()
        self.start_inverter(clock, now_ms // 1000)
        self.screen.say("backend, broker and inverter run; the meters make their keys and introduce themselves")
        for meter in self.meters:
            write_config(meter, self.site, clock)
            meter.child.start()
        serials = {meter.serial for meter in self.meters}
        self.wait_for(lambda: self.node.pending().keys() >= serials, COMMISSION_TIMEOUT_S, "the meters' evidence")
        for target, digest in self.firmware.items():
            self.node.cli("firmware", "add", digest, "--name", f"meterproof-edge {target}", "--version", "0.1.0")
        site = self.node.create_point("SERF East, grid connection")
        for meter in self.meters:
            self.node.enroll(meter, site, clock.epoch_s)
        self.screen.say("four devices enrolled: key, firmware and metering point of each are on the ledger", "green")

    def start_inverter(self, clock: ScaledClock, start_s: int) -> None:
        if self.inverter is not None:
            self.inverter.kill()
        self.inverter = start_inverter(self.children, self.inverter_port, self.options.csv, clock, start_s)

    # --- the two days

    def replay(self) -> None:
        """The whole record in `run_s` seconds, ending now, with the outages of the plan."""
        for meter in self.meters:
            meter.child.stop()
        self.began_ms = wall_ms() + LEAD_MS
        self.start_s = self.began_ms // 1000 + self.options.run_s - self.profile.duration_s
        scale_milli = self.profile.duration_s * 1000 // self.options.run_s
        clock = ScaledClock(self.start_s, self.began_ms, scale_milli)
        self.start_inverter(clock, self.start_s)
        for meter in self.meters:
            write_config(meter, self.site, clock)
            meter.child.start()
        hours = self.profile.duration_s / 3600
        self.screen.say(f"{hours:.1f} measured hours begin, {scale_milli // 1000} times as fast as they were")
        expected_dead: set[str] = set()
        for moment in build_plan(self.options.run_s):
            self.until(moment.at_s, expected_dead)
            self.screen.say(moment.say, "yellow" if moment.down else "green")
            self.carry_out(moment, expected_dead)
        self.until(self.options.run_s, expected_dead)

    def carry_out(self, moment: Moment, expected_dead: set[str]) -> None:
        child = {"broker": self.node.broker, "backend": self.node.server, "meter": self.meters[1].child}[moment.kind]
        now_s = self.elapsed_s()
        if moment.down:
            expected_dead.add(child.name)
            self.happened.append((moment, now_s, now_s))
            child.kill()
        else:
            self.happened[-1] = (self.happened[-1][0], self.happened[-1][1], now_s)
            child.start()
            expected_dead.discard(child.name)

    def elapsed_s(self) -> float:
        return (wall_ms() - self.began_ms) / 1000

    def until(self, at_s: float, expected_dead: Set[str]) -> None:
        while self.elapsed_s() < at_s:
            self.check_children(expected_dead)
            self.refresh(expected_dead)
            time.sleep(TICK_S)

    def check_children(self, expected_dead: Set[str]) -> None:
        """A program that ended by itself is a failure of the demonstration."""
        for child in self.children.dead():
            replaced = child.name == "inverter" and child is not self.inverter
            if child.name not in expected_dead and not replaced:
                raise Unavailable(410, f"{child.name} ended by itself:\n{child.log_tail()}")

    def refresh(self, expected_dead: Set[str]) -> None:
        for meter, line in zip(self.meters, self.picture.meters, strict=True):
            meter.notebook.update()
            book = meter.notebook
            line.taken, line.sealed, line.published = len(book.taken), len(book.sealed), len(book.first_published_ms)
            line.boots, line.alive = book.boots, meter.child.name not in expected_dead
        self.picture.backend = self.node.summary() if "backend" not in expected_dead else "backend killed"
        self.picture.done = min(max(0.0, self.elapsed_s() / self.options.run_s), 1.0)
        hours = self.picture.done * self.profile.duration_s / 3600
        self.picture.clock = f"hour {hours:4.1f} of {self.profile.duration_s / 3600:.1f}"
        self.screen.show()

    # --- after

    def drain(self) -> None:
        """No more readings: the meters sign what they still hold, send it and wait for the ack."""
        self.screen.say("the record ends now; the meters sign and send what they still hold")
        for meter in self.meters:
            meter.child.stop()
            meter.child.start("drain")
        for meter in self.meters:
            if not meter.child.wait(DRAIN_TIMEOUT_S):
                raise Unavailable(410, f"{meter.name} still holds readings:\n{meter.child.log_tail()}")
            meter.notebook.update()
        sealed = sum(len(meter.notebook.sealed) for meter in self.meters)
        drained = {meter.name for meter in self.meters}
        self.wait_for(lambda: self.node.anchored_size() >= sealed, DRAIN_TIMEOUT_S, "the last batch", drained)
        self.screen.say("everything is acknowledged, anchored and voted on", "green")

    def conclude(self) -> Outcome:
        outages = [(moment, self.start_s + self.simulated(a), self.start_s + self.simulated(b)) for moment, a, b in self.happened]
        return write_outcome(self.options.out, self.node, self.meters, self.profile, self.start_s, outages)

    def simulated(self, elapsed_s: float) -> int:
        return int(elapsed_s * self.profile.duration_s / self.options.run_s)

    def wait_for(self, ready: Callable[[], bool], timeout_s: float, what: str, ended: Set[str] = frozenset()) -> None:
        deadline = time.monotonic() + timeout_s
        while not ready():
            if time.monotonic() > deadline:
                raise Unavailable(410, f"waited {timeout_s:.0f} s in vain for {what}; the logs are in {self.options.out / 'logs'}")
            self.check_children(ended)
            time.sleep(TICK_S)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def fresh_folder(path: Path) -> None:
    """Empties the folder of an earlier demonstration; refuses to empty any other."""
    if path.exists() and any(path.iterdir()):
        if not (path / "logs").is_dir():
            raise Unavailable(400, f"{path} is not empty and not of an earlier demonstration")
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)


def parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="meterproof demo", description="The whole line in about three minutes, with outages on the way.")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "demo", help="folder for everything it makes (default build/demo)")
    parser.add_argument("--csv", type=Path, default=CSV_PATH, help="power in watts in equal steps; default: two measured days")
    parser.add_argument("--seconds", type=int, default=RUN_S, help=f"how long the replay takes (default {RUN_S})")
    parser.add_argument("--period", type=int, default=60, help="seconds of the record between two readings (default 60)")
    options = parser.parse_args(arguments)
    if options.seconds < 20 or not 1 <= options.period <= 3600:
        parser.error("--seconds is at least 20, --period from 1 to 3600")
    return Options(options.out.resolve(), options.csv.resolve(), options.seconds, options.period)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    console = Console()
    try:
        profile = read_profile(options.csv)
        fresh_folder(options.out)
        with Children(options.out / "logs") as children:
            demo = Demo(options, profile, children, console)
            with Screen(console, demo.picture) as screen:
                outcome = demo.play(screen)
        return outcome.show(console)
    except MeterproofError as error:
        console.print(f"meterproof demo: {error}", style="red", highlight=False, markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("stopped")
        return 130


if __name__ == "__main__":
    sys.exit(main())
