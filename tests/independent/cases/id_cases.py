"""ids.json, tiles.json: text forms of ids, paths and bundles of a published log (SPEC.md sections 5 and 8).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import faults, text
from tests.independent.book import Book
from tests.independent.values import fill

ID = 170
BYTES = {"org": 10, "point": 10, "device": 17, "key": 16, "statement": 32, "tx": 32}


def id_book() -> Book:
    book = Book("ids", "8. Topics, text forms, firmware hash")
    for kind, length in BYTES.items():
        prefix = text.PREFIX[kind]
        for desc, data in (("zeros", bytes(length)), ("ones", b"\xff" * length), ("some bytes", fill("id " + kind, length))):
            book.good("id", f"{kind}, {desc}", [prefix, text.id_text(kind, data)], [prefix, data])
        data = fill("id " + kind, length)
        for desc, wrong in bad_ids(kind, data):
            book.bad("id", f"{kind}: {desc}", [prefix, wrong], ID)
        for change in (-1, 1, -length):
            book.bad("id.encode", f"{kind} of {length + change} bytes", [prefix, bytes(length + change)], ID)
    book.bad("id.encode", "an unknown type", ["mpfoo", bytes(10)], ID)
    book.bad("id", "an unknown type", ["mpfoo", text.bech32_of_groups("mpfoo", text.groups_of(bytes(10)))], ID)
    return book


def bad_ids(kind: str, data: bytes) -> Iterator[tuple[str, str]]:
    """BIP 350's classes of invalid strings, in our prefixes, and what is stricter here."""
    prefix, groups = text.PREFIX[kind], text.groups_of(data)
    good = text.id_text(kind, data)
    at = len(prefix) + 3
    yield "checksum of bech32 instead of bech32m", text.bech32_of_groups(prefix, groups, text.BECH32)
    yield "checksum of another constant", text.bech32_of_groups(prefix, groups, 0)
    yield "all upper case", good.upper()
    yield (
        "mixed case",
        good[:at] + good[at].upper() + good[at + 1 :] if good[at].isalpha() else good[: len(prefix)].upper() + good[len(prefix) :],
    )
    yield "prefix in upper case", prefix.upper() + good[len(prefix) :]
    yield "checksum of the upper-case prefix", text.bech32_of_groups(prefix.upper(), groups).lower()
    for bad_character in "1bio":
        yield f"the character {bad_character} in the data", good[:at] + bad_character + good[at + 1 :]
    for what, bad_character in (
        ("a blank", " "),
        ("byte 127", "\x7f"),
        ("byte 128", "\x80"),
        ("a Cyrillic letter", "\u0430"),
        ("a null byte", "\x00"),
    ):
        yield f"{what} in the data", good[:at] + bad_character + good[at + 1 :]
        yield f"{what} in front", bad_character + good
        yield f"{what} at the end", good + bad_character
    yield "an invalid character in the checksum", good[:-3] + "b" + good[-2:]
    yield "a changed character", swapped(good, at)
    yield "a changed character of the checksum", swapped(good, len(good) - 1)
    yield "two neighbours exchanged", exchanged(good, len(prefix) + 1)
    yield "last character missing", good[:-1]
    yield "a q put in before the last character", good[:-1] + "q" + good[-1]
    yield "a p put in before the last character", good[:-1] + "p" + good[-1]
    yield "checksum too short", prefix + "1" + good[-4:]
    yield "nothing but a checksum", text.bech32_of_groups(prefix, [])
    yield "no separator", good.replace("1", "", 1)
    yield "no prefix", good[len(prefix) + 1 :]
    yield "empty prefix", text.bech32_of_groups("", groups)
    yield "empty", ""
    yield "prefix alone", prefix
    yield "prefix and separator alone", prefix + "1"
    yield "a byte short", text.bech32_of_groups(prefix, text.groups_of(data[:-1]))
    yield "a byte long", text.bech32_of_groups(prefix, text.groups_of(data + b"\x00"))
    spare = -8 * len(data) % 5
    for padding in range(1, 2**spare):
        yield f"padding {padding} instead of 0", text.bech32_of_groups(prefix, text.groups_of(data, padding))
    yield "a group of zeros too many", text.bech32_of_groups(prefix, [*groups, 0])
    yield "a group missing", text.bech32_of_groups(prefix, groups[:-1])
    yield "longer than 90 characters", text.bech32_of_groups(prefix, groups + [0] * 90)
    for other, length in BYTES.items():
        if other != kind:
            yield f"the id of a {other}", text.id_text(other, bytes(length))
            yield f"right length under the prefix of a {other}", text.bech32_of_groups(text.PREFIX[other], groups)


