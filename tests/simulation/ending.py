"""How a run ends: calm, in which everything must drain, and last accounts. In: a simulation after its hours of trouble. Out: violations.
Liveness is judged here: what was taken before the calm must reach the log, and what is in the log the ledger, in time."""

import asyncio
from typing import TYPE_CHECKING

from shared.state import LIVE
from tests.simulation.device import SimDevice
from tests.simulation.node import ORIGIN

if TYPE_CHECKING:
    from tests.simulation.run import Simulation

CALM_S = 12 * 3600.0
ROUND_S = 60.0


class Ending:
    """The last two acts of one run."""

    def __init__(self, simulation: "Simulation") -> None:
        self._sim = simulation

    async def calm_down(self) -> None:
        self._sim.trace.note("calm")
        self._sim.store.calm, self._sim.store.full = True, False
        self._sim.broker.calm, self._sim.broker.cut_off = True, set()
        self._sim.broker.start()
        self._sim.no_time.clear()
        self._sim.node.host.offset_ms = 0
        for device in self._sim.devices:
            device.host.offset_ms = 0
            device.meter.silent = False
            device.flash.cut_after_bytes = None if device.up else 0
            if not device.revoked:
                self._sim.person.wanted[device.id] = LIVE
            device.boot()

    async def drain(self) -> None:
        """What was taken before the calm must reach the log in time, and the ledger what is in the log."""
        await asyncio.sleep(ROUND_S)
        ends = {device.name: max(device.taken, default=-1) + 1 for device in self._sim.devices}
        deadline_s = self._sim.loop.time() + CALM_S
        while not self._is_drained(ends):
            if self._sim.loop.time() > deadline_s:
                self._blame(ends)
                return
            await asyncio.sleep(ROUND_S)

    def _is_drained(self, ends: dict[str, int]) -> bool:
        return all(self._lag(device, ends[device.name]) is None for device in self._sim.devices) and self._ledger_lag() is None

    def _lag(self, device: SimDevice, end: int) -> str | None:
        """Why a device is not done; None when it is."""
        if device.bricked or device.revoked:
            return None
        if not device.up or device.device is None:
            return "it is not running"
        known = self._sim.checks.known.get(device.id)
        if end and (known is None or not known.covered.covers(0, end)):
            return f"the log covers {known.covered.spans if known else 'nothing'} of {end}"
        first = next(iter(device.device.journal.pending()), None)
        if first is not None and first.kind == "readings" and first.first_seq + first.count <= end:
            return f"it still holds {first.identity.hex()[:8]} from {first.first_seq} on"
        return None

    def _ledger_lag(self) -> str | None:
        backend = self._sim.node.backend
        if backend is None:
            return "the backend is not running"
        log = backend.ledger.log(ORIGIN)
        if log is None or log.size < len(self._sim.checks.entries) - 8:
            return "the ledger is behind the log"
        for number in range(log.batches):
            batch = backend.ledger.batch(ORIGIN, number)
            if batch is None or (not batch.votes and number < log.batches - 4):
                return f"nobody voted for batch {number}"
        return None

    def _blame(self, ends: dict[str, int]) -> None:
        for device in self._sim.devices:
            lag = self._lag(device, ends[device.name])
            if lag is not None:
                self._sim.fail(f"{device.name} did not drain in {CALM_S / 3600:.0f} calm hours: {lag}")
        lag = self._ledger_lag()
        if lag is not None:
            self._sim.fail(f"after {CALM_S / 3600:.0f} calm hours {lag}")

    def last_accounts(self) -> None:
        self._sim.checks.read_log(again=True)
        self._sim.checks.read_ledger(again=True)
        for device in self._sim.devices:
            if device.device is not None:
                self._sim.checks.check_device(device)
        aside = self._sim.node.backend.evidence._aside if self._sim.node.backend else None
        if aside:
            self._sim.fail(f"{len(aside)} statements were set aside for a fault of this program")
        self._sim.checks.check_chains()
        self._check_standing()
        for file, level in self._sim.store.synchronous.items():
            if level not in ("FULL", "EXTRA"):
                self._sim.fail(f"{file} is written with synchronous = {level}: a power cut may take what was acked")

    def _check_standing(self) -> None:
        """Who signed two bundles for one sequence is suspended; nobody else is."""
        backend = self._sim.node.backend
        assert backend is not None
        for device in self._sim.devices:
            value = backend.ledger.device(device.id) if device.id else None
            if value is not None and value.equivocations:
                self._sim.fail(f"{device.name} is honest and was suspended for equivocation")
        value = backend.ledger.device(self._sim.liar.builder.id)
        logged = self._sim.checks.identities
        if any(one in logged and other in logged for one, other in self._sim.liar.pairs) and (value is None or not value.equivocations):
            self._sim.fail("two bundles for one sequence are in the log, and the ledger holds no proof of it")
