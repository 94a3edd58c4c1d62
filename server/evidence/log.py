"""The sequencer of the evidence log: many statements, one commit, in an order that a crash cannot turn into a fork or a broken promise.

In: statements that ingest let in. Out: each one's place once it is durable under a signed checkpoint. Never answers before that; never
logs one identity twice.

Commit order: rows → entry bundles → hash tiles, all durable → sign the new checkpoint → swap the trusted head (with everything derived) if
it is still the old one → publish the checkpoint → answer. Whatever happens in between, `_recover` starts from the trusted head.
"""

import asyncio
import sqlite3
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

import aiosqlite

from server.failpoints import reach
from shared import merkle, note
from shared.errors import DecodeError, MeterproofError, Unavailable, VerifyError
from shared.types import Ack

from .derive import Derived, Deriver, Entry, known_identities, read_chain, write_derived
from .rows import Arrival, EvidenceStore, Head
from .tiles import TileReader, TileWriter, write_file

QUEUE_MAX = 4096
QUEUE_BYTES_MAX = 32 * 1024 * 1024
ROUND_MAX = 512
ROUND_AGE_S = 0.05
CHECKPOINT = "checkpoint"


class Signing(Protocol):
    """What server/keystore.SigningKey offers."""

    raw: bytes

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


@dataclass(frozen=True, slots=True)
class Admission:
    """A statement that ingest let in: its bytes, what came beside it, and what it is judged by."""

    data: bytes
    entry: Entry
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Logged:
    """A statement is durable: at `index` (None for a duplicate). `ack` is set on the last answer of a round to each device."""

    index: int | None
    ack: Ack | None


@dataclass(eq=False, slots=True)
class _Waiting:
    admission: Admission
    future: "asyncio.Future[Logged]"
    index: int | None = None
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = len(self.admission.data) + len(self.admission.arrival.body or b"")


