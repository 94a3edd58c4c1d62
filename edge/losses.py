"""Readings that were lost and that no gap statement has named yet.

In: ranges lost. Out: up to 4 of them for one gap statement (SPEC 3, key 13), ascending and not overlapping. Each has a number; a gap
statement that is durable has named all below a number, so that nothing is forgotten or named twice after a power cut. Touches no flash.
"""

from edge import records
from shared.types import Lost

LOST_FULL = 1
LOST_DAMAGED = 2
LOST_SKIPPED = 3
LOST_PER_GAP_MAX = 4  # SPEC 3 allows 32; making and signing so long a statement takes heap that a small device does not have
UNWRITTEN = -1


class Loss:
    """A loss and the sector it is written in (−1: none)."""

    __slots__ = ("record", "sector")

    def __init__(self, record: records.LostRecord, sector: int) -> None:
        self.record = record
        self.sector = sector


def end_of(record: records.LostRecord) -> int:
    return record.first_seq + record.count


def union(a: records.LostRecord, b: records.LostRecord) -> records.LostRecord:
    """One record for both; it keeps the identity of the one that ends later, to which the next statement is chained."""
    last = a if end_of(a) > end_of(b) else b
    first_seq = min(a.first_seq, b.first_seq)
    return records.LostRecord(max(a.number, b.number), first_seq, end_of(last) - first_seq, last.identity, last.reason)


class Losses:
    """`items` ascending by sequence; `named`: every loss with a lower number is in a gap statement."""

    def __init__(self) -> None:
        self.items: list[Loss] = []
        self.named = 0
        self.next_number = 0

    def __len__(self) -> int:
        return len(self.items)

    def add(self, first_seq: int, count: int, identity: bytes | None, reason: int) -> None:
        self.load(records.LostRecord(self.next_number, first_seq, count, identity, reason), UNWRITTEN)

    def load(self, record: records.LostRecord, sector: int) -> None:
        """Takes a loss, new or from the flash; joined with what it overlaps."""
        self.next_number = max(self.next_number, record.number + 1)
        kept: list[Loss] = []
        for item in self.items:
            other = item.record
            if end_of(other) <= record.first_seq or end_of(record) <= other.first_seq:
                kept.append(item)
            elif other[1:] == record[1:]:
                record, sector = (other, item.sector) if sector == UNWRITTEN else (record, sector)
            else:
                record, sector = union(other, record), UNWRITTEN
        kept.append(Loss(record, sector))
        kept.sort(key=lambda item: item.record.first_seq)
        self.items = kept
        self._shorten()

    def _shorten(self) -> None:
        """Joins neighbours while there are more than one gap statement holds."""
        i = 0
        while len(self.items) > LOST_PER_GAP_MAX and i + 1 < len(self.items):
            a, b = self.items[i].record, self.items[i + 1].record
            if end_of(a) == b.first_seq:
                self.items[i] = Loss(union(a, b), UNWRITTEN)
                self.items.pop(i + 1)
            else:
                i += 1

    def unwritten(self, sector: int) -> list[Loss]:
        """Those on no sector, or only on this one."""
        return [item for item in self.items if item.sector in (UNWRITTEN, sector)]

    def for_gap(self) -> tuple[list[Lost], int]:
        """(the oldest losses, the number up to which they are all of them)."""
        oldest = sorted(self.items, key=lambda item: item.record.number)[:LOST_PER_GAP_MAX]
        number = oldest[-1].record.number + 1
        oldest.sort(key=lambda item: item.record.first_seq)
        return [Lost(r.first_seq, r.count, r.identity, r.reason) for r in (item.record for item in oldest)], number

    def apply_named(self, number: int) -> None:
        self.named = max(self.named, number)
        self.next_number = max(self.next_number, number)
        self.items = [item for item in self.items if item.record.number >= number]

    def covers(self, first_seq: int, count: int) -> bool:
        return any(item.record.first_seq <= first_seq and first_seq + count <= end_of(item.record) for item in self.items)
