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
_SMALL = 1 << 13
_ENCODED_SMALL = tuple(cbor.encode(value) for value in range(-_SMALL, _SMALL))
_join = b"".join


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
        columns = _read(statement, rows)
        if columns is not None and _root(leaf_hashes(salt, statement.first_seq, columns)) == statement.root:
            return columns
    readings = bundle.check_rows(statement, salt, rows)
    return Columns.of(readings) if readings else None


# --- columns


def _read(statement: Statement, rows: Any) -> Columns | None:
    """The columns if all is right and nothing but integers; None leaves it to the reference."""
    if type(rows) is not list or len(rows) != 3:
        return None
    count = statement.count
    times, registers = _times(statement.start_s, count, rows[0]), rows[1]
    if times is None or type(registers) is not list or not 1 <= len(registers) <= REGISTERS_MAX:
        return None
    statuses = _plain(rows[2], count)
    if statuses is None or not _WITH_VALUES.issuperset(statuses):
        return None
    values = [_register(column, count) for column in registers]
    return None if None in values else Columns(times, values, statuses)  # type: ignore[arg-type]


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


def _register(column: Any, count: int) -> Sequence[int] | None:
    if type(column) is int and column:
        values: Sequence[int] = range(column, column * (count + 1), column)
        low, high = sorted((values[0], values[-1]))
    else:
        deltas = _plain(column, count)
        if deltas is None:
            return None
        values = list(accumulate(deltas))
        low, high = min(values), max(values)
    return values if low >= _INT64_MIN and high <= _INT64_MAX else None


def _plain(column: Any, count: int) -> list[int] | None:
    """A column of integers in the one form allowed."""
    if type(column) is int:
        return [column] * count
    if type(column) is not list or len(column) != count or set(map(type, column)) != _INT or column.count(column[0]) == count:
        return None
    return column


# --- leaves and root


def leaf_hashes(salt: bytes, first_seq: int, columns: Columns) -> list[bytes]:
    """`bundle.leaf_hashes` of readings without a null."""
    count = len(columns.statuses)
    salts = [sha256(salt + place).digest()[:16] for place in _PLACES[:count]]
    head = cbor.encode([None] * len(columns.registers))[: -len(columns.registers)]
    places = _encode(range(first_seq, first_seq + count))
    parts = [_encode(column) for column in columns.registers]  # type: ignore[arg-type]
    pieces = (repeat(_LEAF_HEAD), salts, places, _encode(columns.times), repeat(head), *parts, _encode(columns.statuses))
    return [sha256(_join(leaf)).digest() for leaf in zip(*pieces)]  # noqa: B905 - some repeat for ever


def _encode(values: Sequence[int]) -> Iterable[bytes]:
    """CBOR of each, for ever if they are all the same."""
    low, high = min(values), max(values)
    if low == high:
        return repeat(cbor.encode(low))
    if low >= -_SMALL and high < _SMALL:
        return [_ENCODED_SMALL[value + _SMALL] for value in values]
    # Of one width: the head's byte added above the number itself.
    for bits, code in ((16, 0x19), (32, 0x1A), (64, 0x1B)):
        if low >= (1 << bits // 2 if bits > 16 else 0x100) and high < 1 << bits:
            head, width = code << bits, bits // 8 + 1
            return [(head + value).to_bytes(width, "big") for value in values]
    return [cbor.encode(value) for value in values]


def _root(level: list[bytes]) -> bytes:
    """`merkle.root`, with less around each hash."""
    while len(level) > 1:
        pairs = iter(level)
        parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(pairs, pairs)]  # noqa: B905 - the odd one is promoted
        if len(level) & 1:
            parents.append(level[-1])
        level = parents
    return level[0]
