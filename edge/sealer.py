"""Decides when a statement is due and which: bundles of readings, gaps, time repairs. `edge/sealing.py` makes it.

In: what waits in the journal. Out: sealed statements in the journal. Never publishes.
"""

import asyncio
import gc
from hashlib import sha256

from edge import clock as clocks
from edge.memory import let_go
from shared.errors import Unavailable


class Sealer:
    """`wake` is set whenever there may be something to seal; `journal`, `signer`, `build`, `health` and `notebook` are for sealing."""

    def __init__(
        self,
        config: object,
        clock: object,
        journal: object,
        signer: object,
        build: object,
        health: object,
        notebook: object,
        desk: object,
    ) -> None:
        self._config = config
        self._clock = clock
        self.journal = journal
        self.signer = signer
        self.build = build
        self.health = health
        self.notebook = notebook
        self._desk = desk
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
        group = self._due_group()
        gap_due = self.journal.losses and (self._gap_allowed or not self.journal.gaps)
        repair_due = self._is_repair_next()
        if not gap_due and not repair_due and group is None:
            return False
        gc.collect()  # signing needs room in one piece
        try:
            async with self._desk:
                draft = self._draft(gap_due, repair_due, group)
                if draft is not None:
                    await self._seal(draft)
        except Unavailable as error:
            if error.code != 421:
                raise
            self.health.count("seal_overtaken")  # dropped while they were being signed: the losses say so
        return True

    def _draft(self, gap_due: bool, repair_due: bool, group: object) -> object:
        from edge import sealing  # code is memory

        try:
            if gap_due:
                return sealing.draft_gap(self)
            if repair_due:
                return sealing.draft_repair(self, self._clock.first_sync)
            return sealing.draft_readings(self, group, self._config.bundle_count)
        finally:
            let_go("sealing")

    async def _seal(self, draft: object) -> None:
        """Never signs the same readings twice: a kill before `journal.seal` leaves nothing that was seen, a kill after it the one
        statement."""
        identity = sha256(draft.message).digest()
        signature = await self.signer.sign(draft.message)
        self.journal.seal(draft.kind, draft.head + signature, identity, draft.salt, draft.first_seq, draft.count)
        self.notebook.sealed(identity, draft.first_seq if draft.kind == "readings" else 0, draft.count)
        if draft.kind == "gap":
            self._gap_allowed = False
        elif draft.kind == "time-repair":
            self._repair_due = False
        self.health.count(draft.counter)

    def _is_repair_next(self) -> bool:
        if not self._repair_due or self._clock.first_sync is None:
            return False
        return not any(group.context.clock == clocks.UNSYNCED for group in self.journal.groups)

    def _due_group(self) -> object:
        """The oldest group, when it is full, closed by a change of context, or would be too old at the next reading."""
        groups = self.journal.groups
        if not groups:
            return None
        group = groups[0]
        now = self._clock.now()
        closed = len(groups) > 1 or group.context.boot != self.journal.boot or group.context.clock != now.quality
        old = now.time_s + self._config.period_s - group.start_s > self._config.bundle_max_s
        return group if closed or old or group.count >= self._config.bundle_count else None
