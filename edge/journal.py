"""The device's memory: readings, statements, sequence and boot counters, on NOR flash, whole after a power cut at any byte.

In: readings, sealed statements, what the backend acked or refused. Out: what is still to be published, as envelopes; what was lost, for a
gap statement. Never reuses a sequence, never forgets a sealed statement before it is acked, never loses silently. When full it drops the
oldest bundle and names it lost. Knows no network, clock or key. Starting from what is on the flash is `edge/recovery.py`.

Errors: Unavailable 421 (readings asked for are not there, or were dropped meanwhile), DecodeError 108 (a reading that fits no format).
"""

import asyncio
from collections import namedtuple

from edge import records
from edge.flash import SECTOR_BYTES
from edge.losses import LOST_DAMAGED, LOST_FULL, Losses
from edge.memory import forget, let_go
from edge.ring import NOT_ALIVE, Ring
from edge.rows import Packed, RowCodec, decode_sector
from shared.errors import DecodeError, Unavailable

TIME_S_MAX = 1 << 40

Entry = namedtuple("Entry", ("identity", "kind", "first_seq", "count", "salt"))
"""A statement not yet freed; first_seq and count are 0 and salt None but for readings."""


class Group:
    """Consecutive readings not yet sealed that may share a bundle."""

    __slots__ = ("context", "count", "first_seq", "last_s", "start_s")

    def __init__(self, context: records.Context, first_seq: int, start_s: int) -> None:
        self.context = context
        self.first_seq = first_seq
        self.count = 0
        self.start_s = start_s
        self.last_s = start_s


