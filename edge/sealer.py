"""Makes statements: bundles of readings, gaps, time repairs; signs them and makes them durable before anybody sees them.

In: what waits in the journal. Out: sealed statements in the journal. Never publishes, and never signs the same readings twice: a kill
before `journal.seal` leaves nothing that was seen, a kill after it leaves the one statement.
"""

import asyncio
import gc
import os
from hashlib import sha256

from edge import clock as clocks
from shared import bundle, cose
from shared.errors import Unavailable
from shared.statement import content_type_of, encode_statement
from shared.types import Repair, Statement

SALT_BYTES = 16


class Sealer:
    """`wake` is set whenever there may be something to seal."""

    def __init__(
        self, config: object, clock: object, journal: object, signer: object, build: object, health: object, notebook: object
    ) -> None:
        self._config = config
        self._clock = clock
        self._journal = journal
        self._signer = signer
        self._build = build
        self._health = health
        self._notebook = notebook
        self._repair_due = False
        self._gap_allowed = True
        self.wake = asyncio.Event()

    def on_reading(self, quality: int) -> None:
        """A reading is durable; if it is dated in seconds since boot, this boot owes a time repair."""
        if quality == clocks.UNSYNCED:
            self._repair_due = True
        self.wake.set()

    def on_answer(self) -> None:
        """The node answers. While it does not, one gap statement waits and further losses are joined; now each may be told: a gap that
        waits may itself wait for what a later one names."""
        self._gap_allowed = True
        self.wake.set()

    async def run(self) -> None:
        self.wake.set()
        while True:
            await self.wake.wait()
            self.wake.clear()
            while await self.seal_next():
                pass

    async def seal_next(self) -> bool:
        """Seals one statement; False when nothing is due. A gap goes first: what is lost is older than all that waits, and a device that
        can hardly keep up must still say it. A time repair follows the readings that it repairs."""
        gc.collect()  # signing needs room in one piece
        group = self._due_group()
        try:
            if self._journal.losses and (self._gap_allowed or not self._journal.gaps):
                await self._seal_gap()
            elif self._is_repair_next():
                await self._seal_repair(self._clock.first_sync)
            elif group is not None:
                await self._seal_readings(group)
            else:
                return False
        except Unavailable as error:
            if error.code != 421:
                raise
            self._health.count("seal_overtaken")  # dropped while they were being signed: the losses say so
        return True

    def _is_repair_next(self) -> bool:
        if not self._repair_due or self._clock.first_sync is None:
            return False
        return not any(group.context.clock == clocks.UNSYNCED for group in self._journal.groups)

    def _due_group(self) -> object:
        """The oldest group, when it is full, closed by a change of context, or would be too old at the next reading."""
        groups = self._journal.groups
        if not groups:
            return None
        group = groups[0]
        now = self._clock.now()
        closed = len(groups) > 1 or group.context.boot != self._journal.boot or group.context.clock != now.quality
        old = now.time_s + self._config.period_s - group.start_s > self._config.bundle_max_s
        return group if closed or old or group.count >= self._config.bundle_count else None

    async def _seal_readings(self, group: object) -> None:
        context, first_seq = group.context, group.first_seq
        try:
            readings = self._journal.readings(first_seq, min(group.count, self._config.bundle_count))
        except Unavailable:
            self._health.count("unreadable")
            self._journal.give_up(group)
            return
        count, start_s = len(readings), readings[0].time_s
        salt = os.urandom(SALT_BYTES)
        root = bundle.readings_root(salt, readings)
        readings = None  # not needed while signing
        statement = Statement(
            "readings", self._build.device, context.boot, self._journal.tip_identity, context.firmware, context.tier,
            context.channel, first_seq, count, start_s, context.clock, context.table, root, None, None,
        )  # fmt: skip
        await self._seal(statement, salt, first_seq, count)
        self._health.count("bundles")

    async def _seal_gap(self) -> None:
        lost, number = self._journal.losses.for_gap()
        await self._seal(self._chain_statement("gap", lost, None), None, number, 0)
        self._gap_allowed = False
        self._health.count("gaps")

    async def _seal_repair(self, sync: clocks.Sync) -> None:
        repair = Repair(self._journal.boot, sync.uptime_s, sync.utc_s, sync.quality)
        await self._seal(self._chain_statement("time-repair", None, repair), None, 0, 0)
        self._repair_due = False
        self._health.count("time_repairs")

    def _chain_statement(self, kind: str, lost: list | None, repair: Repair | None) -> Statement:
        head = (kind, self._build.device, self._journal.boot, self._journal.tip_identity, self._build.firmware, self._build.tier)
        return Statement(*head, *[None] * 7, lost, repair)

    async def _seal(self, statement: Statement, salt: bytes | None, first_seq: int, count: int) -> None:
        protected = cose.build_protected(self._signer.alg, content_type_of(statement.kind), self._signer.kid)
        payload = encode_statement(statement)
        message = cose.sig_structure(protected, payload)
        identity = sha256(message).digest()
        signature = await self._signer.sign(message)
        message = None  # three copies of a statement are more than a small heap likes
        signed = cose.assemble_sign1(protected, payload, signature)
        payload = None
        self._journal.seal(statement.kind, signed, identity, salt, first_seq, count)
        self._notebook.sealed(identity, statement.first_seq or 0, count)
