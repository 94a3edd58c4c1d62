"""A model of what a journal must still know, kept beside it, and a checker. Used by the power-cut tests; contains no test itself."""

import copy
import hashlib
import random
from contextlib import suppress

from edge import records
from edge.journal import Journal
from edge.rows import decode_sector
from shared.errors import Unavailable
from shared.types import Lost, Reading
from tests.device.memory_flash import MemoryFlash, PowerCut

TABLE = hashlib.sha256(b"table").digest()
FIRMWARE = hashlib.sha256(b"firmware").digest()
PREFIX = b"protected header, device and other parts that repeat in every statement of one device " * 2


def context_of(boot: int, clock: int = 4) -> records.Context:
    return records.Context(boot, 0, clock, 1, 4, TABLE, FIRMWARE)


def statement_of(identity: bytes, previous: bytes | None) -> bytes:
    """Bytes that look like a statement to the journal: parts that repeat, and parts that never do."""
    return PREFIX + TABLE + (previous or b"\xf6") + FIRMWARE + hashlib.sha512(identity).digest()


class Model:
    """Runs operations on a journal and remembers what was promised."""

    def __init__(self, flash: MemoryFlash, seed: int = 0) -> None:
        self.flash = flash
        self.random = random.Random(seed)
        self.taken: dict[int, tuple[int, list[int | None], int]] = {}
        self.sealed: dict[bytes, tuple[str, int, int, bytes]] = {}  # identity: kind, first, count, statement
        self.gone: set[bytes] = set()  # acked or refused
        self.acked: set[int] = set()
        self.named: set[int] = set()  # by gap statements that are durable
        self.gap_lost: dict[bytes, list[Lost]] = {}  # what each gap statement named
        self.previous: dict[bytes, bytes | None] = {}  # what each statement was chained to
        self.trying: tuple[int, tuple[int, list[int | None], int]] | None = None
        self.boots: set[int] = set()
        self.serial = 0
        self.clock = 4
        self.start()

    def copy(self) -> "Model":
        """An independent one; what was promised is never changed, so only the containers are copied."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (dict, set)):
                setattr(other, name, value.copy())
        other.random = random.Random()
        other.random.setstate(self.random.getstate())
        memo = {id(self.flash): self.flash.copy()}
        other.flash = memo[id(self.flash)]
        other.journal = copy.deepcopy(self.journal, memo)
        return other

    def start(self) -> None:
        self.journal = Journal(self.flash)
        boot = self.journal.start_boot()
        assert boot not in self.boots, "a boot counter was used twice"
        self.boots.add(boot)

    def take(self) -> None:
        registers: list[int | None] = [1000 * self.journal.next_seq, 7, self.random.randrange(5000), -3]
        status = 0
        if self.random.randrange(20) == 0:
            registers, status = [None] * 4, 1
        self.take_of(registers, status)

    def take_of(self, registers: list[int | None], status: int = 3) -> None:
        journal = self.journal
        reading = (1_700_000_000 + 60 * journal.next_seq, registers, status)
        self.trying = (journal.next_seq, reading)
        context = context_of(journal.boot, self.clock)._replace(registers=len(registers))
        seq = journal.append(context, *reading)
        assert seq not in self.taken, "a sequence was used twice"
        self.taken[seq] = reading
        self.trying = None

    def seal(self, count_max: int = 20) -> bytes | None:
        journal = self.journal
        if not journal.groups:
            return None
        group = journal.groups[0]
        count = min(group.count, count_max)
        try:
            return self._seal("readings", group.first_seq, count)
        except Unavailable:
            return None  # making room for the statement dropped its readings

    def seal_gap(self) -> bytes | None:
        if not self.journal.losses:
            return None
        lost, number = self.journal.losses.for_gap()
        identity = self._seal("gap", number, 0)
        self.gap_lost[identity] = lost
        for item in lost:
            self.named.update(range(item.first_seq, item.first_seq + item.count))
        return identity

    def seal_repair(self) -> bytes:
        return self._seal("time-repair", 0, 0)

    def set_aside(self, code: int = 233) -> None:
        """The node refuses the oldest statement; 233: for its rows, which are named lost then."""
        entry = next(iter(self.journal.pending()), None)
        if entry is None:
            return
        self.gone.add(entry.identity)
        self.journal.set_aside(entry.identity, code)
        if code != 233:
            self.acked.update(range(entry.first_seq, entry.first_seq + entry.count))

    def _seal(self, kind: str, first_seq: int, count: int) -> bytes:
        self.serial += 1
        identity = hashlib.sha256(f"{self.serial} {kind} {self.random.random()}".encode()).digest()
        self.previous[identity] = self.journal.tip_identity
        statement = statement_of(identity, self.journal.tip_identity)
        salt = identity[:16] if kind == "readings" else None
        self.journal.seal(kind, statement, identity, salt, first_seq, count)
        if kind == "readings":
            # Each of them may have been published: two for one sequence would be an equivocation.
            for other, first, many, _ in self.sealed.values():
                assert other != "readings" or first + many <= first_seq or first_seq + count <= first, "a sequence was sealed twice"
        self.sealed[identity] = (kind, first_seq, count, statement)
        return identity

    def free(self, bundles: int) -> None:
        """Acks the oldest statements."""
        entries = list(self.journal.pending())[:bundles]
        if not entries:
            return
        for entry in entries:
            self.gone.add(entry.identity)
            self.acked.update(range(entry.first_seq, entry.first_seq + entry.count))
        assert self.journal.free(entries[-1].identity) == len(entries)

    def restart(self) -> None:
        """The supply comes back."""
        self.flash.cut_after_bytes = None
        self.start()

    def check(self) -> None:
        """Every reading taken is sealed and pending, waiting to be sealed, acked, or lost and known to be."""
        journal = self.journal
        if self.trying and journal.next_seq > self.trying[0]:
            self.taken[self.trying[0]] = self.trying[1]  # durable, though the device died before it could say so
        self.trying = None
        assert all(seq < journal.next_seq for seq in self.taken)
        lost = set(self.named)
        for item in journal.losses.items:
            lost.update(range(item.record.first_seq, item.record.first_seq + item.record.count))
        rows = self.rows_on_flash()
        waiting = self.check_pending(rows) | self.check_groups(rows)
        missing = set(self.taken) - waiting - lost - self.acked
        assert not missing, f"readings forgotten: {sorted(missing)[:5]}"

    def rows_on_flash(self) -> dict[int, Reading]:
        """Every reading that can be read."""
        found: list[Reading] = []
        for sector in self.journal.ring.alive():
            decode_sector(self.journal.ring, sector, 0, 1 << 62, found)
        return {reading.seq: reading for reading in found}

    def check_rows(self, first_seq: int, count: int, rows: dict[int, Reading]) -> set[int]:
        for seq in range(first_seq, first_seq + count):
            reading = rows[seq]
            assert (reading.time_s, reading.registers, reading.status) == self.taken[seq]
        return set(range(first_seq, first_seq + count))

    def check_pending(self, rows: dict[int, Reading]) -> set[int]:
        seqs: set[int] = set()
        for entry in self.journal.pending():
            if entry.identity in self.sealed:
                kind, first_seq, count, statement = self.sealed[entry.identity]
                assert self.journal.statement(entry.identity) == statement
                assert entry.kind == kind
                assert kind != "readings" or (entry.first_seq, entry.count) == (first_seq, count)
            found = self.check_rows(entry.first_seq, entry.count, rows)
            assert not found & seqs, "one sequence in two statements"
            seqs |= found
        return seqs

    def check_groups(self, rows: dict[int, Reading]) -> set[int]:
        seqs: set[int] = set()
        for group in self.journal.groups:
            seqs |= self.check_rows(group.first_seq, group.count, rows)
            assert group.first_seq >= self.journal.sealed_end
            assert len(self.journal.readings(group.first_seq, group.count)) == group.count
        return seqs

    def check_reported(self, complete: bool = True) -> None:
        """After damage: what can be read is what was taken and sealed. `complete`: every reading is there, or in a statement or group that
        is there, or lost and known to be."""
        journal = self.journal
        assert all(seq < journal.next_seq for seq in self.taken), "a sequence would be used twice"
        for seq, reading in self.rows_on_flash().items():
            assert seq not in self.taken or (reading.time_s, reading.registers, reading.status) == self.taken[seq], "another reading"
        reported = set(self.named)
        for item in journal.losses.items:
            reported.update(range(item.record.first_seq, item.record.first_seq + item.record.count))
        for entry in journal.pending():
            kind, first_seq, count, statement = self.sealed[entry.identity]
            assert (entry.kind, entry.first_seq, entry.count) == (kind, first_seq if kind == "readings" else 0, count)
            with suppress(Unavailable):  # unreadable, it is set aside when it is to be sent, and its readings are named lost
                assert journal.statement(entry.identity) == statement, "another statement"
            reported.update(range(entry.first_seq, entry.first_seq + entry.count))
        for group in journal.groups:
            reported.update(range(group.first_seq, group.first_seq + group.count))
        missing = set(self.taken) - reported - self.acked
        assert not complete or not missing, f"readings forgotten: {sorted(missing)[:5]}"


def random_step(model: Model) -> None:
    """One operation, most often a reading."""
    die = model.random.randrange(100)
    if die < 80:
        model.take()
    elif die < 90:
        model.seal()
    elif die < 92:
        model.free(model.random.randrange(1, 4))
    elif die < 96:
        model.seal_gap()
    elif die < 98:
        model.clock = model.random.choice((1, 2, 4))
    else:
        model.start()  # not `restart`, which would also take back the power cut that is due


__all__ = ["Model", "PowerCut", "context_of", "random_step", "statement_of"]