class Journal:
    """`boot`, `next_seq`, `sealed_end` (below it everything is sealed or lost), `tip_identity` (last statement, None before any), `groups`
    (what is to be sealed, oldest first) and `losses` are for reading; `on_sealed` is an asyncio.Event set when there is something new."""

    def __init__(self, flash: object) -> None:
        self.ring = Ring(flash)
        self.boot = 0
        self.next_seq = 0
        self.sealed_end = 0
        self.statements = 0
        self.tip_identity: bytes | None = None
        self.losses = Losses()
        self.groups: list[Group] = []
        self.dropped_statements = 0
        self.gaps = 0  # gap statements among those in the index
        self.on_sealed = asyncio.Event()
        self.index: list[int] = []  # places of the statements neither freed nor set aside, in the order they were sealed
        self._reclaiming = False
        self._found = Packed()
        self.new_sector()
        from edge import recovery  # only now, and then forgotten: code is memory

        recovery.recover(self)
        forget("recovery")

    def reserve(self, readings: int, registers: int) -> None:
        """Makes room for the readings of one bundle while the heap still has it in one piece."""
        self._found.reset(readings, registers)

    def new_sector(self) -> None:
        """Every sector is read by itself: nothing in it may lean on an earlier one."""
        self.codec = RowCodec()
        self.context: records.Context | None = None
        self.first_statement = b""  # of the head sector: what later ones copy from
        self.dictionary = b""

    # --- taking readings

    def start_boot(self) -> int:
        """Counts this boot, durably, before anything is signed in it."""
        self.boot += 1
        self.write(records.build_boot(self.boot))
        return self.boot

    def append(self, context: records.Context, time_s: int, registers: list[int | None], status: int) -> int:
        """Makes one reading durable and gives its sequence."""
        check_reading(context, time_s, registers, status)
        record = self._build_reading(context, time_s, registers, status)
        if len(record) > self.ring.room_bytes():
            self.open_next()
            record = self._build_reading(context, time_s, registers, status)
        self.ring.program(record)
        self.codec.accept(time_s, registers, status)
        seq = self.next_seq
        self.next_seq += 1
        self.join_group(seq, time_s)
        return seq

    def _build_reading(self, context: records.Context, time_s: int, registers: list[int | None], status: int) -> bytes:
        if self.context != context:
            self.write(records.build_context(context))
            self.context = context
            self.codec.reset(context.registers)
        return self.codec.encode(time_s, registers, status)

    def join_group(self, seq: int, time_s: int) -> None:
        group = self.groups[-1] if self.groups else None
        if group is None or group.context != self.context or time_s < group.last_s or group.first_seq + group.count != seq:
            group = Group(self.context, seq, time_s)
            self.groups.append(group)
        group.count += 1
        group.last_s = time_s

    # --- sealing

    def readings(self, first_seq: int, count: int) -> Packed:
        """Readings by sequence, from the flash; in the one buffer there is, valid until the next call."""
        found = self._found
        found.reset(count, 0)
        for sector in self.ring.alive():
            following = self.ring.next_of(sector)
            passed = (
                sector != self.ring.head and self.ring.first_seq[following] != NOT_ALIVE and self.ring.first_seq[following] <= first_seq
            )
            if not passed and self.ring.first_seq[sector] < first_seq + count:
                decode_sector(self.ring, sector, first_seq, first_seq + count, found)
        if len(found) != count:
            raise Unavailable(421, "the flash does not hold these readings")
        return found

    def seal(self, kind: str, statement: bytes, identity: bytes, salt: bytes | None, first_seq: int, count: int) -> None:
        """Makes a signed statement durable: from here on it may be published. For a gap, `first_seq` is `losses.next_number` when it was
        built and `count` 0; for a time repair both are 0. Raises Unavailable 421 when its readings were dropped while it was being
        signed."""
        self._check_sealable(kind, first_seq, count)
        meta = records.StatementMeta(self.statements, kind, first_seq, count, salt, identity)
        record = records.build_statement_record(meta, statement, self.dictionary)
        if len(record) > self.ring.room_bytes():
            self.open_next()
            self._check_sealable(kind, first_seq, count)
            record = records.build_statement_record(meta, statement, self.dictionary)
        self.index.append(self.ring.program(record))
        self._learn(statement, identity)
        self.statements += 1
        self.tip_identity = identity
        if kind == "readings":
            self.advance_sealed(first_seq + count)
        elif kind == "gap":
            self.losses.apply_named(first_seq)
            self.gaps += 1
        self.on_sealed.set()

    def _check_sealable(self, kind: str, first_seq: int, count: int) -> None:
        if kind != "readings":
            return
        group = self.groups[0] if self.groups else None
        if group is None or group.first_seq != first_seq or not 0 < count <= group.count:
            raise Unavailable(421, "these readings are not the next to be sealed")

    def _learn(self, statement: bytes, identity: bytes) -> None:
        self.first_statement = self.first_statement or statement
        self.dictionary = self.first_statement + identity

    def advance_sealed(self, end_seq: int) -> None:
        self.sealed_end = max(self.sealed_end, end_seq)
        while self.groups and self.groups[0].first_seq + self.groups[0].count <= end_seq:
            self.groups.pop(0)
        if self.groups and self.groups[0].first_seq < end_seq:
            group = self.groups[0]
            group.count -= end_seq - group.first_seq
            group.first_seq = end_seq
            try:
                group.start_s = self.readings(end_seq, 1)[0].time_s
            except Unavailable:
                pass  # the flash has lost it: the sealer will find that out, and say so

    # --- publishing

    def meta(self, place: int) -> records.StatementMeta:
        return records.read_statement_meta(self.ring.read(place + 4, records.STATEMENT_META_BYTES))

    def pending(self) -> object:
        """Yields an Entry for each statement neither freed nor set aside, in the order they were sealed."""
        i = 0
        while i < len(self.index):
            yield build_entry(self.meta(self.index[i]))
            i += 1

    def pending_count(self) -> int:
        return len(self.index)

    def pending_gaps(self) -> object:
        """Yields an Entry for each gap statement among them, the last sealed first."""
        left = self.gaps
        i = len(self.index) - 1
        while left and i >= 0:
            entry = build_entry(self.meta(self.index[i]))
            if entry.kind == "gap":
                left -= 1
                yield entry
            i -= 1

    def remove(self, position: int) -> None:
        """Takes a statement out of the index."""
        if self.gaps and self.meta(self.index[position]).kind == "gap":
            self.gaps -= 1
        self.index.pop(position)

    def find(self, identity: bytes) -> int:
        """Position in the index, −1 when it is not there."""
        for i in range(len(self.index)):
            if bytes(self.ring.read(self.index[i] + 4 + records.IDENTITY_AT, 32)) == identity:
                return i
        return -1

    def entry_for_seq(self, seq: int) -> Entry | None:
        for entry in self.pending():
            if entry.kind == "readings" and entry.first_seq <= seq < entry.first_seq + entry.count:
                return entry
        return None

    def statement(self, identity: bytes) -> bytes:
        position = self.find(identity)
        if position < 0:
            raise Unavailable(421, "no such statement in the journal")
        place = self.index[position]
        first = dictionary = b""
        for offset, frame in self.ring.long_frames(place // SECTOR_BYTES, records.STATEMENT):
            packed = frame.body[records.STATEMENT_META_BYTES :]
            if offset == place % SECTOR_BYTES:
                return records.unpack(packed, dictionary)
            first = first or records.unpack(packed, b"")
            dictionary = first + records.read_statement_meta(frame.body).identity
        raise Unavailable(421, "the flash does not hold this statement any more")

    def envelope(self, identity: bytes) -> bytes:
        """The bytes to publish (SPEC 4). Raises Unavailable 421 when the statement or its readings are gone."""
        from edge import envelopes  # code is memory

        try:
            return envelopes.build_envelope(self, identity)
        finally:
            let_go("envelopes")

    # --- letting go

    def free(self, identity: bytes, next_seq: int | None = None) -> int:
        """Frees all statements up to and including this one; gives how many. With `next_seq` (of the ack), frees nothing if a reading it
        would free is not below it. An identity that is not here frees nothing."""
        position = self.find(identity)
        if next_seq is not None:
            for i in range(position + 1):
                entry = build_entry(self.meta(self.index[i]))
                if entry.first_seq + entry.count > next_seq:
                    return 0
        for _ in range(position + 1):
            self.ring.clear_flag(self.index[0], records.FREED)
            self.remove(0)
        return position + 1

    def set_aside(self, identity: bytes, code: int = 0) -> None:
        """The node refused this statement. Refused for its rows (code 230..239) it is also named lost: nobody will ever see them."""
        position = self.find(identity)
        if position < 0:
            return
        entry = build_entry(self.meta(self.index[position]))
        if 230 <= code < 240 and entry.kind == "readings":
            self.lose(entry.first_seq, entry.count, identity, LOST_DAMAGED)
            position = self.find(identity)  # making room for that record may have dropped others
        if position >= 0:
            self.ring.clear_flag(self.index[position], records.ASIDE)
            self.remove(position)

    def give_up(self, group: Group) -> None:
        """Readings that wait to be sealed, but cannot be read any more, are lost."""
        first_seq, count = group.first_seq, group.count
        self.lose(first_seq, count, None, LOST_DAMAGED)
        self.advance_sealed(first_seq + count)

    def lose(self, first_seq: int, count: int, identity: bytes | None, reason: int) -> None:
        """Names readings lost, durably; a gap statement will say so."""
        self.losses.add(first_seq, count, identity, reason)
        self.write_losses(NOT_ALIVE)

    # --- room

    def write(self, record: bytes) -> bool:
        """Appends a record, opening a sector if needed; False only while a sector is being reclaimed and the new one is full."""
        if len(record) > self.ring.room_bytes():
            if self._reclaiming:
                return False
            self.open_next()
        self.ring.program(record)
        return True

    def header(self) -> records.SectorHeader:
        return records.SectorHeader(
            self.ring.serial + 1, self.boot, self.next_seq, self.sealed_end, self.statements, self.losses.named, self.tip_identity
        )

    def open_next(self) -> None:
        self.ring.open_next(self.header())
        self.new_sector()
        victim = self.ring.next_of(self.ring.head)
        if self.ring.first_seq[victim] != NOT_ALIVE:
            self.reclaim(victim)

    def reclaim(self, victim: int) -> None:
        """Empties the oldest sector so that it can be erased: what is lost by that is written to the head first."""
        self._reclaiming = True
        oldest = self.ring.alive()
        next(oldest)
        end_seq = self.ring.first_seq[next(oldest)]
        dropped = self._drop_readings(end_seq)
        self.write_losses(victim)
        self._move_statements(victim)
        self.ring.erase(victim)
        # Not before: a start that finds the victim alive forgets the losses in the head and takes what the victim holds as it was.
        for place in dropped:
            if place // SECTOR_BYTES != victim:
                self.ring.clear_flag(place, records.DROPPED)
        self._reclaiming = False

    def _drop_readings(self, end_seq: int) -> list[int]:
        """Bundles with rows below `end_seq` go, sealed ones with their identity; gives the places of their statements."""
        kept: list[int] = []
        dropped: list[int] = []
        for place in self.index:
            entry = build_entry(self.meta(place))
            if entry.kind != "readings":
                kept.append(place)
            elif entry.first_seq < end_seq:
                self.losses.add(entry.first_seq, entry.count, entry.identity, LOST_FULL)
                dropped.append(place)
            else:
                break  # they are in order: all further ones stay
        if self.sealed_end < end_seq:
            self.losses.add(self.sealed_end, end_seq - self.sealed_end, None, LOST_FULL)
        self.index = kept + self.index[len(kept) + len(dropped) :]
        self.write_losses(NOT_ALIVE)
        self.advance_sealed(end_seq)
        return dropped

    def write_losses(self, victim: int) -> None:
        """Writes the losses that are not on the flash, or only in the sector that goes."""
        for loss in self.losses.unwritten(victim):
            self.write(records.build_lost(loss.record))
            loss.sector = self.ring.head

    def _move_statements(self, victim: int) -> None:
        """Gap and time-repair statements are carried along while there is room; without one the chain breaks, visibly, and no reading is
        lost."""
        for i in range(len(self.index) - 1, -1, -1):
            place = self.index[i]
            if place // SECTOR_BYTES != victim:
                continue
            if not self._move_statement(i):
                self.remove(i)
                self.dropped_statements += 1

    def _move_statement(self, position: int) -> bool:
        meta = self.meta(self.index[position])
        try:
            statement = self.statement(meta.identity)
        except Unavailable:
            return False  # damaged
        record = records.build_statement_record(meta, statement, self.dictionary)
        if not self.write(record):
            return False
        self.index[position] = self.ring.head * SECTOR_BYTES + self.ring.offset - len(record)
        self._learn(statement, meta.identity)
        return True


def build_entry(meta: records.StatementMeta) -> Entry:
    if meta.kind == "readings":
        return Entry(meta.identity, meta.kind, meta.first_seq, meta.count, meta.salt)
    return Entry(meta.identity, meta.kind, 0, 0, None)


def check_reading(context: records.Context, time_s: int, registers: list[int | None], status: int) -> None:
    if len(registers) != context.registers or not 0 <= time_s < TIME_S_MAX or not 0 <= status <= 5:
        raise DecodeError(108, "a reading with wrong registers, time or status")
    for value in registers:
        if value is not None and not -(1 << 63) <= value < 1 << 63:
            raise DecodeError(108, "a register beyond 64 bits")
        if (value is None) != (status == 1) and status != 3:
            raise DecodeError(108, "a register that does not go with its status")
