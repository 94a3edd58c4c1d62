"""What one device's logged statements add up to: next contiguous sequence, head, ranges missing (SPEC section 6). A pure function.

In: statements in log order. Out: the state after each, and what was odd about it. Never reads a clock or a store, so that fsck and the
live backend run the same function.

The chain is kept as segments (runs of statements that name each other as previous) and ranges (runs of covered sequences above
next_seq), so that its size grows with the disorder on the way and not with time.
"""

from dataclasses import dataclass, field
from typing import Any

import cbor2

from server import fastcbor
from shared.errors import DecodeError, Unavailable
from shared.types import Statement

RANGES_MAX = 1024
WAITING_MAX = 256
LOST_MAX = 64
MISSING_MAX = 16  # ranges an ack may name


@dataclass(eq=False, slots=True)
class Segment:
    """Statements chained without a break: the one after `before` up to `last`; `end_seq` is the highest sequence end among them."""

    before: bytes | None
    last: bytes
    end_seq: int


@dataclass(eq=False, slots=True)
class Range:
    """Sequences first ≤ s < end, logged or named lost, above next_seq; `segment` holds the last statement of it, None if it is all lost."""

    first: int
    end: int
    segment: Segment | None


@dataclass(frozen=True, slots=True)
class Tail:
    """The latest bundle of a channel by sequence: what the next one is compared with."""

    first_seq: int
    boot: int
    clock: int
    last_s: int
    channel_table: bytes
    registers: tuple[int | None, ...]


@dataclass(slots=True)
class Chain:
    """Everything derived about one device."""

    next_seq: int = 0
    high_seq: int = 0  # end of the highest logged sequence
    boot: int = 0
    head: Segment | None = None
    ranges: list[Range] = field(default_factory=list)
    waiting: list[Segment] = field(default_factory=list)
    lost: list[bytes] = field(default_factory=list)  # identities named lost whose successor has not come yet, oldest first
    tails: dict[int, Tail] = field(default_factory=dict)
    conditions: list[str] = field(default_factory=list)  # lasting oddities already reported

    @property
    def head_identity(self) -> bytes | None:
        """The identity an ack names."""
        return self.head.last if self.head else None

    def missing(self) -> list[tuple[int, int]]:
        """Ranges (first, count) missing below the highest logged sequence, ascending, at most MISSING_MAX."""
        holes = []
        at = self.next_seq
        for span in self.ranges:
            if span.first >= self.high_seq:
                break
            if span.first > at:
                holes.append((at, span.first - at))
            at = max(at, span.end)
        return holes[:MISSING_MAX]

    def covers(self, first: int, end: int) -> bool:
        """Whether every sequence first ≤ s < end is logged or named lost."""
        at = max(first, self.next_seq)
        for span in self.ranges:
            if at >= end or span.first > at:
                break
            at = max(at, span.end)
        return at >= end

    def touches(self, first: int, end: int) -> bool:
        """Whether any sequence first ≤ s < end is logged or named lost."""
        return first < self.next_seq or any(span.first < end and first < span.end for span in self.ranges)


@dataclass(frozen=True, slots=True)
class Step:
    """What adding a statement showed."""

    broken_after: tuple[bytes | None, ...] = ()  # the head had to jump to statements after these unknown ones
    skipped: tuple[int, int] | None = None  # (first, count) that the device left out without naming it lost


NOTHING_ODD = Step()


def check_room(chain: Chain, statement: Statement) -> None:
    """Raises Unavailable 420 if the statement would open one hole too many: the device sends what is missing first."""
    fills = _fills(chain, statement)
    more = (len(statement.lost) if statement.kind == "gap" else 1) - fills
    if len(chain.ranges) + more > (2 * RANGES_MAX if fills else RANGES_MAX):  # what fills a hole may open others, but not without end
        raise Unavailable(420, "too many missing ranges: those come first")


def _fills(chain: Chain, statement: Statement) -> bool:
    if statement.kind == "readings":
        first, end = statement.first_seq, statement.first_seq + statement.count
        return first <= chain.next_seq or any(first == span.end or end == span.first for span in chain.ranges)
    return statement.kind == "time-repair" or bool(statement.lost[0].first_seq <= chain.next_seq)


def apply_statement(chain: Chain, statement: Statement, identity: bytes) -> Step:
    """Adds a logged statement. The caller has made sure that the identity was not added before."""
    if _follows(chain, statement):
        return _apply_next(chain, statement, identity)
    skipped = _skipped(chain, statement)
    segment = _join_segment(chain, statement, identity)
    broken: list[bytes | None] = []
    if chain.head is None and statement.previous is None:
        chain.head = segment
    if statement.previous in chain.lost:
        chain.lost.remove(statement.previous)
        chain.head = segment
    if statement.kind == "gap":
        for item in statement.lost:
            _name_lost(chain, item.identity)
    if statement.kind == "readings":
        end = statement.first_seq + statement.count
        chain.high_seq = max(chain.high_seq, end)
        segment.end_seq = max(segment.end_seq, end)
        _cover(chain, statement.first_seq, end, segment)
    elif statement.kind == "gap":
        for item in statement.lost:
            _cover(chain, item.first_seq, item.first_seq + item.count, None)
            segment.end_seq = max(segment.end_seq, item.first_seq + item.count)
    _absorb(chain, broken)
    chain.boot = max(chain.boot, statement.boot)
    _forget(chain)
    return Step(tuple(broken), skipped)


def _follows(chain: Chain, statement: Statement) -> bool:
    """Whether it continues head and sequence of a chain without disorder, as nearly every statement does."""
    if chain.head is None or statement.kind != "readings" or chain.ranges or chain.waiting or chain.lost:
        return False
    return bool(statement.first_seq == chain.next_seq and statement.previous == chain.head.last)


