"""The embedded engine: one node decides alone, needs no other program, and keeps every proof that a consortium would keep.

In: signed transactions, wall-clock seconds. Out: receipts after their block is durable, proofs, a published log. Never makes an empty
block, never lets block time fall, never answers before the commit.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

import aiosqlite

from shared import note
from shared.errors import MeterproofError, Unavailable, VerifyError
from shared.state import Receipt

from ...failpoints import reach
from ...store.sqlite import Writer, open_database
from ..core import Head, LedgerCore, Staged, stage_genesis
from ..file import LedgerReader
from ..genesis import Genesis, decode_genesis
from ..publish import ROUND_ENTRIES_MAX, Publisher, TilePublisher
from ..query import LedgerQueries
from ..rules import FATAL
from ..transactions import Signing, Tx
from ..write import MIGRATIONS, upgrading, writing
from .waiting import Waiting, answer, fail, take

BLOCK_INTERVAL_S = 0.05
BLOCK_TXS = 400  # more wait for the next block: applying them holds up the event loop, some 30 ms
BLOCK_BYTES = 4 << 20
WAITING_MAX = 4000
CHECKED_VALUES_MAX = 20_000
PUBLISH_RETRY_S = 1.0
EDDSA = -8


class EmbeddedLedger(LedgerQueries):
    """The ledger of one node. Open it, keep run() going in a task, submit, close."""

    def __init__(self, conn: aiosqlite.Connection, reader: LedgerReader, core: LedgerCore, genesis: Genesis, key: Signing) -> None:
        super().__init__(reader, core)
        self._conn, self._writer = conn, Writer(conn)
        self._genesis, self._key = genesis, key
        self._publisher: Publisher | None = None
        self._now_s: Callable[[], int] = _wall_clock_s
        self._waiting: list[Waiting] = []
        self._in_block: list[Waiting] = []
        self._wake, self._committed, self._ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._running = self._closing = self._last_block_made = False
        self._doubtful: Staged | None = None

    @classmethod
    async def open(
        cls,
        home: Path | str,
        genesis_data: bytes,
        node_key: Signing,
        publisher: Publisher | None = None,
        now_s: Callable[[], int] | None = None,
    ) -> Self:
        """The ledger under HOME, begun if it is not there. Raises VerifyError 242 for another genesis, 271 if damaged; Unavailable."""
        home = Path(home)
        genesis = decode_genesis(genesis_data)
        if node_key.alg != EDDSA:
            raise Unavailable(430, "checkpoints are signed with an Ed25519 key")
        conn = await open_database(home / "ledger.sqlite", MIGRATIONS)
        reader = None
        try:
            reader = LedgerReader(home / "ledger.sqlite")
            head = await _begin(conn, reader, genesis)
            ledger = cls(conn, reader, LedgerCore(reader, genesis, head), genesis, node_key)
            ledger._publisher = publisher or await asyncio.to_thread(TilePublisher.open, home / "ledger-log")
            if ledger.published_size > head.log_size:
                raise VerifyError(271, "more of the ledger log is published than the ledger holds: an old copy was put back")
            ledger._now_s = now_s or _wall_clock_s
            return ledger
        except BaseException:
            if reader is not None:
                reader.close()
            await conn.close()  # its thread would keep the process alive
            raise

    async def submit(self, data: bytes) -> Receipt:
        """The receipt of a transaction once its block is durable. Raises the error that refuses it; then nothing changed."""
        if self._closing or self._ended.is_set():
            raise Unavailable(400, "the ledger is closed")
        if len(self._waiting) >= WAITING_MAX:
            raise Unavailable(420, "too many transactions wait")
        self._settle_doubt()
        tx = self._core.check_tx(data)
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((tx, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        """Makes blocks while transactions wait, and publishes them; returns after close()."""
        if self._closing:
            return
        self._running = True
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._make_blocks(), name="ledger-blocks")
                group.create_task(self._publish(), name="ledger-publish")
        finally:
            self._ended.set()
            fail(self._in_block + self._waiting, Unavailable(400, "the ledger was closed"))

    async def close(self) -> None:
        """Commits and publishes what waits, then closes the files."""
        self._closing = True
        self._wake.set()
        if self._running:
            await self._ended.wait()
        fail(self._waiting, Unavailable(400, "the ledger was closed"))
        await self._writer.close()
        self._reader.close()
        await self._conn.close()

    async def _make_blocks(self) -> None:
        while not self._closing or self._waiting:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                next_block = time.monotonic() + BLOCK_INTERVAL_S
                await self._make_block()
                await asyncio.sleep(0 if self._closing else max(0.0, next_block - time.monotonic()))
        self._last_block_made = True
        self._committed.set()

    async def _make_block(self) -> None:
        """One block of what waits: staged, written with its checkpoint in one transaction, then answered."""
        self._in_block, self._waiting = take(self._waiting, BLOCK_TXS, BLOCK_BYTES)
        try:
            staged = await self._commit_block([tx for tx, _ in self._in_block])
        except Unavailable as error:
            refused, self._in_block, self._waiting = self._in_block + self._waiting, [], []
            self._core.reset_check()
            fail(refused, error)
            return
        answered, self._in_block = self._in_block, []
        self._settle_check(any(outcome.error for outcome in staged.outcomes))
        for waiting, outcome in zip(answered, staged.outcomes, strict=True):
            answer(waiting, outcome)
        self._committed.set()

    async def _commit_block(self, txs: list[Tx]) -> Staged:
        """The block, durable. Raises Unavailable if it is not: then nothing of it is there; VerifyError when this ledger must stop."""
        self._settle_doubt()
        staged = self._core.apply_block(self.height + 1, max(self._now_s(), self.time_s), txs)
        try:
            await self._writer.run(writing(staged, self._sign(staged.head), self._genesis.data))
        except Unavailable:
            self._doubtful = staged
            if not self._settle_doubt():
                raise
        else:
            reach("ledger-after-commit")
            self._core.commit(staged)
        return staged

    def _settle_doubt(self) -> bool:
        """Whether a block that was reported as failed is in the file all the same: then the ledger goes on from it. Raises Unavailable
        while the file cannot be read: until then nobody knows."""
        staged, kept = self._doubtful, False
        if staged is not None:
            kept = self._reader.head() == staged.head
            if kept:
                self._core.commit(staged)
            self._doubtful = None
        return kept

    def _settle_check(self, surprised: bool) -> None:
        """The check state begins again on the committed one when nobody waits, when it has grown large, or when a block went otherwise."""
        if self._waiting and not surprised and len(self._core.check_state.changes) < CHECKED_VALUES_MAX:
            return
        self._core.reset_check()
        waiting, self._waiting = self._waiting, []
        for tx, future in waiting:
            try:
                self._core.recheck(tx)
                self._waiting.append((tx, future))
            except MeterproofError as error:
                fail([(tx, future)], error)
                if error.code in FATAL:
                    raise

    def _sign(self, head: Head) -> bytes:
        text = note.encode_checkpoint(note.Checkpoint(self.origin, head.log_size, head.app_hash))
        return bytes(note.sign_note(text, self.origin, self._key.raw, self._key.sign))

    async def _publish(self) -> None:
        """Keeps the published log up with the committed one; a full or unreadable disk delays it and stops nothing else."""
        while True:
            if self.published_size < self.log_size:
                try:
                    await self._publish_committed()
                    reach("ledger-published")
                except (OSError, Unavailable):
                    if self._closing:
                        return  # made good at the next start
                    await asyncio.sleep(PUBLISH_RETRY_S)
            elif self._last_block_made:
                return
            else:
                await self._committed.wait()
                self._committed.clear()

    async def _publish_committed(self) -> None:
        publisher = self._publisher
        assert publisher is not None, "open() sets it"
        with self._reader.snapshot():
            head, checkpoint = self._reader.head(), self.checkpoint()
        assert head is not None, "a checkpoint without a head"
        for low in range(publisher.appended, head.log_size, ROUND_ENTRIES_MAX):
            entries = self._reader.entries(low, min(low + ROUND_ENTRIES_MAX, head.log_size))
            await asyncio.to_thread(publisher.append, entries)
        await asyncio.to_thread(publisher.publish, checkpoint)

    @property
    def published_size(self) -> int:
        """Entries of the ledger log that everybody can read."""
        return 0 if self._publisher is None else self._publisher.size

    def blocks(self) -> Iterator[bytes]:
        """Every committed block's bytes in order."""
        return self._reader.blocks()


def _wall_clock_s() -> int:
    return int(time.time())


async def _begin(conn: aiosqlite.Connection, reader: LedgerReader, genesis: Genesis) -> Head:
    """The committed head; writes the genesis state into a new file first."""
    stored = reader.genesis()
    if stored is not None and stored != genesis.data:
        raise VerifyError(242, "this ledger was begun with another genesis")
    work = writing(stage_genesis(genesis), None, genesis.data) if stored is None else upgrading(reader)
    if work is not None:
        async with Writer(conn) as writer:
            await writer.run(work)
    head = reader.head()
    if head is None:
        raise VerifyError(271, "the ledger has no head")
    return head