class EvidenceLog:
    """One origin's log. `head` and `reader` show what is committed; `checked_from`: entries from there on were checked by this process."""

    def __init__(self, directory: Path, store: EvidenceStore, origin: str, key: Signing) -> None:
        self.directory = directory
        self.origin = origin
        self.store = store
        self.moved = asyncio.Condition()
        self.reader = TileReader(directory)
        self.head = Head(origin, 0, merkle.EMPTY_ROOT, b"")
        self.checked_from = 0
        self._key = key
        self._tiles: TileWriter | None = None
        self._queue: deque[_Waiting] = deque()
        self._queued_bytes = 0
        self._wake = asyncio.Event()

    @classmethod
    async def open(cls, directory: Path, store: EvidenceStore, origin: str, key: Signing) -> Self:
        """Opens or begins the log and repairs what a crash left. Raises VerifyError 270 if tiles do not match the trusted head."""
        log = cls(directory, store, origin, key)
        await log._recover()
        log.checked_from = log.head.size
        return log

    async def submit(self, admission: Admission) -> Logged:
        """Waits until the statement is durable under a published checkpoint. Raises Unavailable 420, 400: nothing was promised."""
        return await self.enqueue(admission)

    def enqueue(self, admission: Admission) -> "asyncio.Future[Logged]":
        """The same without waiting; the order of calls is the order in the log."""
        waiting = _Waiting(admission, asyncio.get_running_loop().create_future())
        if len(self._queue) >= QUEUE_MAX or self._queued_bytes + waiting.size_bytes > QUEUE_BYTES_MAX:
            raise Unavailable(420, "too many statements wait")
        self._queue.append(waiting)
        self._queued_bytes += waiting.size_bytes
        self._wake.set()
        return waiting.future

    async def run(self) -> None:
        """Sequences until cancelled; what still waits then gets no answer."""
        try:
            while True:
                await self._wake.wait()
                if len(self._queue) < ROUND_MAX:
                    await asyncio.sleep(ROUND_AGE_S)
                await self.sequence()
                if not self._queue:
                    self._wake.clear()
        finally:
            _fail(self._queue, Unavailable(400, "the log was closed"))

    async def sequence(self) -> None:
        """One round over what waits."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), ROUND_MAX))]
        self._queued_bytes -= sum(waiting.size_bytes for waiting in batch)
        try:
            if self._tiles is None:
                await self._recover()
            await self._round(batch)
        except (MeterproofError, OSError) as error:
            self._tiles = None  # whatever was half done: the next round starts from the trusted head
            _fail(batch, error if isinstance(error, MeterproofError) else Unavailable(400, f"the log cannot be written: {error.strerror}"))
            if isinstance(error, VerifyError):
                raise
        except BaseException:
            _fail(batch, Unavailable(400, "the log was closed"))
            raise

    async def _round(self, batch: list[_Waiting]) -> None:
        deriver = Deriver(self.store.reader)
        fresh = await self._sort_out(batch, deriver)
        if fresh:
            await self._commit(fresh, deriver.derived)
        await self._answer(batch, deriver)

    async def _sort_out(self, batch: list[_Waiting], deriver: Deriver) -> list[_Waiting]:
        """Gives each new identity its index and derives from it; one that cannot be taken now gets its error."""
        known = await known_identities(self.store.reader, [w.admission.entry.identity for w in batch])
        fresh: list[_Waiting] = []
        for waiting in batch:
            entry = waiting.admission.entry
            if entry.identity in known:
                continue
            try:
                await deriver.add(self.head.size + len(fresh), entry)
            except MeterproofError as error:  # too many holes, or its chain was damaged: the others go on
                _fail([waiting], error)
                continue
            waiting.index = self.head.size + len(fresh)
            known.add(entry.identity)
            fresh.append(waiting)
        return fresh

    async def _commit(self, fresh: list[_Waiting], derived: Derived) -> None:
        assert self._tiles is not None
        await self.store.writer.run(lambda conn: _add_rows(conn, fresh))
        await asyncio.to_thread(self._tiles.write_entries, [w.admission.data for w in fresh])
        reach("entries-written")
        await asyncio.to_thread(self._tiles.write_tiles)
        reach("tiles-written")
        head = self._sign_head(self._tiles.size, self._tiles.root())
        reach("checkpoint-signed")
        await self.store.writer.run(lambda conn: _swap_head(conn, self.head, head, derived))
        reach("head-swapped")
        await self._publish(head)
        reach("published")
        await asyncio.to_thread(self._tiles.tidy)

    def _sign_head(self, size: int, root: bytes) -> Head:
        text = note.encode_checkpoint(note.Checkpoint(self.origin, size, root))
        return Head(self.origin, size, root, note.sign_note(text, self.origin, self._key.raw, self._key.sign))

    async def _publish(self, head: Head) -> None:
        """Makes a committed head visible."""
        await asyncio.to_thread(write_file, self.directory / CHECKPOINT, head.checkpoint)
        self.reader.size = head.size
        self.head = head
        async with self.moved:
            self.moved.notify_all()

    async def _answer(self, batch: list[_Waiting], deriver: Deriver) -> None:
        last = {w.admission.entry.statement.device: w for w in batch if not w.future.done()}
        for waiting in batch:
            device = waiting.admission.entry.statement.device
            ack = None
            if last.get(device) is waiting:
                chain = await deriver.chain(device)
                ack = Ack(self.origin, device, chain.next_seq, chain.head_identity, chain.missing(), self.head.size)
            if not waiting.future.done():
                waiting.future.set_result(Logged(waiting.index, ack))

    async def ack_of(self, device: bytes) -> Ack:
        """What the log holds of a device, as an ack would say it now."""
        chain = await read_chain(self.store.reader, device)
        return Ack(self.origin, device, chain.next_seq, chain.head_identity, chain.missing(), self.head.size)

    async def _recover(self) -> None:
        """From the trusted head: forgets rows and tiles that it never reached, and publishes it, wherever a crash or an error came."""
        head = await self.store.head()
        if await asyncio.to_thread(_published_size, self.directory / CHECKPOINT) > (0 if head is None else head.size):
            raise VerifyError(270, "more of the log is published than the store holds: an old copy was put back")
        if head is None:
            head = self._sign_head(0, merkle.EMPTY_ROOT)
            await self.store.writer.run(lambda conn: _begin(conn, head))
        if head.origin != self.origin:
            raise VerifyError(270, f"this is the log of {head.origin}")
        await self.store.writer.run(lambda conn: _cut_rows(conn, head.size))
        self._tiles = await asyncio.to_thread(TileWriter, self.directory, head.size)
        if self._tiles.root() != head.root:
            raise VerifyError(270, "the tiles do not make the root that this node signed")
        self.reader.forget()
        await self._publish(head)


def _published_size(path: Path) -> int:
    """0 for a checkpoint that is missing or damaged: the trusted head is published in its place."""
    try:
        return int(note.decode_checkpoint(note.decode_note(path.read_bytes()).text).size)
    except (FileNotFoundError, DecodeError):
        return 0


def _fail(batch: "list[_Waiting] | deque[_Waiting]", error: MeterproofError) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)
            waiting.future.exception()  # nobody may be waiting any more; that is no reason for a warning


async def _add_rows(conn: aiosqlite.Connection, fresh: list[_Waiting]) -> None:
    rows = []
    for waiting in fresh:
        arrival = waiting.admission.arrival
        rows.append((waiting.index, arrival.received_s, arrival.height, int(arrival.table_known), arrival.salt, arrival.body))
    try:
        await conn.executemany("INSERT INTO rows VALUES (?, ?, ?, ?, ?, ?)", rows)
    except sqlite3.IntegrityError as error:
        raise VerifyError(270, "someone else writes to this log") from error


async def _swap_head(conn: aiosqlite.Connection, old: Head, new: Head, derived: Derived) -> None:
    """The commit point: the only place where the head moves, and only from the head this process knows."""
    query = "UPDATE head SET size = ?, root = ?, checkpoint = ? WHERE origin = ? AND size = ? AND root = ?"
    cursor = await conn.execute(query, (new.size, new.root, new.checkpoint, old.origin, old.size, old.root))
    if cursor.rowcount != 1:
        raise VerifyError(270, "the head was moved by someone else")
    await conn.execute("INSERT INTO checkpoints VALUES (?, ?)", (new.size, time.time_ns() // 1_000_000))
    await write_derived(conn, derived)


async def _begin(conn: aiosqlite.Connection, head: Head) -> None:
    await conn.execute("INSERT INTO head VALUES (1, ?, ?, ?, ?)", (head.origin, head.size, head.root, head.checkpoint))


async def _cut_rows(conn: aiosqlite.Connection, size: int) -> None:
    await conn.execute("DELETE FROM rows WHERE log_index >= ?", (size,))
