"""reading.json, envelope.json: reading leaves and rows (SPEC.md sections 3 and 4).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import device, faults
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cases.statement_cases import signed
from tests.independent.cbor_out import cbor
from tests.independent.values import Named

ENVELOPE, ROWS = 121, 122


def reading_book() -> Book:
    book = Book("reading", "3. Statements, reading leaf")
    samples = [*s.READINGS, s.reading(0, 0, [0] * 32, 2), s.reading(2**63 - 1, 2**40, [2**63 - 1], 4), s.reading(5, 1, [-(2**63)], 5)]
    samples.append(s.reading(6, 1, [None, None], 3))
    for place, record in enumerate(samples):
        salt = device.reading_salt(s.BUNDLE_SALT, place)
        book.good("reading", f"status {record.status}, place {place}", device.reading_leaf(salt, record), [salt, record])
    for place in (0, 1, 255, 256, 1023):
        book.calculated("reading.salt", f"place {place}", [s.BUNDLE_SALT, place], device.reading_salt(s.BUNDLE_SALT, place))
    for count in (1, 2, 3, 4, 5):
        readings = s.READINGS[:count]
        book.calculated("reading.root", f"{count} readings", [s.BUNDLE_SALT, readings], device.readings_root(s.BUNDLE_SALT, readings))
    good = [device.reading_salt(s.BUNDLE_SALT, 0), *device.plain(s.READINGS[0])]
    kinds = [faults.sized(16), faults.uint(0, 2**63 - 1), faults.uint(0, 2**63 - 1), faults.listed(), faults.uint(0, 5)]
    book.all_bad("reading", "", faults.of_bytes(cbor(good)))
    book.all_bad("reading", "", faults.of_list(good, kinds, ROWS, ["salt", "seq", "time_s", "registers", "status"]))
    for desc, registers, status in bad_readings():
        book.bad("reading", desc, cbor([*good[:3], registers, status]), ROWS)
    return book


def bad_readings() -> Iterator[tuple[str, object, int]]:
    yield "no register", [], 0
    yield "33 registers", [1] * 33, 0
    for what, value in (("true", True), ("false", False), ("text", "1"), ("a byte string", b"\x01"), ("a list", [1]), ("2**63", 2**63)):
        yield f"a register is {what}", [1, value], 0
    yield "a register is -2**63 - 1", [-(2**63) - 1], 0
    yield "a register is 2**64 - 1", [2**64 - 1], 0
    for status in (0, 2, 4, 5):
        yield f"a null register with status {status}", [1, None], status
        yield f"only null registers with status {status}", [None, None], status
    yield "status no data with a value", [None, 1], 1
    yield "status no data with a zero", [0, 0], 1


def check_input(statement: Named, salt: object, rows: object, registers: int | None = None) -> dict[str, object]:
    """Input of the operation `rows`."""
    return {"statement": signed(statement), "salt": salt, "rows": rows, "registers": registers}


def good_bundles() -> Iterator[tuple[str, list[Named]]]:
    yield "five readings, with a gap and a meter error", s.READINGS
    yield "one reading", s.READINGS[:1]
    yield "two readings", s.READINGS[:2]
    steady = [s.reading(i, 60 * i, [7 * (i + 1), 5]) for i in range(10)]
    yield "ten readings, a register that starts at its step and rises by it: one value for the column", steady
    yield "nothing but nulls", [s.reading(i, 10, [None, None], 1) for i in range(3)]
    yield "a register that is null first", [s.reading(0, 1, [None], 3), s.reading(1, 2, [9], 0), s.reading(2, 3, [9], 0)]
    extremes = [s.reading(0, 0, [2**63 - 1]), s.reading(1, 2**40, [-(2**63)]), s.reading(2, 2**40, [2**63 - 1])]
    yield "the widest steps a register can make", extremes
    yield "32 registers", [s.reading(i, i, list(range(i, 32 + i))) for i in range(2)]


def envelope_book() -> Book:
    book = Book("envelope", "4. Envelope")
    for desc, readings in good_bundles():
        statement = s.readings_statement(readings)
        rows = device.rows(readings)
        envelope = Named("Envelope", statement=signed(statement), salt=s.BUNDLE_SALT, rows=rows)
        book.good("envelope", desc, device.envelope(signed(statement), s.BUNDLE_SALT, readings), envelope)
        built = [signed(statement), s.BUNDLE_SALT, readings]
        book.calculated("envelope.build", desc, built, device.envelope(signed(statement), s.BUNDLE_SALT, readings))
        book.good("rows", desc, check_input(statement, s.BUNDLE_SALT, rows, len(readings[0].registers)), readings)
    for record in (s.GAP, s.REPAIR):
        envelope = Named("Envelope", statement=signed(record), salt=None, rows=None)
        book.good("envelope", record.kind, device.envelope(signed(record), None, None), envelope)
        book.good("rows", record.kind, check_input(record, None, None), [])
    book.all_bad("envelope", "", bad_envelopes())
    statement = s.STATEMENT
    for desc, rows in bad_rows(device.rows(s.READINGS)):
        book.bad("rows", desc, check_input(statement, s.BUNDLE_SALT, rows), ROWS)
    book.bad(
        "rows",
        "a list of one value where that value alone must stand",
        check_input(s.readings_statement(s.READINGS[:1]), s.BUNDLE_SALT, [[], [5000, 120, [2301]], 0]),
        ROWS,
    )
    book.bad(
        "rows",
        "one reading with a time delta",
        check_input(s.readings_statement(s.READINGS[:1]), s.BUNDLE_SALT, [[0], [5000, 120, 2301], 0]),
        ROWS,
    )
    book.bad(
        "rows",
        "one reading with a time delta alone",
        check_input(s.readings_statement(s.READINGS[:1]), s.BUNDLE_SALT, [0, [5000, 120, 2301], 0]),
        ROWS,
    )
    book.bad(
        "rows", "not as many registers as the channel table names", check_input(statement, s.BUNDLE_SALT, device.rows(s.READINGS), 4), ROWS
    )
    for desc, given, error in unsigned_rows():
        book.bad("rows", desc, given, error)
    return book


def bad_envelopes() -> Iterator[tuple[str, bytes, int]]:
    good = [signed(s.STATEMENT), s.BUNDLE_SALT, device.rows(s.READINGS)]
    yield from faults.of_bytes(cbor(good))
    statements = [
        ("is null", None),
        ("is text", "statement"),
        ("is empty", b""),
        ("is not wrapped in a byte string", [1]),
        ("is 2,049 bytes long", bytes(2049)),
    ]
    rows = [
        ("are a map", {}),
        ("are a byte string", b""),
        ("are an integer", 1),
        ("are true", True),
        ("are null, but the salt is there", None),
    ]
    yield from faults.of_list(good, [statements, faults.sized(16), rows], ENVELOPE, ["statement", "bundle salt", "rows"])
    yield "bundle salt is null, but the rows are there", cbor([good[0], None, good[2]]), ENVELOPE
    bare: list[object] = [signed(s.GAP), None, None]
    for desc, data, error in [
        *faults.of_bytes(cbor(bare)),
        *faults.of_list(bare, [statements, [], rows[:-1]], ENVELOPE, ["statement", "", "rows"]),
    ]:
        yield f"gap: {desc}", data, error
    yield "a statement tagged 18 inside", b"\x83" + good[0] + cbor(None) * 2, faults.TYPE_REFUSED
    yield "longer than 65,535 bytes", bytes(65536), faults.TOO_LONG


def bad_rows(rows: list[object]) -> Iterator[tuple[str, object]]:
    times, registers, status = rows
    yield "rows: last column missing", [times, registers]
    yield "rows: a column too many", [times, registers, status, 0]
    yield "rows: a map", {}
    yield "rows: empty", []
    yield "rows: an integer", 0
    yield "rows: true", True
    yield "rows: columns exchanged", [status, registers, times]
    yield "register columns not in a list", [times, registers[0], status]
    for what, column in (("too short", [60, 60, 60]), ("too long", [60, 60, 60, 1, 1]), ("all equal, as a list", [60] * 4), ("empty", [])):
        yield f"time deltas: {what}", [column, registers, status]
    yield "status column: too short", [times, registers, [0, 0, 1, 0]]
    yield "status column: too long", [times, registers, [0, 0, 1, 0, 3, 0]]
    yield "status column: all equal, as a list", [times, registers, [0] * 5]
    yield "status column: beyond 5", [times, registers, [0, 0, 1, 0, 6]]
    yield "status column: null", [times, registers, None]
    for what, value in (("negative", -1), ("true", True)):
        yield f"status column: one is {what}", [times, registers, [0, 0, 1, 0, value]]
        yield f"status column: all are {what}", [times, registers, value]
    for what, value in (("negative", -1), ("true", True), ("text", "60"), ("null", None), ("2**64 - 1", 2**64 - 1), ("2**63", 2**63)):
        yield f"time deltas: one is {what}", [[60, 60, 60, value], registers, status]
        yield f"time deltas: all are {what}", [value, registers, status]
    yield "registers: none", [times, [], status]
    yield "registers: a map", [times, {}, status]
    yield "registers: 33 of them", [times, [registers[0]] * 33, status]
    yield "register column: too short", [times, [registers[0][:-1], *registers[1:]], status]
    yield "register column: too long", [times, [[*registers[0], 0], *registers[1:]], status]
    yield "register column: empty", [times, [[], *registers[1:]], status]
    for what, value in (("true", True), ("text", "12"), ("a byte string", b""), ("a list", [12]), ("2**64 - 1: beyond 64 bits", 2**64 - 1)):
        yield f"register column: a delta is {what}", [times, [[5000, value, None, 28, 0], *registers[1:]], status]
    yield "register column: a null without its status", [times, [[5000, None, None, 28, 0], *registers[1:]], status]
    yield "register column: a value with status no data", [times, [[5000, 12, 0, 28, 0], *registers[1:]], status]
    yield "register column: sum beyond 2**63 - 1", [times, [[2**63 - 1, 1, None, 28, 0], *registers[1:]], status]
    yield "register column: sum below -2**63", [times, [[-(2**63), -1, None, 28, 0], *registers[1:]], status]


def unsigned_rows() -> Iterator[tuple[str, dict[str, object], int]]:
    """Well-formed, but not what the statement signs."""
    readings = s.READINGS
    rows = device.rows(readings)
    yield "rows and salt missing", check_input(s.STATEMENT, None, None), 232
    changes = {
        "a register one more": [*readings[:3], readings[3].with_(registers=[5_041, 118, 2305]), readings[4]],
        "a second later": [*readings[:4], readings[4].with_(time_s=readings[4].time_s + 1)],
        "another status": [readings[0].with_(status=4), *readings[1:]],
        "two readings swapped in value": [
            readings[0].with_(registers=readings[1].registers),
            readings[1].with_(registers=readings[0].registers),
            *readings[2:],
        ],
        "a register less in all": [reading.with_(registers=reading.registers[:2]) for reading in readings],
        "a register more in all": [reading.with_(registers=[*reading.registers, reading.registers[2]]) for reading in readings],
    }
    for desc, changed in changes.items():
        yield f"not signed: {desc}", check_input(s.STATEMENT, s.BUNDLE_SALT, device.rows(changed)), 233
    yield "not signed: a bit of the salt", check_input(s.STATEMENT, faults.bit_flipped(s.BUNDLE_SALT, 7), rows), 233
    yield (
        "not signed: a bit of the root",
        check_input(s.STATEMENT.with_(root=faults.bit_flipped(s.STATEMENT.root, 3)), s.BUNDLE_SALT, rows),
        233,
    )
    yield "not signed: another first sequence", check_input(s.STATEMENT.with_(first_seq=99), s.BUNDLE_SALT, rows), 233
    yield "not signed: another start", check_input(s.STATEMENT.with_(start_s=s.START_S + 1), s.BUNDLE_SALT, rows), 233
    yield "a count one more than the columns", check_input(s.STATEMENT.with_(count=6), s.BUNDLE_SALT, rows), ROWS
    yield "a count one less than the columns", check_input(s.STATEMENT.with_(count=4), s.BUNDLE_SALT, rows), ROWS
    yield "a gap with rows", check_input(s.GAP, s.BUNDLE_SALT, rows), ENVELOPE
    yield "a time repair with a salt", check_input(s.REPAIR, s.BUNDLE_SALT, None), ENVELOPE
    yield "a salt of 15 bytes", check_input(s.STATEMENT, s.BUNDLE_SALT[:15], rows), ENVELOPE


def books() -> list[Book]:
    return [reading_book(), envelope_book()]
