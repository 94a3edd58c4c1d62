"""Trouble that comes by itself, kind by kind. In: a simulation and its plan. Out: tasks that make each kind from time to time."""

import asyncio
import random
from typing import TYPE_CHECKING

from shared.state import LIVE, REVOKED, SUSPENDED
from tests.simulation.device import SimDevice
from tests.simulation.people import forge_ack, stranger_shouts
from tests.simulation.plan import EVENTS
from tests.simulation.seams import EPOCH_S

if TYPE_CHECKING:
    from tests.simulation.run import Simulation

DAY_MS = 86_400_000


class Events:
    """`rng` is also what the script draws from."""

    def __init__(self, simulation: "Simulation", rng: random.Random) -> None:
        self._sim = simulation
        self.rng = rng

    def start(self) -> list[asyncio.Task]:
        """One task for each kind that the plan wants."""
        sim = self._sim
        wanted = [kind for kind in EVENTS if kind in sim.plan.rates]
        if {"equivocation", "wrong-chain", "rows-spoiled", "gap-false"} & set(wanted):
            sim.person.liars.append(sim.liar)
            sim.start(self._liar())
        return [sim.start(self._again_and_again(kind)) for kind in wanted]

    async def _again_and_again(self, kind: str) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / (3600 * self._sim.plan.rates[kind])))
            await getattr(self, kind.replace("-", "_"))()

    async def _liar(self) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / 900))
            if self.rng.random() < 0.5:
                self._sim.liar.tell_truth()
            else:
                self._sim.liar.send_again()

    def _fault(self, kind: str, text: str = "") -> None:
        self._sim.trace.fault(kind, text)

    def _device(self) -> SimDevice:
        return self.rng.choice(self._sim.devices)

    def _hours(self, most: float = 4.0) -> float:
        return 3600 * most * self.rng.random() ** 2

    # --- broker and network

    async def broker_restart(self) -> None:
        down_s = self._hours(1.0)
        self._fault("broker-restart", f"{down_s:.0f} s")
        self._sim.broker.stop()
        await asyncio.sleep(down_s)
        self._sim.broker.start()

    async def partition(self) -> None:
        device = self._device()
        away_s = self._hours(12.0)
        self._fault("partition", f"{device.name} {away_s:.0f} s")
        self._sim.broker.cut_off.add(device.name)
        self._sim.broker.hang_up(device.name)
        await asyncio.sleep(away_s)
        self._sim.broker.cut_off.discard(device.name)

    async def half_open(self) -> None:
        whose = self._sim.broker.make_dumb()
        if whose is not None:
            self._fault("half-open", whose)

    async def ack_forged(self) -> None:
        device = self._device()
        if forge_ack(self.rng, self._sim.broker, device):
            self._fault("ack-forged", device.name)

    # --- backend

    async def disk_full(self) -> None:
        self._fault("disk-full")
        self._sim.store.full = True
        await asyncio.sleep(self._hours(2.0))
        self._sim.store.full = False
        self._sim.trace.note("disk has room")

    async def backend_stop(self) -> None:
        self._fault("backend-stop")
        if self.rng.random() < 0.5:
            self._sim.node.ask_stop()
        else:
            self._sim.node.kill()

    async def clock_backend(self) -> None:
        offset_ms = self.rng.choice((-DAY_MS, -3_600_000, 3_600_000, DAY_MS, -30 * DAY_MS))
        self._fault("clock-backend", f"{offset_ms} ms")
        self._sim.node.host.offset_ms = offset_ms
        await asyncio.sleep(self._hours())
        self._sim.node.host.offset_ms = 0

    # --- devices

    async def power_cut(self) -> None:
        device = self._device()
        if device.up:
            count = self.rng.choice((self.rng.randrange(80), self.rng.randrange(6000)))
            self._fault("power-cut", f"{device.name} after {count} bytes")
            device.cut_after(count)

    async def kill(self) -> None:
        device = self._device()
        if device.up:
            self._fault("kill", device.name)
            device.kill()

    async def flash_flip(self) -> None:
        device = self._device()
        device.kill()
        if not device.bricked:
            self._fault("flash-flip", device.name)
            device.flip_bit()

    async def _step_clock(self, kind: str, offset_ms: int) -> None:
        found = [device for device in self._sim.devices if device.plan.clock == "system"]
        if not found:
            return
        device = self.rng.choice(found)
        self._fault(kind, device.name)
        device.host.offset_ms = offset_ms
        await asyncio.sleep(self._hours(6.0))
        device.host.offset_ms = 0

    def _to(self, year_s: int) -> int:
        return 1000 * (year_s - EPOCH_S - int(self._sim.loop.time()))

    async def clock_1970(self) -> None:
        await self._step_clock("clock-1970", self._to(30))

    async def clock_2000(self) -> None:
        await self._step_clock("clock-2000", self._to(946_684_800))

    async def clock_tomorrow(self) -> None:
        await self._step_clock("clock-tomorrow", DAY_MS)

    async def clock_back(self) -> None:
        await self._step_clock("clock-back", -self.rng.randrange(5_000, 6 * 3_600_000))

    async def no_time(self) -> None:
        device = self._device()
        self._fault("no-time", device.name)
        self._sim.no_time.add(device.name)
        if self.rng.random() < 0.5:
            device.kill()  # it starts without knowing the time
        await asyncio.sleep(self._hours(30.0))
        self._sim.no_time.discard(device.name)

    # --- meters

    async def meter_silent(self) -> None:
        device = self._device()
        self._fault("meter-silent", device.name)
        device.meter.silent = True
        await asyncio.sleep(self._hours(2.0))
        device.meter.silent = False

    async def meter_rollover(self) -> None:
        device = self._device()
        self._fault("meter-rollover", device.name)
        device.meter.total = 0xFFFFFFFF - self.rng.randrange(100)

    async def meter_replaced(self) -> None:
        device = self._device()
        self._fault("meter-replaced", device.name)
        device.meter.total = self.rng.randrange(1000)
        device.meter.replace(f"{device.name}-{self.rng.randrange(1000)}")
        device.meter.silent = True  # while it is changed
        await asyncio.sleep(60.0 + self._hours(0.5))
        device.meter.silent = False

    # --- people and liars

    async def suspended(self) -> None:
        device = self._device()
        if device.id and self._sim.person.wanted.get(device.id, LIVE) == LIVE:
            self._fault("suspended", device.name)
            self._sim.person.wanted[device.id] = SUSPENDED
            await asyncio.sleep(self._hours(8.0))
            if not device.revoked:
                self._sim.person.wanted[device.id] = LIVE

    async def revoked(self) -> None:
        device = self._device()
        if device.id and not device.revoked and sum(one.revoked for one in self._sim.devices) < len(self._sim.devices) - 1:
            self._fault("revoked", device.name)
            device.revoked = True
            self._sim.person.wanted[device.id] = REVOKED

    async def equivocation(self) -> None:
        self._fault("equivocation")
        self._sim.liar.equivocation()

    async def wrong_chain(self) -> None:
        self._fault("wrong-chain")
        self._sim.liar.wrong_chain()

    async def rows_spoiled(self) -> None:
        self._fault("rows-spoiled")
        self._sim.liar.rows_spoiled()

    async def gap_false(self) -> None:
        self._fault("gap-false")
        self._sim.liar.gap_false()

    async def statement_forged(self) -> None:
        device = self._device()
        self._fault("statement-forged", device.name)
        self._sim.liar.forge(device)

    async def stranger(self) -> None:
        self._fault("stranger")
        stranger_shouts(self.rng, self._sim.broker)
