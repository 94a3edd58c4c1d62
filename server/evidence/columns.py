"""The readings of a bundle as columns, checked and hashed without an object for each: `shared.bundle.check_rows` for the backend.

In: an opened statement, its bundle salt, the decoded columns. Out: Columns, or the error that `bundle.check_rows` raises. Never decides by
itself that rows are wrong: it takes rows of plain integers that rebuild the signed root; all else is left to `shared.bundle`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate, repeat
from typing import Any, Self

from shared import bundle, cbor
from shared.channel import REGISTERS_MAX
from shared.statement import COUNT_MAX
from shared.types import Reading, Statement

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1
_INT = {int}
_WITH_VALUES = frozenset((0, 2, 3, 4, 5))  # statuses under which every register has a value, or may have
_PLACES = tuple(place.to_bytes(2, "big") for place in range(COUNT_MAX))
_LEAF_HEAD = b"\x00\x85\x50"  # RFC 9162's byte before a leaf, then CBOR of a list of five whose first is 16 bytes long
_REGISTERS_HEAD = tuple(cbor.encode([None] * count)[: -count or None] for count in range(REGISTERS_MAX + 1))
_SMALL = 1 << 13
_encoded_small = (*map(cbor.encode, range(_SMALL)), *map(cbor.encode, range(-_SMALL, 0))).__getitem__  # by the number itself, also below 0
# (bits, lowest value, head in front of that many bits) of numbers that are not small.
_WIDTHS = ((16, 1 << 8, 0x19 << 16), (32, 1 << 16, 0x1A << 32), (64, 1 << 32, 0x1B << 64))
_join = b"".join
_Pieces = Iterable[bytes]


@dataclass(frozen=True, slots=True)
class Columns:
    """times: UTC seconds; registers: for each the values, None where there is none; statuses. All of one length, at least 1."""

    times: Sequence[int]
    registers: Sequence[Sequence[int | None]]
    statuses: Sequence[int]

    @classmethod
    def of(cls, readings: Sequence[Reading]) -> Self:
        """The same readings, as the reference gives them."""
        registers = [list(column) for column in zip(*(reading.registers for reading in readings), strict=True)]
        return cls([reading.time_s for reading in readings], registers, [reading.status for reading in readings])

    def registers_at(self, place: int) -> list[int | None]:
        """Of one reading."""
        return [column[place] for column in self.registers]


def check_columns(statement: Statement, salt: object, rows: object) -> Columns | None:
    """The columns, when they rebuild the root that the statement signs; None for the kinds without rows. Raises as `bundle.check_rows`."""
    if statement.kind == "readings" and type(salt) is bytes and len(salt) == bundle.SALT_BYTES:
        read = _read(statement, rows)
        if read is not None and _root(_leaf_hashes(salt, statement.count, read[1])) == statement.root:
            return read[0]
    readings = bundle.check_rows(statement, salt, rows)
    return Columns.of(readings) if readings else None


# --- columns


def read_columns(statement: Statement, rows: object) -> Columns | None:
    """The columns whatever their root; None for rows that are left to the reference, right or wrong."""
    read = _read(statement, rows)
    return None if read is None else read[0]


def _read(statement: Statement, rows: Any) -> tuple[Columns, list[_Pieces]] | None:
    """The columns and the pieces of their leaves, if all is right and nothing but integers; None leaves it to the reference."""
    if type(rows) is not list or len(rows) != 3:
        return None
    count = statement.count
    times, registers = _times(statement.start_s, count, rows[0]), rows[1]
    if times is None or type(registers) is not list or not 1 <= len(registers) <= REGISTERS_MAX:
        return None
    pieces = _place_pieces(range(statement.first_seq, statement.first_seq + count), times, _REGISTERS_HEAD[len(registers)])
    values = []
    for column in registers:
        register = _register(column, count)
        if register is None:
            return None
        values.append(register[0])
        pieces.append(register[1])
    statuses = _plain(rows[2], count)
    if statuses is None or not _WITH_VALUES.issuperset(statuses):
        return None
    pieces.append(_pieces(statuses, min(statuses), max(statuses)))
    return Columns(times, values, statuses), pieces


def _times(start_s: int, count: int, column: Any) -> Sequence[int] | None:
    if type(column) is int:
        if count == 1 or column < 0 or start_s + column * (count - 1) > _INT64_MAX:
            return None
        return range(start_s, start_s + column * count, column) if column else [start_s] * count
    if count == 1:
        return [start_s] if column == [] else None
    deltas = _plain(column, count - 1)
    if deltas is None or min(deltas) < 0:
        return None
    times = list(accumulate(deltas, initial=start_s))
    return times if times[-1] <= _INT64_MAX else None


def _register(column: Any, count: int) -> tuple[Sequence[int], _Pieces] | None:
    deltas = _plain(column, count)
    if deltas is None:
        return None
    values = list(accumulate(deltas))
    low, high = min(values), max(values)
    return (values, _pieces(values, low, high)) if low >= _INT64_MIN and high <= _INT64_MAX else None


def _plain(column: Any, count: int) -> list[int] | None:
    """A column of integers in the one form allowed."""
    if type(column) is int:
        return [column] * count
    if type(column) is not list or len(column) != count or set(map(type, column)) != _INT:
        return None
    return None if column[0] == column[-1] and column.count(column[0]) == count else column


# --- leaves and root


def leaf_hashes(statement: Statement, salt: bytes, rows: object) -> list[bytes] | None:
    """`bundle.leaf_hashes`; None for rows that are left to the reference."""
    read = _read(statement, rows)
    return None if read is None else _leaf_hashes(salt, statement.count, read[1])


def _leaf_hashes(salt: bytes, count: int, pieces: list[_Pieces]) -> list[bytes]:
    salts = [sha256(salt + place).digest()[:16] for place in _PLACES[:count]]
    return [sha256(_join(leaf)).digest() for leaf in zip(repeat(_LEAF_HEAD), salts, *pieces)]  # noqa: B905 - some repeat for ever


def _place_pieces(seqs: range, times: Sequence[int], head: bytes) -> list[_Pieces]:
    """Sequence, time and the head of the registers: where the steps are even, in one number that grows by one step."""
    seq, time = _fixed(seqs[0], seqs[-1]), _fixed(times[0], times[-1])
    if seq is None or time is None or type(times) is not range:
        return [_pieces(seqs, seqs[0], seqs[-1]), _pieces(times, times[0], times[-1]), repeat(head)]
    shift, tail = 8 * (time[1] + len(head)), 8 * len(head)
    first = seq[0] + seqs[0] << shift | time[0] + times[0] << tail | int.from_bytes(head, "big")
    step = (1 << shift) + (times.step << tail)
    width = seq[1] + time[1] + len(head)
    return [[number.to_bytes(width, "big") for number in range(first, first + step * len(seqs), step)]]


def _pieces(values: Sequence[int], low: int, high: int) -> _Pieces:
    """CBOR of each, for ever if they are all the same."""
    if low >= -_SMALL and high < _SMALL:
        return repeat(_encoded_small(low)) if low == high else map(_encoded_small, values)
    if low == high:
        return repeat(cbor.encode(low))
    fixed = _fixed(low, high)
    if fixed is None:
        return map(cbor.encode, values)
    head, width = fixed
    return [(head + value).to_bytes(width, "big") for value in values]


def _fixed(low: int, high: int) -> tuple[int, int] | None:
    """(what to add, bytes) to encode numbers low..high, if all of them have a head and one width."""
    for bits, least, head in _WIDTHS:
        if least <= low and high < 1 << bits:
            return head, bits // 8 + 1
    return None


def _root(level: list[bytes]) -> bytes:
    """`merkle.root`, with less around each hash."""
    while len(level) > 1:
        pairs = iter(level)
        parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs)]  # noqa: B905 - the odd one is promoted
        if len(level) & 1:
            parents.append(level[-1])
        level = parents
    return level[0]
