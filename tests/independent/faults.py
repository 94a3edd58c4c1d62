"""Ways to be wrong: from one good value, many bad ones, each with what is wrong about it.

In: good bytes, maps and what kind each field is. Out: (description, bad bytes or value, wanted code). Never two faults at once.
"""

from collections.abc import Iterator

from tests.independent.cbor_out import cbor, head
from tests.independent.values import Pairs, Raw

Fault = tuple[str, object]
ENDS_EARLY, TRAILING, NOT_SHORTEST, TYPE_REFUSED, MAP_ORDER, TOO_LONG = 100, 101, 102, 103, 104, 106


def uint(low: int, high: int) -> list[Fault]:
    """Faults of an integer low..high."""
    faults: list[Fault] = [
        ("is negative", -1),
        ("is text", str(low)),
        ("is a byte string", b"\x01"),
        ("is null", None),
        ("is a list", [low]),
    ]
    if low > 0:
        faults.append((f"is {low - 1}, below the least", low - 1))
    if low <= 1 <= high:
        faults.append(("is true instead of 1", True))
    if low == 0:
        faults.append(("is false instead of 0", False))
    if high < 2**32:
        faults.append(("is 2**32 + the least", 2**32 + low))
    return [*faults, (f"is {high + 1}, beyond the most", high + 1), ("is 2**64 - 1", 2**64 - 1)]


def sized(length: int) -> list[Fault]:
    """Faults of a byte string of exactly `length`."""
    return [
        ("is a byte short", bytes([1] * (length - 1))),
        ("is a byte long", bytes([1] * (length + 1))),
        ("is empty", b""),
        ("is text", "1" * length),
        ("is true", True),
        ("is a list of integers", [1] * length),
    ]


def text() -> list[Fault]:
    return [("is a byte string", b"text"), ("is an integer", 1), ("is null", None), ("is true", True), ("is a list", ["text"])]


def listed() -> list[Fault]:
    """Faults of a list, whatever is in it."""
    return [("is a map", {}), ("is a byte string", b"\x80"), ("is an integer", 0), ("is true", True)]


UINT = uint(0, 2**63 - 1)
HASH: list[Fault] = [*sized(32), ("is null", None)]


def no_null(faults: list[Fault]) -> list[Fault]:
    """For a field that may be null."""
    return [fault for fault in faults if fault[1] is not None]


def of_bytes(good: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Faults of any CBOR item that is a list, a map or tagged."""
    yield "empty input", b"", ENDS_EARLY
    yield "last byte cut off", good[:-1], ENDS_EARLY
    yield "only the first half", good[: len(good) // 2], ENDS_EARLY
    yield "a zero byte after the end", good + b"\x00", TRAILING
    yield "the item twice", good + good, TRAILING
    first = 1 if good[0] == 0xD2 else 0
    major, low = good[first] >> 5, good[first] & 31
    if low < 24:
        yield "outer length not in shortest form", good[:first] + head(major, low, 1) + good[first + 1 :], NOT_SHORTEST
        yield "outer length indefinite", good[:first] + bytes([major << 5 | 31]) + good[first + 1 :] + b"\xff", TYPE_REFUSED
    yield "tag 24 before it", b"\xd8\x18" + good, TYPE_REFUSED


def of_map(
    fields: dict[int, object], kinds: dict[int, list[Fault]], code: int, names: dict[int, str] | None = None
) -> Iterator[tuple[str, bytes, int]]:
    """Faults of a map with integer keys: of its keys, and of each field by its kind."""
    pairs = sorted(fields.items(), key=lambda pair: cbor(pair[0]))
    yield "keys in reverse order", cbor(Pairs(reversed(pairs))), MAP_ORDER
    yield "first key twice", cbor(Pairs(pairs[:1] + pairs)), MAP_ORDER
    yield "last two keys swapped", cbor(Pairs(pairs[:-2] + pairs[:-3:-1])), MAP_ORDER
    yield "a list of the values instead of a map", cbor([value for _, value in pairs]), code
    yield "an unlisted key 99", cbor({**fields, 99: 0}), code
    yield "a text key", cbor({**fields, "1": 0}), code
    yield "null instead of a map", cbor(None), code
    for key in fields:
        name = f"field {key}" + (f" ({names[key]})" if names and key in names else "")
        yield f"{name} is missing", cbor({k: v for k, v in fields.items() if k != key}), code
        for what, value in kinds.get(key, ()):
            yield f"{name} {what}", cbor({**fields, key: value}), code


def of_list(items: list[object], kinds: list[list[Fault]], code: int, names: list[str]) -> Iterator[tuple[str, bytes, int]]:
    """Faults of a list of fixed length."""
    yield "last item missing", cbor(items[:-1]), code
    yield "an item too many", cbor([*items, 0]), code
    yield "an empty list", cbor([]), code
    yield "a map instead of a list", cbor(dict(enumerate(items))), code
    for place, faults in enumerate(kinds):
        for what, value in faults:
            yield f"{names[place]} {what}", cbor(items[:place] + [value] + items[place + 1 :]), code


def bit_flipped(data: bytes, at: int, mask: int = 1) -> bytes:
    """The data with one bit (or more, by mask) of the byte at `at` changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


def flipped_inside(data: bytes, part: bytes, at: int = 0, mask: int = 1) -> bytes:
    """The data with a bit changed inside `part`, which stands in it once."""
    place = data.index(part)
    return bit_flipped(data, place + at % len(part), mask)


def nested(depth: int, inner: object) -> Raw:
    """`inner` inside `depth` lists."""
    return Raw(b"\x81" * depth + cbor(inner))


def list_faults(name: str, good: list[object], kinds: list[list[Fault]], names: list[str]) -> Iterator[tuple[str, list[object]]]:
    """Faults of one item of a list, as the whole list."""
    yield f"{name}: last item missing", [good[:-1]]
    yield f"{name}: an item too many", [[*good, 0]]
    yield f"{name}: a map", [dict(enumerate(good))]
    yield f"{name}: null", [None]
    yield f"{name}: an integer", [1]
    for place, found in enumerate(kinds):
        for what, value in found:
            yield f"{name}: {names[place]} {what}", [[*good[:place], value, *good[place + 1 :]]]
