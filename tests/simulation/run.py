"""Runs one seed. In: a number. Out: a Result: what was done, what was violated, one hash of the whole trace.

A run has three acts: trouble for the hours the plan says; calm, in which everything must drain; the last accounts.
"""

import asyncio
import logging
import random
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.checks import Checks
from tests.simulation.device import SimDevice
from tests.simulation.ending import Ending
from tests.simulation.events import Events
from tests.simulation.faults import Trace
from tests.simulation.loop import StandsStill, VirtualLoop
from tests.simulation.meter import Bus
from tests.simulation.network import Broker, client_of
from tests.simulation.node import CHAIN, FIRMWARE, ORG, ORIGIN, NoApi, Node
from tests.simulation.people import Liar, Person
from tests.simulation.plan import Plan, draw_plan
from tests.simulation.seams import EPOCH_S, HOST, world
from tests.simulation.store import Store

ROUND_S = 60.0
SLACK_S = 200.0  # a device may be this much late with a reading beyond three periods


@dataclass
class Result:
    """`violations` is empty for a good seed."""

    seed: int
    hash: str
    steps: int
    hours: float
    violations: list[str]
    faults: Counter[str]
    tail: list[str]
    numbers: dict[str, int] = field(default_factory=dict)


class Simulation:
    """All parts of one run; a test may change them before `run`."""

    def __init__(self, seed: int, folder: Path, hours: float | None = None, echo: bool = False, plan: Plan | None = None) -> None:
        self.seed = seed
        rng = random.Random(seed)

        def derive() -> random.Random:
            return random.Random(rng.getrandbits(64))

        self.plan = plan or draw_plan(derive(), hours)
        self.trace = Trace(echo)
        self.loop = VirtualLoop(derive())
        self.trace.now_s = self.loop.time
        self.entropy = derive()
        self.violations: list[str] = []
        self.stop = asyncio.Event()
        self.store = Store(folder, derive(), self.trace, self.plan.store_kinds, self.plan.store_gap)
        self.node = Node(self.store, derive(), self.trace)
        self.broker = Broker(self.plan, derive(), self.trace)
        self.checks = Checks(self.trace, ORIGIN, self.node.keys["node"], CHAIN, self.fail)
        self.devices = [
            SimDevice(device, folder / device.name, derive(), self.trace, ORG, ORIGIN, self.node.keys["node"].cose_key, FIRMWARE)
            for device in self.plan.devices
        ]
        self.person = Person(self.node, self.checks, self.devices, self.trace)
        self.liar = Liar(f"liar {seed}", derive(), self.broker)
        self.no_time: set[str] = set()
        self.events = Events(self, derive())
        self._wire()

    def _wire(self) -> None:
        self.trace.on_circles = self.fail
        self.store.on_commit = self._on_commit
        self.broker.on_answer = self.checks.on_answer
        self.node.on_violation = self.fail
        self.node.on_home = lambda: self.checks.open_home(self.store.home)
        for device in self.devices:
            device.on_violation = self.fail
            device.on_freed = self.checks.on_freed

    def _on_commit(self, file: str) -> None:
        for device in self.devices:
            if device.id:
                self.checks.devices[device.id] = device
        self.checks.on_commit(file)

    def fail(self, text: str) -> None:
        """A violation: the run ends here."""
        if not self.violations:
            self.trace.note("VIOLATION", text)
        self.violations.append(text)
        self.stop.set()

    # --- running

    def run(self) -> Result:
        self.node.install()
        self.checks.home = self.store.home
        logging.disable(logging.CRITICAL)
        try:
            with world(self.loop, self.entropy, self.store, self._network()):
                asyncio.set_event_loop(self.loop)
                try:
                    self.loop.run_until_complete(self._guarded())
                except StandsStill as error:
                    self.fail(str(error))
                finally:
                    self._clear()
        finally:
            logging.disable(logging.NOTSET)
            asyncio.set_event_loop(None)
        return self._result()

    def _network(self) -> dict[str, Any]:
        async def open_stream(host: str, port: int, timeout_s: float) -> tuple:
            return await self.broker.open_stream(HOST.get().name, timeout_s)

        async def ask_time(host: str, port: int) -> int:
            await asyncio.sleep(0.05)
            if HOST.get().name in self.no_time:
                raise OSError("the time server does not answer")
            return EPOCH_S * 1000 + round(self.loop.time() * 1000)

        return {
            "aiomqtt.Client": client_of(self.broker),
            "edge.mqtt_client.open_stream": open_stream,
            "edge.mqtt_client.PING_S": 240,
            "edge.ntp.ask": ask_time,
            "edge.meters.modbus_gateway.ModbusGateway": Bus,
            "server.main.ApiServer": NoApi,
            "server.main.build_app": lambda services: None,
            "server.health.watch.INTERVAL_S": 300.0,  # looking at itself every five seconds is most of a quiet day's work
        }

    async def _guarded(self) -> None:
        script = asyncio.ensure_future(self._script())
        stopped = asyncio.ensure_future(self.stop.wait())
        done, _ = await asyncio.wait([script, stopped], return_when=asyncio.FIRST_COMPLETED)
        error = script.exception() if script in done else None
        if error is not None:
            self.fail("".join(traceback.format_exception(error)))

    def start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task:
        """A task of the simulation itself: one that fails must not fail silently."""

        def look(task: asyncio.Task) -> None:
            if not task.cancelled() and task.exception() is not None:
                self.fail("".join(traceback.format_exception(task.exception())))

        task = self.loop.create_task(work)
        task.add_done_callback(look)
        return task

    async def _script(self) -> None:
        node = self.start(self.node.run())
        helpers = [self.start(work) for work in (self.person.run(), self._watch())]
        for device in self.devices:
            self.loop.call_later(self.events.rng.uniform(0, 60), device.boot)
        trouble = self.events.start()
        await asyncio.sleep(self.plan.hours * 3600)
        for task in trouble:
            task.cancel()
        ending = Ending(self)
        await ending.calm_down()
        await ending.drain()
        if not self.violations:
            ending.last_accounts()
        for task in helpers:
            task.cancel()
        node.cancel()
        await asyncio.sleep(120)  # what the firmware and the backend still do ends by itself
        if not self.violations:
            await self.node.check_home()

    async def _watch(self) -> None:
        """Every device that has power takes readings, whatever its clock says."""
        while True:
            await asyncio.sleep(ROUND_S)
            for device in self.devices:
                late_s = self.loop.time() - device.last_reading_s
                if device.up and device.device is not None and device.device.sampler.table and late_s > 3 * device.plan.period_s + SLACK_S:
                    self.fail(f"{device.name} has power and took no reading for {late_s:.0f} s")

    def _clear(self) -> None:
        """Ends every task, so that none is left to the interpreter."""
        for _ in range(20):
            tasks = [task for task in asyncio.all_tasks(self.loop) if not task.done()]
            if not tasks:
                break
            self.store.dead = True
            for task in sorted(tasks, key=hash):
                task.cancel()
            try:
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=30))
            except StandsStill:
                break
        self.store.close()
        self.checks.close()
        self.loop.close()

    def _result(self) -> Result:
        numbers = {
            "readings": sum(len(device.taken) for device in self.devices),
            "statements": len(self.checks.entries),
            "blocks": self.checks.height,
            "acks": self.checks.acked,
            "checks": self.checks.checks,
            "writes": self.store.writes,
        }
        hours = self.loop.time() / 3600
        return Result(
            self.seed, self.trace.hash, self.trace.steps, hours, self.violations, self.trace.counts, list(self.trace.tail), numbers
        )


def run_seed(seed: int, hours: float | None = None, echo: bool = False, plan: Plan | None = None) -> Result:
    """One seed from beginning to end, in a folder that is gone afterwards. `hours` of trouble, if not as many as the seed wants; or all
    of another plan."""
    base = "/dev/shm" if Path("/dev/shm").is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="meterproof-sim-", dir=base))
    try:
        return Simulation(seed, folder, hours, echo, plan).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
