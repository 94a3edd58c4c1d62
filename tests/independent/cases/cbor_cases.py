"""cbor.json: the CBOR profile of SPEC.md section 1."""

from collections.abc import Iterator

from tests.independent import faults
from tests.independent.book import Book
from tests.independent.cbor_out import cbor, head
from tests.independent.values import Pairs, Raw, Tag

EDGES = (0, 1, 10, 23, 24, 25, 100, 255, 256, 1000, 65535, 65536, 2**32 - 1, 2**32, 2**53, 2**63 - 1, 2**63, 2**64 - 1)
NEGATIVES = (-1, -10, -24, -25, -256, -257, -65536, -65537, -(2**32), -(2**32) - 1, -(2**63), -(2**64))
TEXTS = ("", "a", "IETF", '"\\', "ü", "水", "𐅑", "a\x00b", "x" * 23, "x" * 24)


def positives() -> Iterator[tuple[str, object]]:
    for number in EDGES + NEGATIVES:
        yield f"integer {number}", number
    for length in (0, 1, 23, 24, 255, 256):
        yield f"byte string of {length}", b"\xa5" * length
    for text in TEXTS:
        yield f"text of {len(text)} characters, {len(text.encode())} bytes, {text[:2]!r}", text
    yield from (("false", False), ("true", True), ("null", None))
    yield from (("empty list", []), ("list in lists", [1, [2, 3], [4, [5]]]), ("list of 25", list(range(1, 26))))
    yield "empty map", {}
    yield "map with integer keys", {1: 2, 3: 4}
    yield "map with keys of every kind, bytewise order", {10: 1, 100: 2, -1: 3, "z": 4, "aa": 5}
    yield "map where bytewise order differs from length-first order", {256: 1, -1: 2, "": 3}
    yield "map of lists and maps", {"a": [True, None], "b": {"c": -5}}
    yield "sixteen lists around an integer", [[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]
    yield "tag 18 outermost", Tag(18, [b"", {}, b"payload", b"signature"])


def negatives() -> Iterator[tuple[str, bytes, int]]:
    yield from integers()
    yield from strings()
    yield from containers()
    yield from refused_types()


def integers() -> Iterator[tuple[str, bytes, int]]:
    for number in EDGES:
        for major in (0, 1):
            least = len(head(major, number)) - 1
            for width in (w for w in (1, 2, 4, 8) if w > least):
                yield f"major type {major}, number {number} in {width} bytes", head(major, number, width), faults.NOT_SHORTEST
            if least:
                yield f"major type {major}, number {number}, last byte cut off", head(major, number)[:-1], faults.ENDS_EARLY
            yield f"major type {major}, number {number}, trailing byte", head(major, number) + b"\x00", faults.TRAILING


def strings() -> Iterator[tuple[str, bytes, int]]:
    for major, name in ((2, "byte string"), (3, "text")):
        for length in (0, 1, 23):
            yield f"{name} of {length}, length in 1 byte", head(major, length, 1) + b"x" * length, faults.NOT_SHORTEST
            yield f"{name} of {length}, length in 8 bytes", head(major, length, 8) + b"x" * length, faults.NOT_SHORTEST
        for length in (1, 24, 256, 2**16, 2**32 - 1, 2**32, 2**63, 2**64 - 1):
            yield f"{name} that says {length} bytes and has none", head(major, length), faults.ENDS_EARLY
        yield f"{name} a byte short", head(major, 4) + b"abc", faults.ENDS_EARLY
        yield f"{name} with a trailing byte", head(major, 4) + b"abcde", faults.TRAILING
        yield f"{name} of indefinite length", bytes([major << 5 | 31]) + head(major, 1) + b"a\xff", faults.TYPE_REFUSED
    bad_utf8 = {
        "a lone continuation byte": b"\x80",
        "a cut sequence": b"\xc3",
        "a cut sequence before ASCII": b"\xe6\xb0a",
        "overlong slash": b"\xc0\xaf",
        "overlong three bytes": b"\xe0\x80\xaf",
        "a surrogate": b"\xed\xa0\x80",
        "beyond U+10FFFF": b"\xf4\x90\x80\x80",
        "byte ff": b"\xff",
        "Latin-1 ü": b"\xfc",
    }
    for what, data in bad_utf8.items():
        yield f"text that is not UTF-8: {what}", head(3, len(data)) + data, 107
        yield f"map key that is not UTF-8: {what}", b"\xa1" + head(3, len(data)) + data + b"\x00", 107


def containers() -> Iterator[tuple[str, bytes, int]]:
    for major, name in ((4, "list"), (5, "map")):
        for count in (1, 24, 2**16, 2**32 - 1, 2**32, 2**64 - 1):
            yield f"{name} that says {count} items and has none", head(major, count), faults.ENDS_EARLY
        yield f"{name}, length not in shortest form", head(major, 0, 1), faults.NOT_SHORTEST
        yield f"{name}, length in 8 bytes", head(major, 0, 8), faults.NOT_SHORTEST
        yield f"{name} of indefinite length", bytes([major << 5 | 31, 0xFF]), faults.TYPE_REFUSED
        yield f"{name}, trailing byte", head(major, 0) + b"\xf6", faults.TRAILING
    yield "list of two that has one", b"\x82\x01", faults.ENDS_EARLY
    yield "list whose second item is cut", b"\x82\x01\x19\x01", faults.ENDS_EARLY
    yield "map without its last value", b"\xa1\x01", faults.ENDS_EARLY
    yield "map whose second value is missing", b"\xa2\x01\x02\x03", faults.ENDS_EARLY
    orders = {
        "the same integer key twice": [(1, 0), (1, 0)],
        "the same key twice with other values": [(1, 0), (1, 1)],
        "the same text key twice": [("a", 0), ("a", 0)],
        "descending integer keys": [(2, 0), (1, 0)],
        "a negative key before a positive one": [(-1, 0), (1, 0)],
        "text before an integer": [("a", 0), (1, 0)],
        "length-first instead of bytewise order": [(-1, 0), (256, 0)],
        "longer text before shorter": [("aa", 0), ("b", 0)],
        "alphabetical text": [("aa", 0), ("b", 0), ("c", 0)],
        "third key out of order": [(1, 0), (3, 0), (2, 0)],
        "twice, apart": [(1, 0), (2, 0), (1, 0)],
    }
    for what, pairs in orders.items():
        yield f"map with {what}", cbor(Pairs(pairs)), faults.MAP_ORDER
        yield f"map with {what}, inside a list", cbor([0, Pairs(pairs)]), faults.MAP_ORDER
    yield "map key not in shortest form", b"\xa1\x18\x01\x00", faults.NOT_SHORTEST
    keys = {
        "a byte string": b"a",
        "a list": [],
        "a map": {},
        "true": True,
        "null": None,
        "tagged": Tag(18, 1),
        "a float": Raw(b"\xf9\x3c\x00"),
    }
    for what, key in keys.items():
        yield f"map key is {what}", cbor(Pairs([(key, 0)])), faults.TYPE_REFUSED
    yield "seventeen lists around an integer", faults.nested(17, 7), 105
    yield "seventeen maps around an integer", b"\xa1\x01" * 17 + b"\x07", 105
    yield "a thousand lists", b"\x81" * 1000 + b"\x00", 105
    yield "five thousand lists", b"\x81" * 5000, 105
    yield "tag 18 around seventeen lists around an integer", b"\xd2" + faults.nested(17, 7), 105


def refused_types() -> Iterator[tuple[str, bytes, int]]:
    floats = {
        "half 1.0": "f93c00",
        "half NaN": "f97e00",
        "single 1.5": "fa3fc00000",
        "double 1.1": "fb3ff199999999999a",
        "infinity": "f97c00",
    }
    for what, data in floats.items():
        yield f"float, {what}", bytes.fromhex(data), faults.TYPE_REFUSED
        yield f"float, {what}, inside a list", b"\x81" + bytes.fromhex(data), faults.TYPE_REFUSED
    for value in (0, 1, 16, 19, 23):
        yield f"simple value {value}", bytes([0xE0 + value]), faults.TYPE_REFUSED
    for value in (0, 20, 21, 22, 24, 31, 32, 255):
        yield f"simple value {value} in two bytes", bytes([0xF8, value]), faults.TYPE_REFUSED
    for tag in (0, 1, 2, 3, 4, 17, 19, 23, 24, 25, 28, 29, 32, 36, 258, 55799, 2**32):
        yield f"tag {tag}", head(6, tag) + b"\x40", faults.TYPE_REFUSED
        yield f"tag {tag} inside a list", b"\x81" + head(6, tag) + b"\x40", faults.TYPE_REFUSED
    yield "bignum 2**64", bytes.fromhex("c249010000000000000000"), faults.TYPE_REFUSED
    yield "bignum -2**64 - 1", bytes.fromhex("c349010000000000000000"), faults.TYPE_REFUSED
    yield "date as text", b"\xc0" + cbor("2026-01-01T00:00:00Z"), faults.TYPE_REFUSED
    yield "tag 18 inside a list", b"\x81\xd2\x80", faults.TYPE_REFUSED
    yield "tag 18 inside tag 18", b"\xd2\xd2\x80", faults.TYPE_REFUSED
    yield "tag 18 as a map's value", b"\xa1\x01\xd2\x80", faults.TYPE_REFUSED
    yield "tag 18 in two bytes", b"\xd8\x12\x80", faults.TYPE_REFUSED
    yield "tag 18 around nothing", b"\xd2", faults.ENDS_EARLY
    yield "nothing", b"", faults.ENDS_EARLY
    yield "break alone", b"\xff", faults.TYPE_REFUSED
    for major in range(8):
        for low in (28, 29, 30):
            yield f"major type {major} with reserved length {low}", bytes([major << 5 | low]) + bytes(8), faults.TYPE_REFUSED
    for major in (0, 1, 6):
        yield f"major type {major} with indefinite length", bytes([major << 5 | 31]), faults.TYPE_REFUSED


def books() -> list[Book]:
    book = Book("cbor", "1. CBOR profile")
    for desc, value in positives():
        book.good("cbor", desc, cbor(value), value)
    book.all_bad("cbor", "", negatives())
    limit = 65536
    book.good("cbor.sizes", "exactly 64 KiB", {"item": head(2, limit - 3), "zeros": limit - 3, "limit": limit}, limit - 3)
    for what, zeros, most in (
        ("64 KiB and a byte", limit - 2, limit),
        ("longer than the caller's limit", 99, 100),
        ("one byte against a limit of none", 0, 0),
    ):
        book.bad("cbor.sizes", what, {"item": head(2, zeros), "zeros": zeros, "limit": most}, faults.TOO_LONG)
    book.bad(
        "cbor.sizes",
        "too long and malformed besides: length is looked at first",
        {"item": b"\xff", "zeros": 100, "limit": 100},
        faults.TOO_LONG,
    )
    book.bad("cbor.sizes", "64 KiB of zeros, all but one trailing", {"item": b"", "zeros": limit, "limit": limit}, faults.TRAILING)
    unencodable = {
        "integer 2**64": 2**64,
        "integer -2**64 - 1": -(2**64) - 1,
        "seventeen lists around an integer": [[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]],
        "tag 24": Tag(24, b""),
        "tag 18 inside a list": [Tag(18, [])],
        "tag 18 inside tag 18": Tag(18, Tag(18, [])),
        "true as a map key": {True: 0},
        "null as a map key": {None: 0},
        "bytes as a map key": {b"a": 0},
    }
    for desc, value in unencodable.items():
        book.bad("cbor.encode", desc, value, 109)
    return [book]