def swapped(good: str, at: int) -> str:
    """Another character of the alphabet at that place."""
    other = text.ALPHABET[(text.ALPHABET.index(good[at]) + 1) % 32]
    return good[:at] + other + good[at + 1 :]


def exchanged(good: str, at: int) -> str:
    """The first two different neighbours from there on, exchanged."""
    while good[at] == good[at + 1]:
        at += 1
    return good[:at] + good[at + 1] + good[at] + good[at + 2 :]


def tile_book() -> Book:
    book = Book("tiles", "5. Logs: tlog-tiles")
    for number in (0, 1, 999, 1000, 1234067, 999999, 1000000):
        book.calculated("tile.path", f"level 0, tile {number}", [0, number, 256], text.tile_path(0, number))
        book.calculated("tile.path", f"entries, bundle {number}", [-1, number, 256], text.entries_path(number))
    for level, number, width in ((0, 0, 1), (1, 0, 255), (2, 1000, 112), (7, 5, 128)):
        book.calculated(
            "tile.path", f"level {level}, tile {number}, {width} wide", [level, number, width], text.tile_path(level, number, width)
        )
    book.calculated("tile.path", "entries, bundle 5, 17 wide", [-1, 5, 17], text.entries_path(5, 17))
    bundles = {
        "one entry": [b"a"],
        "no entry": [],
        "an empty entry": [b""],
        "three entries": [b"a", b"", b"ccc"],
        "an entry of 300 bytes": [b"x" * 300],
    }
    for desc, entries in bundles.items():
        data = b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)
        book.good("tile.entries", desc, {"data": data, "count": len(entries)}, entries)
    data = b"\x00\x01a\x00\x03ccc"
    bad = {
        "last byte cut off": (data[:-1], 2),
        "cut inside a length": (data[:4], 2),
        "cut after a length": (data[:5], 2),
        "a zero byte after the end": (data + b"\x00", 2),
        "an entry too many": (data, 1),
        "an entry too few": (data, 3),
        "empty, one wanted": (b"", 1),
        "little-endian lengths": (b"\x01\x00a\x03\x00ccc", 2),
        "length one more": (b"\x00\x01a\x00\x04ccc", 2),
        "length one less": (b"\x00\x01a\x00\x02ccc", 2),
        "length beyond the end": (b"\xff\xffa", 1),
        "four-byte lengths": (b"\x00\x00\x00\x01a", 1),
        "one of one byte": (b"\x00", 1),
        "entries without lengths": (b"accc", 2),
        "none wanted, one there": (data[:3], 0),
        "a negative count": (data, -1),
        "2**32 wanted": (data, 2**32),
        "the bundle twice": (data + data, 2),
        "first byte missing": (data[1:], 2),
        "a bit of the first length": (faults.bit_flipped(data, 1, 2), 2),
        "a bit of the second length": (faults.bit_flipped(data, 3, 1), 2),
        "an empty entry more": (data + bytes(2), 2),
        "an empty entry in front": (bytes(2) + data, 2),
        "half a length at the end": (data + b"\x01", 3),
        "three-byte lengths": (b"\x00\x00\x01a\x00\x00\x03ccc", 2),
    }
    for desc, (wrong, count) in bad.items():
        book.bad("tile.entries", desc, {"data": wrong, "count": count}, 132)
    return book


def books() -> list[Book]:
    return [id_book(), tile_book()]
