"""Single bits of a journal's flash, changed while it is off or in use, and what must hold afterwards. Contains no test.

In: a model of a journal, places. Out: how many ways the journal took it; AssertionError when it is wrong about anything. Never assumes
that a start can be right: it may say (421) that it cannot know.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from edge import records
from edge.flash import SECTOR_BYTES
from edge.journal import Journal
from shared.errors import Unavailable
from tests.device.journal_model import Model
from tests.device.memory_flash import MemoryFlash

NAMES = {
    records.READING: "short reading",
    records.CONTEXT: "context",
    records.STATEMENT: "statement",
    records.LOST: "lost",
    records.BOOT: "boot",
    records.LONG_READING: "long reading",
}


# With these gone, a device knows what it lost only when the node asks for it: then it names it (outbox).
ASKED_FOR = ("header", "lost")


class Record(NamedTuple):
    """Bytes [start, end) of the flash."""

    name: str
    start: int
    end: int


def records_of(model: Model) -> Iterator[Record]:
    """Headers and records of every sector in use, then what is blank behind them; statements are named by their kind."""
    ring = model.journal.ring
    for sector in range(ring.sectors):
        base = sector * SECTOR_BYTES
        end = 0
        if sector in set(ring.alive()):
            yield Record("header", base, base + records.HEADER_BYTES)
            end = records.HEADER_BYTES
            for offset, frame in ring.frames(sector):
                if frame.kind < records.BLANK:
                    kind = records.read_statement_meta(frame.body).kind + " " if frame.kind == records.STATEMENT else ""
                    yield Record(kind + NAMES[frame.kind], base + offset, base + frame.end)
                    end = frame.end
        if end < SECTOR_BYTES:
            yield Record("blank", base + end, base + SECTOR_BYTES)


def one_of_each(model: Model) -> list[Record]:
    """The first record of each name, and the last, which a start sees otherwise."""
    found = list(records_of(model))
    first = {record.name: record for record in reversed(found)}
    head = model.journal.ring.head * SECTOR_BYTES
    last = [record for record in found if head <= record.start < head + SECTOR_BYTES and record.name != "blank"][-1]
    return [*first.values(), last]


def fingerprint(journal: Journal) -> tuple[object, ...]:
    """All that a start concludes: two equal ones go on in the same way."""
    return (
        (journal.boot, journal.next_seq, journal.sealed_end, journal.statements, journal.tip_identity, journal.gaps, tuple(journal.index)),
        tuple((item.record, item.sector) for item in journal.losses.items),
        (journal.losses.named, journal.losses.next_number),
        tuple((group.context, group.first_seq, group.count, group.start_s) for group in journal.groups),
        (journal.ring.head, journal.ring.offset, journal.ring.serial, tuple(journal.ring.first_seq)),
    )


class Damage:
    """Changes bits of one model's flash and starts from it. What a start concludes is looked at each time; that it then holds to the end,
    once for each conclusion from damage to one record."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.bits = 0
        self.unknown = 0  # starts that rightly refuse
        self.conclusions: set[tuple[object, ...]] = set()
        self._boot = max(model.boots)

    def flip(self, record: Record, bit: int) -> None:
        """One bit while the device is off."""
        flash = self.model.flash.copy()
        flash.content[bit // 8] ^= 1 << bit % 8
        self.bits += 1
        try:
            journal = Journal(flash)
        except Unavailable as error:
            assert error.code == 421
            self.unknown += 1
            return
        assert journal.next_seq > max(self.model.taken), "a sequence would be used twice"
        assert journal.boot >= self._boot, "a boot would be used twice"
        concluded = (record, fingerprint(journal))
        if concluded not in self.conclusions:
            self.conclusions.add(concluded)
            self.hold(flash, journal, record.name not in ASKED_FOR)

    def hold(self, flash: MemoryFlash, journal: Journal, complete: bool) -> None:
        """What was concluded is true, stays so at the next start, and device and backend come to an end with it."""
        from tests.device.test_journal_flips import run_to_the_end

        trial = self.model.copy()
        trial.flash, trial.journal = flash, journal
        trial.check_reported(complete)
        trial.start()
        trial.check_reported(complete)
        run_to_the_end(trial)

    def flip_all(self, found: Iterable[Record], step: int) -> None:
        for record in found:
            for bit in bits_of(record, step):
                self.flip(record, bit)


def bits_of(record: Record, step: int) -> list[int]:
    """Every bit with step 1, but of what is blank, where one is like another, the ends and every 89th; else every so many."""
    if record.name != "blank":
        return list(range(8 * record.start, 8 * record.end, step))
    ends = 8 * records.HEADER_BYTES
    first, last = 8 * record.start, 8 * record.end
    found = {*range(first, min(first + ends, last), step), *range(max(first, last - 64), last, step), *range(first, last, 89 * step)}
    return sorted(found)
