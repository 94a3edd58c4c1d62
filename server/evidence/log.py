"""The sequencer of the evidence log: many statements, one commit, in an order that a crash cannot turn into a fork or a broken promise.

In: statements that ingest let in. Out: each one's place once it is durable under a signed checkpoint. Never answers before that; never
logs one identity twice.

Commit order: entry bundles → hash tiles, durable → sign the new checkpoint → swap the trusted head, if it is still the old one, in one
transaction with rows and everything derived → publish the checkpoint → answer. Whatever happens in between, `_recover` starts from the
trusted head.
"""

import asyncio
import logging
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from server.failpoints import reach
from shared import merkle, note
from shared.errors import DecodeError, MeterproofError, Unavailable, VerifyError
from shared.types import Ack

from .admission import Admission, Logged, Waiting, fail
from .chain import Chain
from .derive import Derived, Deriver, read_chain
from .head import begin_head, cut_rows, swap_head
from .logged import known_identities
from .rows import EvidenceStore, Head
from .tiles import TileReader, TileWriter, write_file

QUEUE_MAX = 4096
QUEUE_BYTES_MAX = 32 * 1024 * 1024
ROUND_MAX = 512
ROUND_AGE_S = 0.05
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
ASIDE_MAX = 1024
CHAINS_MAX = 4096  # kept in memory, those of the latest rounds
SET_ASIDE = 470
CHECKPOINT = "checkpoint"
Keep = Callable[[bytes], None]
_LOG = logging.getLogger("meterproof.evidence")


class Signing(Protocol):
    """What server/keystore.SigningKey offers."""

    raw: bytes

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


