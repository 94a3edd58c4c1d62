"""channel.json, statement.json: what a device signs (SPEC.md section 3).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator
from hashlib import sha256

from tests.independent import device, faults
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.signing import MEDIA, identity_of, protected_header, sign1
from tests.independent.values import Named, Tag, fill

CHANNEL, STATEMENT = 123, 120


def channel_book() -> Book:
    book = Book("channel", "3. Statements, channel table")
    one = s.TABLE.with_(registers=[Named("Register", obis="2.8.0", direction="export", unit="varh", exponent=-9, kind="cumulative")])
    many = s.TABLE.with_(
        registers=[Named("Register", obis=f"{i}.8.0", direction="import", unit="Wh", exponent=9, kind="instant") for i in range(32)]
    )
    for desc, table in (
        ("three registers", s.TABLE),
        ("one register", one),
        ("32 registers", many),
        ("empty texts", one.with_(make="", model="", serial="", firmware="")),
    ):
        book.good("channel", desc, device.channel_table(table), table)
        book.calculated("channel.hash", desc, device.channel_table(table), sha256(device.channel_table(table)).digest())
    fields = device.channel_table_fields(s.TABLE)
    book.all_bad("channel", "", faults.of_bytes(s.TABLE_BYTES))
    kinds = {1: faults.text(), 2: faults.text(), 3: faults.text(), 4: faults.text(), 5: faults.listed()}
    book.all_bad(
        "channel", "", faults.of_map(fields, kinds, CHANNEL, {1: "make", 2: "model", 3: "serial", 4: "meter firmware", 5: "registers"})
    )
    for desc, registers in bad_registers(fields[5]):
        book.bad("channel", desc, cbor({**fields, 5: registers}), CHANNEL)
    long = cbor({**fields, 1: "x" * 2048})
    book.bad("channel", "longer than 2,048 bytes", long, faults.TOO_LONG)
    return book


def bad_registers(registers: list[list[object]]) -> Iterator[tuple[str, list[object]]]:
    yield "no register", []
    yield "33 registers", registers * 11
    first = registers[0]
    wrong: dict[str, list[list[object]]] = {
        "obis": [
            ["with medium", "1-0:2.8.0"],
            ["of two parts", "2.8"],
            ["of four parts", "2.8.0.0"],
            ["empty", ""],
            ["beyond a byte", "2.8.256"],
        ]
        + [["with a leading zero", "02.8.0"], ["negative", "2.-8.0"], ["with a blank", "2.8.0 "], ["an integer", 280]],
        "direction": [["of another word", "both"], ["in capitals", "Import"], ["empty", ""], ["null", None], ["an integer", 1]],
        "unit": [["a byte string", b"Wh"], ["null", None], ["an integer", 1]],
        "exponent": [["10", 10], ["-10", -10], ["true", True], ["text", "0"], ["null", None], ["2**32", 2**32], ["2**64 - 1", 2**64 - 1]],
        "kind": [["of another word", "delta"], ["empty", ""], ["null", None], ["an integer", 0]],
    }
    for place, (name, values) in enumerate(wrong.items()):
        for what, value in values:
            yield f"register: {name} is {what}", [[*first[:place], value, *first[place + 1 :]], *registers[1:]]
    yield "register: last item missing", [first[:4]]
    yield "register: an item too many", [[*first, 0]]
    yield "register: a map", [dict(enumerate(first))]
    yield "register: null", [None]


def signed(record: Named) -> bytes:
    return sign1(s.DEVICE_KEY, record.kind, device.statement_payload(record))


def good_statements() -> Iterator[tuple[str, Named]]:
    yield "readings", s.STATEMENT
    yield "readings, the first statement of a device", s.readings_statement(s.READINGS, previous=None, boot=1)
    yield "readings, least values", s.readings_statement([s.reading(0, 0, [0])], tier=1, channel=0, clock=0)
    most = [s.reading(2**63 - 1, 2**40, [2**63 - 1, -(2**63)])]
    yield "readings, greatest values", s.readings_statement(most, tier=3, channel=255, clock=4, boot=2**32)
    yield "readings, 1,024 of them", s.readings_statement(s.READINGS, count=1024)
    yield "gap", s.GAP
    yield "gap, one range without identity", s.gap_statement([s.lost(7, 1, None, 3)], previous=None)
    yield "gap, 32 ranges", s.gap_statement([s.lost(2 * i, 1, None, 1) for i in range(32)])
    yield "time repair", s.REPAIR
    yield "time repair at the boot itself", s.repair_statement(1, 0, 2**33, 1, previous=None)


STATEMENT_KINDS = {
    1: faults.sized(17),
    2: faults.uint(1, 2**63 - 1),
    3: faults.no_null(faults.sized(32)),
    4: faults.sized(32),
    5: faults.uint(1, 3),
    6: faults.uint(0, 255),
    7: faults.uint(0, 2**63 - 1),
    8: faults.uint(1, 1024),
    9: faults.uint(0, 2**63 - 1),
    10: faults.uint(0, 4),
    11: faults.sized(32),
    12: faults.sized(32),
    13: faults.listed(),
    14: faults.listed(),
}
KEY_NAMES = {key: name for keys in device.STATEMENT_KEYS.values() for name, key in keys.items()}


def bad_payloads(record: Named) -> Iterator[tuple[str, bytes, int]]:
    fields = device.statement_fields(record)
    yield from faults.of_bytes(device.statement_payload(record))
    yield from faults.of_map(fields, STATEMENT_KINDS, STATEMENT, KEY_NAMES)
    yield "field 1 (device) does not begin with 0x01", cbor({**fields, 1: b"\x02" + fields[1][1:]}), STATEMENT
    yield "field 4 (firmware) is null", cbor({**fields, 4: None}), STATEMENT
    for kind, keys in device.STATEMENT_KEYS.items():
        if kind != record.kind:
            extra = next(key for key in keys.values() if key not in fields)
            yield f"a field of {kind}", cbor({**fields, extra: 1}), STATEMENT


def bad_losses() -> Iterator[tuple[str, object]]:
    good = [0, 60, fill("lost bundle", 32), 1]
    yield "no range", []
    yield "33 ranges", [[2 * i, 1, None, 1] for i in range(33)]
    yield "ranges descending", [[10, 1, None, 1], [0, 1, None, 1]]
    yield "the same range twice", [good, good]
    yield "ranges that overlap by one", [[0, 61, None, 1], [60, 1, None, 1]]
    yield "a range inside the one before", [[0, 60, None, 1], [10, 5, None, 1]]
    yield "a range that ends beyond 2**63", [[2**63 - 1, 2, None, 1]]
    kinds = [faults.uint(0, 2**63 - 1), faults.uint(1, 2**63), faults.no_null(faults.sized(32)), faults.uint(1, 3)]
    yield from faults.list_faults("range", good, kinds, ["first_seq", "count", "identity", "reason"])


def bad_repairs() -> Iterator[tuple[str, object]]:
    kinds = [faults.uint(1, 2**63 - 1), faults.uint(0, 2**63 - 1), faults.uint(0, 2**63 - 1), faults.uint(0, 4)]
    for desc, value in faults.list_faults("repair", [2, 4_000, s.START_S, 3], kinds, ["boot", "uptime_s", "utc_s", "clock"]):
        yield desc, value[0]


def statement_book() -> Book:
    book = Book("statement", "3. Statements")
    for desc, record in good_statements():
        book.good("statement", desc, signed(record), record)
        book.calculated(
            "statement.identity", desc, signed(record), identity_of(s.DEVICE_KEY, record.kind, device.statement_payload(record))
        )
        book.calculated("statement.encode", desc, record, device.statement_payload(record))
    for record in (s.STATEMENT, s.GAP, s.REPAIR):
        for desc, payload, error in bad_payloads(record):
            book.bad("statement", f"{record.kind}: {desc}", sign1(s.DEVICE_KEY, record.kind, payload), error)
    for desc, value in bad_losses():
        payload = cbor({**device.statement_fields(s.GAP), 13: value})
        book.bad("statement", f"gap: {desc}", sign1(s.DEVICE_KEY, "gap", payload), STATEMENT)
    for desc, value in bad_repairs():
        payload = cbor({**device.statement_fields(s.REPAIR), 14: value})
        book.bad("statement", f"time-repair: {desc}", sign1(s.DEVICE_KEY, "time-repair", payload), STATEMENT)
    book.bad("statement", "readings: sequences end beyond 2**63", signed(s.readings_statement(s.READINGS, first_seq=2**63 - 1)), STATEMENT)
    for kind in MEDIA:
        if kind not in device.STATEMENT_KEYS:
            book.bad("statement", f"content type of {kind}", sign1(s.DEVICE_KEY, kind, device.statement_payload(s.STATEMENT)), 111)
    book.bad("statement", "a gap signed as readings", sign1(s.DEVICE_KEY, "readings", device.statement_payload(s.GAP)), STATEMENT)
    book.bad("statement", "readings signed as a gap", sign1(s.DEVICE_KEY, "gap", device.statement_payload(s.STATEMENT)), STATEMENT)
    book.bad("statement", "longer than 2,048 bytes", oversized_statement(), faults.TOO_LONG)
    book.all_bad("statement", "signed object", faults.of_bytes(signed(s.STATEMENT)))
    book.bad("statement", "only the payload", device.statement_payload(s.STATEMENT), 110)
    for record in (s.STATEMENT, s.GAP, s.REPAIR):
        book.bad("statement.encode", f"{record.kind}: device is null", record.with_(device=None), STATEMENT)
        book.bad("statement.encode", f"{record.kind}: boot is 0", record.with_(boot=0), STATEMENT)
        book.bad("statement.encode", f"{record.kind}: tier is true", record.with_(tier=True), STATEMENT)
    book.bad("statement.encode", "readings: no root", s.STATEMENT.with_(root=None), STATEMENT)
    book.bad("statement.encode", "gap: losses missing", s.GAP.with_(lost=None), STATEMENT)
    book.bad("statement.encode", "readings: count is 2**32", s.STATEMENT.with_(count=2**32), STATEMENT)
    return book


def oversized_statement() -> bytes:
    """Well-formed COSE of 2,049 bytes."""
    key = s.DEVICE_KEY
    protected = protected_header(key.alg, MEDIA["gap"], key.kid)
    least = len(cbor(Tag(18, [protected, {}, b"\x00" * 256, bytes(64)]))) - 256
    return cbor(Tag(18, [protected, {}, b"\x00" * (2049 - least), bytes(64)]))


def books() -> list[Book]:
    return [channel_book(), statement_book()]
