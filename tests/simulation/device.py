"""One honest device: the real firmware on simulated flash, bus, clock and power; and what the outside knows of it.

In: a plan, a broker. Out: MQTT traffic; `taken` (every reading that became durable), `sealed`, `refused`. Its supply fails in the middle of
writes, it is killed between steps, and starts again from what is on the flash.
"""

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge.config import decode_config
from edge.device import Device
from edge.flash import SECTOR_BYTES
from edge.losses import LOST_FULL
from edge.preparation import Prepared
from edge.signer import open_node
from shared import ids
from shared.errors import MeterproofError, Unavailable
from tests.device.memory_flash import MemoryFlash, PowerCut
from tests.simulation.faults import Trace
from tests.simulation.meter import Meter
from tests.simulation.plan import DevicePlan
from tests.simulation.seams import HOST, Host

RESTART_S = 5.0


@dataclass(frozen=True)
class Sealed:
    """A statement the device made durable."""

    kind: str
    identity: bytes
    first_seq: int
    count: int


class SimDevice:
    """`up`: it has power and runs. `on_freed(device, identities)`, `on_violation(text)` go to the checkers."""

    def __init__(
        self, plan: DevicePlan, folder: Path, rng: random.Random, trace: Trace, org: bytes, origin: str, node_key: bytes, firmware: bytes
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.rng = rng
        self._trace = trace
        folder.mkdir()
        self._folder = folder
        self.meter = Meter(rng, f"{plan.name}-S1")
        self.host = Host(plan.name, 0, self.meter)
        self.settings = decode_config(json.dumps(self._config(folder, org, origin, node_key)))
        self._prepared = Prepared(open_node(node_key), firmware)
        self.flash = MemoryFlash(plan.sectors)
        self.device: Any = None
        self.id = b""
        self.key = b""
        self.kid = b""
        self.up = False
        self.taken: dict[int, tuple[int, tuple[int | None, ...], int]] = {}
        self.sealed: list[Sealed] = []
        self.refused: dict[bytes, int] = {}
        self.named: list[tuple[int, int]] = []  # sequences its journal gave up, for a gap statement
        self.dropped_statements = 0
        self.damaged = False
        self.bricked = False
        self.last_reading_s = 0.0
        self.revoked = False
        self._reading: tuple[int, tuple[int, tuple[int | None, ...], int]] | None = None
        self._sealing: Sealed | None = None
        self._task: asyncio.Task | None = None
        self.on_freed: Callable[[SimDevice, list[bytes]], None] = lambda device, identities: None
        self.on_violation: Callable[[str], None] = lambda text: None

    def _config(self, folder: Path, org: bytes, origin: str, node_key: bytes) -> dict[str, object]:
        kind = self.plan.clock
        return {
            "org": ids.encode_id(ids.ORG, org),
            "device_dir": str(folder),
            "origin": origin,
            "node_key": node_key.hex(),
            "broker_host": "broker",
            "broker_port": 1883,
            "meter": {"kind": "sunspec", "host": "meter", "port": 502, "unit": 1},
            "period_s": self.plan.period_s,
            "bundle_count": self.plan.bundle_count,
            "bundle_max_s": self.plan.bundle_max_s,
            "clock": {"kind": "ntp", "host": "time"} if kind == "ntp" else {"kind": "system", "quality": 1},
            "flash": {"path": "none", "sectors": self.plan.sectors},
            "notebook": str(folder / "notebook"),
            "status_s": 0,
        }

    # --- power

    def boot(self) -> None:
        """Power comes, if it is not there."""
        if self.up or self.bricked:
            return
        self.up = True
        content = self.flash.content
        self.flash = MemoryFlash(self.plan.sectors)
        self.flash.content = content
        context = copy_context()
        context.run(HOST.set, self.host)
        self._task = asyncio.get_running_loop().create_task(self._live(), context=context)

    def kill(self) -> None:
        """The device stops between two steps."""
        self._trace.note("device killed", self.name)
        self._stop()

    def cut_after(self, count: int) -> None:
        """Power fails when that many more bytes were written or erased."""
        self.flash.cut_after_bytes = count

    def _stop(self) -> None:
        if not self.up:
            return
        self.up = False
        self.flash.cut_after_bytes = 0  # whatever still runs writes nothing
        self.flash.content = bytearray(self.flash.content)
        if self._task is not None:
            self._task.cancel()

    def flip_bit(self) -> None:
        """While it is off."""
        self.damaged = True
        at = self.rng.randrange(len(self.flash.content))
        self.flash.content[at] ^= 1 << self.rng.randrange(8)
        self._trace.note("flipped", f"{self.name} sector {at // SECTOR_BYTES} byte {at % SECTOR_BYTES}")

    async def _live(self) -> None:
        again_s = RESTART_S
        running: list[asyncio.Task] = []
        flash = self.flash
        try:
            with contextlib.redirect_stdout(None):
                self.device = Device(self.settings, self._prepared, flash, None)
            self._watch(self.device)
            running = [asyncio.ensure_future(work) for work in self.device.tasks(False)]
            await asyncio.gather(*running)
        except PowerCut:
            self._trace.note("power cut", self.name)
            again_s = 1 + self.rng.expovariate(1 / 600)
        except asyncio.CancelledError:
            again_s = 1 + self.rng.expovariate(1 / 600)
        except MeterproofError as error:
            self._trace.note("device error", f"{self.name} {error}")
            if not self.damaged:
                self.on_violation(f"{self.name}: the firmware stopped: {error}")
            self.bricked = error.code == 421
        except Exception as error:
            self.on_violation(f"{self.name}: the firmware died: {error!r}")
            raise
        finally:
            flash.cut_after_bytes = 0
            self.up = False
            for task in running:
                task.cancel()
            if self.device is not None:
                self.device.close()
        asyncio.get_running_loop().call_later(again_s, self.boot)

    # --- what the outside knows

    def _watch(self, device: Any) -> None:
        """After a start: what a cut left undecided is known now; from now on every durable step is written down."""
        journal = device.journal
        self.id, self.kid, self.key = device.uplink.device, device.sealer.signer.kid, device.sealer.signer.cose_key
        self._settle(journal)
        self.last_reading_s = asyncio.get_running_loop().time()
        self._trace.note("boot", f"{self.name} boot {journal.boot} next {journal.next_seq} pending {journal.pending_count()}")
        append, seal, free, set_aside, lose = journal.append, journal.seal, journal.free, journal.set_aside, journal.losses.add

        def watched_append(context: Any, time_s: int, registers: list[int | None], status: int) -> int:
            self._reading = (journal.next_seq, (time_s, tuple(registers), status))
            seq = append(context, time_s, registers, status)
            self._take(seq, self._reading[1])
            self._reading = None
            return int(seq)

        def watched_seal(kind: str, statement: bytes, identity: bytes, salt: bytes | None, first_seq: int, count: int) -> None:
            self._sealing = Sealed(kind, identity, first_seq if kind == "readings" else 0, count)
            try:
                seal(kind, statement, identity, salt, first_seq, count)
            except Unavailable:
                self._sealing = None
                raise
            self.sealed.append(self._sealing)
            self._sealing = None
            self._trace.note("sealed", f"{self.name} {kind} {identity.hex()[:8]} {first_seq} {count}")

        def watched_free(identity: bytes, next_seq: int | None = None) -> int:
            before = [entry.identity for entry in journal.pending()]
            count = free(identity, next_seq)
            left = {entry.identity for entry in journal.pending()}
            self.on_freed(self, [one for one in before if one not in left])
            return int(count)

        def watched_aside(identity: bytes, code: int = 0) -> None:
            if journal.find(identity) >= 0:
                self.refused[identity] = code
                self._trace.note("set aside", f"{self.name} {identity.hex()[:8]} {code}")
            set_aside(identity, code)

        def watched_lose(first_seq: int, count: int, identity: bytes | None, reason: int) -> None:
            if reason == LOST_FULL:
                self._trace.fault("journal-full", f"{self.name} {first_seq} {count}")
            else:
                self._trace.note("lost", f"{self.name} {first_seq} {count} reason {reason}")
            self.named.append((first_seq, first_seq + count))
            lose(first_seq, count, identity, reason)

        journal.append, journal.seal, journal.free, journal.set_aside, journal.losses.add = (
            watched_append, watched_seal, watched_free, watched_aside, watched_lose,
        )  # fmt: skip

    def _settle(self, journal: Any) -> None:
        if self._reading is not None and journal.next_seq > self._reading[0]:
            self._take(*self._reading)
        self._reading = None
        if self._sealing is not None and journal.tip_identity == self._sealing.identity:
            self.sealed.append(self._sealing)
        self._sealing = None
        self.named += [(item.record.first_seq, item.record.first_seq + item.record.count) for item in journal.losses.items]
        if self.taken and journal.next_seq <= max(self.taken):
            self.on_violation(f"{self.name}: starts at sequence {journal.next_seq} although {max(self.taken)} was taken")
        if self.sealed and journal.tip_identity != self.sealed[-1].identity and not self.damaged:
            self.on_violation(f"{self.name}: forgot the last statement it sealed")

    def _take(self, seq: int, reading: tuple[int, tuple[int | None, ...], int]) -> None:
        if seq in self.taken:
            self.on_violation(f"{self.name}: sequence {seq} was used twice")
        self.taken[seq] = reading
        self.last_reading_s = asyncio.get_running_loop().time()
        self._trace.note("taken", f"{self.name} {seq} {reading[0]} {reading[1][0]} {reading[2]}")

    def held(self) -> list[tuple[int, int]]:
        """Sequences [first, end) that its journal still holds or has still to name lost."""
        journal = self.device.journal
        spans = [(entry.first_seq, entry.first_seq + entry.count) for entry in journal.pending() if entry.kind == "readings"]
        spans += [(group.first_seq, group.first_seq + group.count) for group in journal.groups]
        return spans + [(item.record.first_seq, item.record.first_seq + item.record.count) for item in journal.losses.items]
