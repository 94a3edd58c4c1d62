"""A backend, a real broker and a fleet, each its own process, as bench and load tests put them under load.

In: a folder, a kind of broker, how many devices. Out: running processes; what the fleet reports, memory, disk, the numbers of the node.
Never leaves a process behind.
"""

import asyncio
import json
import os
import secrets
import sqlite3
import sys
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from server.bench.brokers import broker_command
from server.bench.fleet import Plan, Report, device_of
from server.bench.node import open_node
from server.cli.client import Client
from server.demo.processes import Child, Children, free_port, wait_for_port
from shared import ids
from shared.errors import MeterproofError, Unavailable

READY_TIMEOUT_S = 60.0
POLL_S = 0.25
CLI = [sys.executable, "-m", "server.cli"]


class Rig:
    """`with Rig(…) as rig:` broker and backend run; `seeds` are the enrolled devices, of which each plan takes some that are fresh."""

    def __init__(self, folder: Path, kind: str, devices: int) -> None:
        self.home = folder / "home"
        self.folder = folder
        self.http_port, self.broker_port = free_port(), free_port()
        self.client = Client(f"http://127.0.0.1:{self.http_port}", timeout_s=10.0)
        self.children = Children(folder / "logs")
        self.broker = self.children.add("broker", broker_command(kind, folder, self.broker_port))
        self.backend = self.children.add("backend", [*CLI, "serve", "--home", str(self.home)])
        self.seeds = [secrets.token_hex(32) for _ in range(devices)]
        self._fresh = list(self.seeds)
        self.org = ""

    def __enter__(self) -> Self:
        self.org = asyncio.run(self._make())
        self.broker.start()
        wait_for_port(self.broker_port, self.broker)
        self.start_backend()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.children.__exit__(kind, error, trace)

    async def _make(self) -> str:
        options = ("--http-port", str(self.http_port), "--broker-url", f"mqtt://127.0.0.1:{self.broker_port}")
        async with open_node(self.home, *options) as node:
            await node.enroll([device_of(seed) for seed in self.seeds])
            return str(ids.encode_id(ids.ORG, node.config.org))

    def start_backend(self) -> float:
        """Seconds until it takes messages. Raises Unavailable 410."""
        start_s = time.monotonic()
        self.backend.start()
        wait_for_port(self.http_port, self.backend)
        while not self.status()["broker_connected"]:
            if time.monotonic() - start_s > READY_TIMEOUT_S:
                raise Unavailable(410, f"the backend does not find its broker:\n{self.backend.log_tail()}")
            time.sleep(0.02)
        return time.monotonic() - start_s

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get_json("/v1/status")
        return answer

    # --- load

    def plan(self, devices: int, bundles: int, readings: int, **changes: Any) -> Plan:
        """For devices that have sent nothing yet."""
        taken, self._fresh = self._fresh[:devices], self._fresh[devices:]
        if len(taken) < devices:
            raise ValueError("the rig has not so many fresh devices")
        return Plan(self.broker_port, self.org, tuple(taken), bundles, readings, **changes)

    def send(self, plan: Plan, watch: Callable[[], None] = lambda: None) -> Report:
        """Runs a fleet to its end; `watch` is called now and then meanwhile. Raises Unavailable 410 when the fleet breaks."""
        path = self.folder / f"plan-{secrets.token_hex(4)}.json"
        path.write_text(json.dumps(asdict(plan)), encoding="utf-8")
        fleet = self.children.add(path.stem, [sys.executable, "-m", "server.bench.fleet", str(path)])
        fleet.start()
        while fleet.alive:
            watch()
            fleet.wait(POLL_S)
        try:
            return Report(**json.loads(path.with_suffix(".report").read_text(encoding="utf-8")))
        except OSError:
            raise Unavailable(410, f"the fleet broke:\n{fleet.log_tail()}") from None

    def stored(self) -> int:
        """Statements under the trusted head."""
        with sqlite3.connect(f"file:{self.home / 'evidence.sqlite'}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT size FROM head").fetchone()[0])

    def quarantined(self) -> int:
        """Samples kept of what was not let in."""
        with sqlite3.connect(f"file:{self.home / 'evidence.sqlite'}?mode=ro", uri=True) as database:
            return int(database.execute("SELECT count(*) FROM quarantine").fetchone()[0])

    def delays_ms(self, report: Report, readings: int) -> list[int]:
        """From each bundle's first publication to the signed checkpoint that covers it."""
        with sqlite3.connect(f"file:{self.home / 'evidence.sqlite'}?mode=ro", uri=True) as database:
            rows = database.execute("SELECT device, first_seq, log_index FROM statements WHERE kind = 'readings'").fetchall()
            heads = database.execute("SELECT size, signed_ms FROM checkpoints ORDER BY size").fetchall()
        sizes = [size for size, _ in heads]
        places = {(device.hex(), first_seq // readings): index for device, first_seq, index in rows}
        first = {(device, i): ms for device, all_ms in report.first_ms.items() for i, ms in enumerate(all_ms)}
        return [heads[bisect_right(sizes, places[key])][1] - ms for key, ms in first.items() if key in places]

    def settle(self, seconds: float = READY_TIMEOUT_S) -> None:
        """Returns when all that is logged is anchored. Raises Unavailable 410."""
        end_s = time.monotonic() + seconds
        while (status := self.status())["anchored_size"] < status["evidence_log_size"]:
            if time.monotonic() > end_s:
                raise Unavailable(410, "anchoring does not keep up")
            time.sleep(0.1)

    # --- what it takes

    def rss_mb(self, child: Child | None = None) -> float:
        """Resident memory of the backend, or of another of the rig's processes."""
        return rss_mb((child or self.backend).pid)

    def cpu_s(self) -> float:
        """CPU time of the backend, all threads, since its start."""
        fields = Path(f"/proc/{self.backend.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def disk_mb(self) -> float:
        """Everything in the home, folders too, as the disk counts it; what goes meanwhile does not count."""
        blocks = 0
        for folder, _, names in os.walk(self.home):
            for name in (".", *names):
                with suppress(FileNotFoundError):
                    blocks += Path(folder, name).stat().st_blocks
        return blocks * 512 / 1e6


def rss_mb(pid: int) -> float:
    """Megabytes of 10⁶ bytes. Raises Unavailable 460 where there is no /proc."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    raise Unavailable(460, "this system does not tell how much memory a process has")


def percentile(values: list[int], percent: int) -> float:
    """The value that `percent` of them do not exceed."""
    if not values:
        raise Unavailable(410, "nothing was measured")
    return float(sorted(values)[max(0, -(-len(values) * percent // 100) - 1)])


def is_up(rig: Rig) -> bool:
    """Whether the backend answers."""
    try:
        rig.status()
    except MeterproofError:
        return False
    return True
