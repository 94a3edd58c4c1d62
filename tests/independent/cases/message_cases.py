"""messages.json: what device and node say beside statements (SPEC.md sections 6, 7, 8).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import device, faults, text
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.values import Named, fill

FIELD = 108


def ack(next_seq: int, identity: bytes | None, missing: list[list[int]], log_size: int) -> Named:
    return Named("Ack", origin=s.ORIGIN, device=s.UEID, next_seq=next_seq, identity=identity, missing=missing, log_size=log_size)


ACK = ack(105, s.STATEMENT_IDENTITY, [[200, 60], [300, 1]], 4711)
REFUSAL = Named("Refusal", origin=s.ORIGIN, device=s.UEID, identity=s.STATEMENT_IDENTITY, code=322, text="revoked")
CHALLENGE = Named("Challenge", origin=s.ORIGIN, device=s.UEID, nonce=fill("nonce", 32), time_s=s.START_S)


def message_book() -> Book:
    book = Book("messages", "6. Ack and refusal, 7. hello and challenge, 8. topics")
    acks = {
        "two ranges missing": ACK,
        "before any statement": ack(0, None, [], 0),
        "sixteen ranges missing": ack(5, fill("head", 32), [[10 * i + 10, 2] for i in range(16)], 2**32),
        "the range missing begins at next_seq": ack(5, fill("head", 32), [[5, 2**40]], 9),
        "ranges missing that touch": ack(5, None, [[5, 1], [6, 1]], 9),
    }
    for desc, record in acks.items():
        book.good("ack", desc, cbor(device.ack_fields(record)), record)
    refusals = {
        "revoked device": REFUSAL,
        "another origin": REFUSAL.with_(code=324, text=""),
        "rows mismatch": REFUSAL.with_(code=233, text="Zeilen größer"),
    }
    for desc, record in refusals.items():
        book.good("refusal", desc, cbor(device.ack_fields(record)), record)
    book.good("challenge", "a nonce", cbor(device.ack_fields(CHALLENGE)), CHALLENGE)
    book.good("challenge", "at time 0", cbor(device.ack_fields(CHALLENGE.with_(time_s=0))), CHALLENGE.with_(time_s=0))
    for boot in (1, 255, 2**32):
        book.good("hello", f"boot {boot}", cbor([s.UEID, boot]), [s.UEID, boot])
    identity = faults.sized(32)
    kinds = {1: faults.text(), 2: faults.sized(17), 3: faults.UINT, 4: faults.no_null(identity), 5: faults.listed(), 6: faults.UINT}
    of_record(book, "ack", ACK, kinds)
    kinds = {1: faults.text(), 2: faults.sized(17), 3: [*identity, ("is null", None)], 4: faults.uint(100, 499), 5: faults.text()}
    of_record(book, "refusal", REFUSAL, kinds)
    of_record(book, "challenge", CHALLENGE, {1: faults.text(), 2: faults.sized(17), 3: faults.sized(32), 4: faults.UINT})
    for desc, missing in bad_missing():
        book.bad("ack", desc, cbor({**device.ack_fields(ACK), 5: missing}), FIELD)
    book.all_bad("hello", "", faults.of_bytes(cbor([s.UEID, 1])))
    book.all_bad("hello", "", faults.of_list([s.UEID, 1], [faults.sized(17), faults.uint(1, 2**63 - 1)], FIELD, ["device", "boot"]))
    book.bad("hello", "device does not begin with 0x01", cbor([b"\x00" + s.UEID[1:], 1]), FIELD)
    topics(book)
    return book


def of_record(book: Book, do: str, record: Named, kinds: dict[int, list[faults.Fault]]) -> None:
    fields = device.ack_fields(record)
    book.all_bad(do, "", faults.of_bytes(cbor(fields)))
    book.all_bad(do, "", faults.of_map(fields, kinds, FIELD, dict(enumerate(record.fields, 1))))
    book.bad(do, "device does not begin with 0x01", cbor({**fields, 2: b"\x02" + s.UEID[1:]}), FIELD)
    for what, origin in (("empty", ""), ("with a blank", "example.org/a b"), ("with a plus", "example.org+1"), ("with a newline", "a\nb")):
        book.bad(do, f"origin {what}: no name of a log", cbor({**fields, 1: origin}), FIELD)


def bad_missing() -> Iterator[tuple[str, object]]:
    yield "seventeen ranges missing", [[200 + 10 * i, 2] for i in range(17)]
    yield "missing ranges descending", [[300, 1], [200, 60]]
    yield "the same range missing twice", [[200, 60], [200, 60]]
    yield "missing ranges that overlap by one", [[200, 60], [259, 2]]
    yield "a missing range below next_seq", [[104, 1]]
    yield "a missing range that ends beyond 2**63", [[2**63 - 1, 2]]
    yield from faults.list_faults("missing range", [200, 60], [faults.UINT, faults.uint(1, 2**63 - 1)], ["first_seq", "count"])


def topics(book: Book) -> None:
    org, ueid = text.id_text("org", s.ORG), text.id_text("device", s.UEID)
    for what in ("hello", "attest", "bundle", "challenge", "ack"):
        book.good("topic", what, f"meterproof/v1/{org}/{ueid}/{what}", [s.ORG, s.UEID, what])
    start = f"meterproof/v1/{org}/{ueid}"
    bad = {
        "empty": "",
        "no last level": start,
        "empty last level": start + "/",
        "unknown last level": start + "/commands",
        "a level too many": start + "/ack/1",
        "a slash before it": "/" + start + "/ack",
        "another version": start.replace("/v1/", "/v2/") + "/ack",
        "another root": start.replace("meterproof", "Meterproof") + "/ack",
        "wildcard for what": start + "/+",
        "wildcard for the rest": f"meterproof/v1/{org}/#",
        "capitals in the last level": start + "/ACK",
        "a blank at the end": start + "/ack ",
    }
    for what in ("hello", "attest", "bundle", "challenge", "ack"):
        bad |= {
            f"{what} and a slash": f"{start}/{what}/",
            f"{what} in the plural": f"{start}/{what}s",
            f"{what} twice": f"{start}/{what}/{what}",
        }
    for desc, topic in bad.items():
        book.bad("topic", desc, topic, 160)
    ids = {
        "organization and device exchanged": f"meterproof/v1/{ueid}/{org}/ack",
        "wildcard for the device": f"meterproof/v1/{org}/+/ack",
        "empty organization": f"meterproof/v1//{ueid}/ack",
        "device in hex": f"meterproof/v1/{org}/{s.UEID.hex()}/ack",
        "a letter of the device id changed": f"meterproof/v1/{org}/{ueid[:-1]}{'q' if ueid[-1] != 'q' else 'p'}/ack",
        "organization in capitals": f"meterproof/v1/{org.upper()}/{ueid}/ack",
    }
    for desc, topic in ids.items():
        book.bad("topic", desc, topic, 170)


def books() -> list[Book]:
    return [message_book()]