class EvidenceLog:
    """One origin's log. `head` and `reader` show what is committed; `checked_from`: entries from there on were checked by this process;
    `trouble`: why nothing can be logged now."""

    def __init__(self, directory: Path, store: EvidenceStore, origin: str, key: Signing, keep: Keep | None = None) -> None:
        self.directory = directory
        self.origin = origin
        self.store = store
        self.moved = asyncio.Condition()
        self.reader = TileReader(directory)
        self.head = Head(origin, 0, merkle.EMPTY_ROOT, b"")
        self.checked_from = 0
        self.trouble: MeterproofError | None = None
        self._key = key
        self._keep = keep
        self._tiles: TileWriter | None = None
        self._queue: deque[Waiting] = deque()
        self._in_round: list[Waiting] = []
        self._queued_bytes = 0
        self._wake = asyncio.Event()
        self._aside: OrderedDict[bytes, None] = OrderedDict()
        self._chains: dict[bytes, Chain] = {}

    @classmethod
    async def open(cls, directory: Path, store: EvidenceStore, origin: str, key: Signing, keep: Keep | None = None) -> Self:
        """Opens or begins the log and repairs what a crash left. Raises VerifyError 270 if tiles do not match the trusted head. `keep` is
        given every checkpoint before anybody sees it."""
        log = cls(directory, store, origin, key, keep)
        await log._recover()
        log.checked_from = log.head.size
        return log

    async def submit(self, admission: Admission) -> Logged:
        """Waits until the statement is durable under a published checkpoint. Raises Unavailable 420, 400: nothing was promised."""
        return await self.enqueue(admission)

    def enqueue(self, admission: Admission) -> "asyncio.Future[Logged]":
        """The same without waiting; the order of calls is the order in the log."""
        waiting = Waiting(admission, asyncio.get_running_loop().create_future())
        if waiting.identity in self._aside:
            raise Unavailable(400, "set aside since this program started")
        if len(self._queue) >= QUEUE_MAX or self._queued_bytes + waiting.size_bytes > QUEUE_BYTES_MAX:
            raise Unavailable(420, "too many statements wait")
        self._queue.append(waiting)
        self._queued_bytes += waiting.size_bytes
        self._wake.set()
        return waiting.future

    def awaits(self, identity: bytes) -> bool:
        """Whether a copy of the statement waits here, so that nobody knows yet whether it will be logged."""
        return any(waiting.identity == identity for waiting in (*self._in_round, *self._queue))

    async def run(self) -> None:
        """Sequences until cancelled; what still waits then gets no answer. A store that cannot write is tried again with back-off."""
        backoff_s = 0.0
        try:
            while True:
                await self._wake.wait()
                if len(self._queue) < ROUND_MAX:
                    await asyncio.sleep(ROUND_AGE_S)
                await self.sequence()
                if not self._queue:
                    self._wake.clear()
                backoff_s = min(max(2 * backoff_s, BACKOFF_FIRST_S), BACKOFF_MAX_S) if self.trouble else 0.0
                await asyncio.sleep(backoff_s)
        finally:
            fail(self._queue, Unavailable(400, "the log was closed"))

    async def sequence(self) -> None:
        """One round over what waits. One that fails on no error of ours is halved, until the statement that does it stands alone."""
        batch = [self._queue.popleft() for _ in range(min(len(self._queue), ROUND_MAX))]
        self._queued_bytes -= sum(waiting.size_bytes for waiting in batch)
        self._in_round = batch
        parts = deque([batch])
        try:
            while parts:
                part = parts.popleft()
                error = await self._attempt(part)
                if error is None:
                    continue
                if len(part) > 1:
                    parts.extendleft((part[len(part) // 2 :], part[: len(part) // 2]))
                else:
                    self._set_aside(part[0], error)
        except VerifyError as error:
            fail(batch, error)
            raise
        except BaseException:
            fail(batch, Unavailable(400, "the log was closed"))
            raise
        finally:
            self._in_round = []

    async def _attempt(self, batch: list[Waiting]) -> Exception | None:
        """One round over these, or the fault of this program that it ran into. Raises VerifyError when someone else changed the log."""
        try:
            if self._tiles is None:
                await self._recover()
            try:
                await self._round(batch)
            except (MeterproofError, OSError):
                raise
            except Exception as error:  # of one statement, perhaps: it must not keep the others from being logged
                self._tiles = None
                return error
        except (MeterproofError, OSError) as error:
            self._tiles = None  # whatever was half done: the next round starts from the trusted head
            if isinstance(error, VerifyError):
                raise
            why = error.strerror if isinstance(error, OSError) else str(error)
            typed = error if isinstance(error, Unavailable) else Unavailable(400, f"the log cannot be written: {why}")
            self._note_trouble(typed)
            fail(batch, typed)
        else:
            self._note_trouble(None)
        return None

    def _note_trouble(self, error: MeterproofError | None) -> None:
        if error is not None and self.trouble is None:
            _LOG.error("nothing can be logged or acked now: %s", error)
        elif error is None and self.trouble is not None:
            _LOG.warning("the log takes statements again")
        self.trouble = error

    def _set_aside(self, waiting: Waiting, error: Exception) -> None:
        """Not logged and not acked, so its device keeps it; asked for again only by the next start, perhaps of a mended program."""
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"  # not its text: that may hold anything
        _LOG.error("statement %s of device %s is set aside: %s", waiting.identity.hex(), waiting.device.hex(), fault)
        self._aside[waiting.identity] = None
        if len(self._aside) > ASIDE_MAX:
            self._aside.popitem(last=False)
        fail([waiting], Unavailable(SET_ASIDE, f"a fault of this program: {fault}"))

    async def _round(self, batch: list[Waiting]) -> None:
        deriver = Deriver(self.store.reader, self._chains)
        fresh = await self._sort_out(batch, deriver)
        if fresh:
            await self._commit(fresh, deriver.derived)
        await self._answer(batch, deriver)
        self._chains.update(deriver.derived.chains)  # as they are committed now; after an error they are read again
        while len(self._chains) > CHAINS_MAX:
            del self._chains[next(iter(self._chains))]

    async def _sort_out(self, batch: list[Waiting], deriver: Deriver) -> list[Waiting]:
        """Gives each new identity its index and derives from it; one that cannot be taken now gets its error."""
        known = await known_identities(self.store.reader, [w.admission.entry.identity for w in batch])
        await deriver.load({w.device for w in batch})
        fresh: list[Waiting] = []
        for waiting in batch:
            entry = waiting.admission.entry
            if entry.identity in known:
                continue
            try:
                await deriver.add(self.head.size + len(fresh), entry)
            except (DecodeError, Unavailable) as error:
                if error.code == 400:
                    raise  # the store cannot be read: that is nobody's statement
                fail([waiting], error)  # too many holes, or its chain was damaged: the others go on
                continue
            waiting.index = self.head.size + len(fresh)
            known.add(entry.identity)
            fresh.append(waiting)
        return fresh

    async def _commit(self, fresh: list[Waiting], derived: Derived) -> None:
        assert self._tiles is not None
        await asyncio.to_thread(self._tiles.write_entries, [w.admission.data for w in fresh])
        reach("entries-written")
        await asyncio.to_thread(self._tiles.write_tiles)
        reach("tiles-written")
        head = self._sign_head(self._tiles.size, self._tiles.root())
        reach("checkpoint-signed")
        rows = [w.row() for w in fresh]
        await self.store.writer.run(lambda conn: swap_head(conn, self.head, head, rows, derived))
        reach("head-swapped")
        await self._publish(head)
        reach("published")
        await asyncio.to_thread(self._tiles.tidy)

    def _sign_head(self, size: int, root: bytes) -> Head:
        text = note.encode_checkpoint(note.Checkpoint(self.origin, size, root))
        return Head(self.origin, size, root, note.sign_note(text, self.origin, self._key.raw, self._key.sign))

    async def _publish(self, head: Head) -> None:
        """Makes a committed head visible."""
        if self._keep is not None:
            await asyncio.to_thread(self._keep, head.checkpoint)
        await asyncio.to_thread(write_file, self.directory / CHECKPOINT, head.checkpoint)
        self.reader.size = head.size
        self.head = head
        async with self.moved:
            self.moved.notify_all()

    async def _answer(self, batch: list[Waiting], deriver: Deriver) -> None:
        last = {w.device: w for w in batch if not w.future.done()}
        for waiting in batch:
            ack = None
            if last.get(waiting.device) is waiting:
                try:
                    ack = self._ack(waiting.device, await deriver.chain(waiting.device))
                except MeterproofError as error:  # its chain is damaged: no ack for this device, but for the others
                    fail([waiting], error)
            if not waiting.future.done():
                waiting.future.set_result(Logged(waiting.index, ack))

    def _ack(self, device: bytes, chain: Chain) -> Ack:
        return Ack(self.origin, device, chain.next_seq, chain.head_identity, chain.missing(), self.head.size)

    async def ack_of(self, device: bytes) -> Ack:
        """What the log holds of a device, as an ack would say it now."""
        return self._ack(device, await read_chain(self.store.reader, device))

    async def _recover(self) -> None:
        """From the trusted head: forgets rows and tiles that it never reached, and publishes it, wherever a crash or an error came."""
        head = await self.store.head()
        if await asyncio.to_thread(_published_size, self.directory / CHECKPOINT) > (0 if head is None else head.size):
            raise VerifyError(270, "more of the log is published than the store holds: an old copy was put back")
        if head is None:
            head = self._sign_head(0, merkle.EMPTY_ROOT)
            await self.store.writer.run(lambda conn: begin_head(conn, head))
        if head.origin != self.origin:
            raise VerifyError(270, f"this is the log of {head.origin}")
        await self.store.writer.run(lambda conn: cut_rows(conn, head.size))
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