def _apply_next(chain: Chain, statement: Statement, identity: bytes) -> Step:
    """What the long way would do with it."""
    assert chain.head is not None
    end = statement.first_seq + statement.count
    chain.head.last = identity
    chain.head.end_seq = max(chain.head.end_seq, end)
    chain.next_seq = end
    chain.high_seq = max(chain.high_seq, end)
    chain.boot = max(chain.boot, statement.boot)
    return NOTHING_ODD


def _skipped(chain: Chain, statement: Statement) -> tuple[int, int] | None:
    """Sequences between a readings statement and the chain it continues that nothing covers: the device itself left them out."""
    if statement.kind != "readings":
        return None
    before = next((s for s in _segments(chain) if s.last == statement.previous), None)
    start = before.end_seq if before else 0 if statement.previous is None else statement.first_seq
    if start >= statement.first_seq or chain.covers(start, statement.first_seq):
        return None
    return start, statement.first_seq - start


def _segments(chain: Chain) -> list[Segment]:
    """Every segment still of use, each once: head, waiting, those of ranges."""
    found = {id(s): s for s in chain.waiting}
    if chain.head:
        found[id(chain.head)] = chain.head
    for span in chain.ranges:
        if span.segment:
            found[id(span.segment)] = span.segment
    return list(found.values())


def _join_segment(chain: Chain, statement: Statement, identity: bytes) -> Segment:
    """The segment the statement now belongs to: one it continues, perhaps joined with one that continues it, or a new one that waits."""
    segments = _segments(chain)
    segment = next((s for s in segments if s.last == statement.previous), None)
    if segment is None:
        segment = Segment(statement.previous, identity, 0)
        chain.waiting.append(segment)
    else:
        segment.last = identity
    later = next((s for s in segments if s.before == identity), None)
    if later is None or later is segment:
        return segment
    segment.last = later.last
    segment.end_seq = max(segment.end_seq, later.end_seq)
    for span in chain.ranges:
        if span.segment is later:
            span.segment = segment
    if chain.head is later:
        chain.head = segment
    chain.waiting = [s for s in chain.waiting if s is not later]
    return segment


def _cover(chain: Chain, first: int, end: int, segment: Segment | None) -> None:
    """Inserts a range in order and melts it with neighbours that it exactly touches; overlapping ones (equivocation) stay apart."""
    ranges = chain.ranges
    at = len(ranges)
    while at and (ranges[at - 1].first, ranges[at - 1].end) > (first, end):
        at -= 1
    ranges.insert(at, Range(first, end, segment))
    for left in (at, at - 1):
        if 0 <= left < len(ranges) - 1 and ranges[left].end == ranges[left + 1].first:
            right = ranges.pop(left + 1)
            ranges[left].end = right.end
            ranges[left].segment = right.segment or ranges[left].segment


def _absorb(chain: Chain, broken: list[bytes | None]) -> None:
    """Moves next_seq over what is contiguous, and the head to the readings that moved it; says where the chain was broken there."""
    while chain.ranges and chain.ranges[0].first <= chain.next_seq:
        span = chain.ranges.pop(0)
        if span.end <= chain.next_seq:
            continue
        chain.next_seq = span.end
        if span.segment and span.segment is not chain.head:
            if span.segment.before is not None or chain.head is not None:
                broken.append(span.segment.before)
            chain.head = span.segment


def _name_lost(chain: Chain, identity: bytes | None) -> None:
    """An identity will never come: the head moves to what follows it, now or later."""
    if identity is None:
        return
    follower = next((s for s in _segments(chain) if s.before == identity), None)
    if follower is not None and follower is not chain.head:
        chain.head = follower
    elif follower is None and identity not in chain.lost:
        chain.lost.append(identity)


def _forget(chain: Chain) -> None:
    """Drops what the limits do not allow, oldest first. It costs at most a later move of the head."""
    chain.waiting = [s for s in chain.waiting if s is not chain.head][-WAITING_MAX:]
    del chain.lost[:-LOST_MAX]


def encode_chain(chain: Chain) -> bytes:
    """CBOR for the derived table; equal chains give equal bytes."""
    segments = _segments(chain)
    place = {id(s): i for i, s in enumerate(segments)}
    return cbor2.dumps(
        [
            [chain.next_seq, chain.high_seq, chain.boot],
            [[s.before, s.last, s.end_seq] for s in segments],
            place[id(chain.head)] if chain.head else None,
            [place[id(s)] for s in chain.waiting],
            [[r.first, r.end, place[id(r.segment)] if r.segment else None] for r in chain.ranges],
            chain.lost,
            [[c, t.first_seq, t.boot, t.clock, t.last_s, t.channel_table, list(t.registers)] for c, t in sorted(chain.tails.items())],
            chain.conditions,
        ]
    )


def decode_chain(data: bytes) -> Chain:
    """The state in a derived row. Raises DecodeError 1xx if the row was damaged."""
    fields: Any = fastcbor.decode(data, 1 << 20)
    try:
        numbers, segment_rows, head, waiting, ranges, lost, tails, conditions = fields
        segments = [Segment(*row) for row in segment_rows]
        next_seq, high_seq, boot = numbers
        return Chain(
            next_seq,
            high_seq,
            boot,
            head=None if head is None else segments[head],
            ranges=[Range(first, end, None if at is None else segments[at]) for first, end, at in ranges],
            waiting=[segments[at] for at in waiting],
            lost=lost,
            tails={c: Tail(first, boot, clock, last_s, table, tuple(regs)) for c, first, boot, clock, last_s, table, regs in tails},
            conditions=conditions,
        )
    except (TypeError, ValueError, IndexError) as error:
        raise DecodeError(108, f"chain state is damaged: {error}") from None
