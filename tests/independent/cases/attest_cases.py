"""attest.json, firmware.json: attestation evidence and the firmware hash in it (SPEC.md sections 7 and 8).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import device, faults
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cases.message_cases import CHALLENGE
from tests.independent.cbor_out import cbor
from tests.independent.signing import ED25519_ORDER, EdKey, P256Key, sign1
from tests.independent.values import Named, Pairs, Raw, fill

FIELD, ATTESTATION, KEY_OTHER, SIGNATURE = 108, 150, 251, 201


def evidence(key: EdKey | P256Key, **changes: object) -> Named:
    fields = {
        "cose_key": key.cose_key,
        "nonce": CHALLENGE.nonce,
        "device": s.UEID,
        "hwmodel": b"esp32-s3",
        "uptime_s": 17,
        "dbgstat": 0,
        "boot": 3,
        "bootseed": fill("bootseed", 16),
        "swname": "meterproof-edge",
        "swversion": "0.1.0",
        "tier": 1,
        "firmware": s.FIRMWARE,
        "interpreter": "micropython 1.29.0",
        "channels": {0: s.TABLE_BYTES, 7: s.TABLE_BYTES},
    }
    return Named("Evidence", **{**fields, **changes})


EVIDENCE = evidence(s.DEVICE_KEY)
EVIDENCE_KINDS = {
    8: faults.listed()[1:],
    10: faults.sized(32),
    256: faults.sized(17),
    259: faults.text()[1:] + [("is text", "esp32-s3")],
    261: faults.UINT,
    263: faults.uint(0, 4),
    267: faults.uint(1, 2**63 - 1),
    268: faults.sized(16),
    270: [*faults.text(), ("is another firmware's", "other-edge"), ("is empty", ""), ("is in capitals", "METERPROOF-EDGE")],
    271: [
        ("is text, not a list", "0.1.0"),
        ("is an empty list", []),
        ("is a list of two", ["0.1.0", 1]),
        ("holds bytes", [b"0.1.0"]),
        ("is null", None),
    ],
    -70000: faults.uint(1, 3),
    -70001: faults.sized(32),
    -70002: faults.text(),
    -70003: faults.listed()[1:] + [("is a list of pairs", [[0, s.TABLE_BYTES]])],
}


def bad_evidence() -> Iterator[tuple[str, bytes, int]]:
    fields = device.evidence_fields(EVIDENCE)
    yield from faults.of_bytes(cbor(fields))
    names = {label: name for name, label in device.EVIDENCE_LABELS.items()}
    yield from faults.of_map(fields, EVIDENCE_KINDS, ATTESTATION, {**names, 8: "cnf", 271: "swversion"})
    yield "positive labels descending, then the negative ones", cbor(wrong_order(fields)), faults.MAP_ORDER
    key = {1: 1, -1: 6, -2: s.DEVICE_KEY.raw}
    confirmations = {
        "the key itself": key,
        "a second entry": {1: key, 2: key},
        "no entry": {},
        "the key as a byte string": {1: s.DEVICE_KEY.cose_key},
        "a key of 31 bytes": {1: {**key, -2: s.DEVICE_KEY.raw[:-1]}},
        "a key with its private part": {1: {**key, -4: bytes(32)}},
        "a key of curve X25519": {1: {**key, -1: 4}},
        "a key whose type is true": {1: {**key, 1: True}},
        "a P-256 key without y": {1: {1: 2, -1: 1, -2: bytes(32)}},
    }
    for what, cnf in confirmations.items():
        yield f"field 8 (cnf) is {what}", cbor({**fields, 8: cnf}), ATTESTATION
    channels = {
        "256": {256: s.TABLE_BYTES},
        "-1": {-1: s.TABLE_BYTES},
        "text": {"0": s.TABLE_BYTES},
        "2**32": {2**32: s.TABLE_BYTES},
    }
    for what, value in channels.items():
        yield f"channel {what}", cbor({**fields, -70003: value}), ATTESTATION
    tables = {
        "not as a byte string": Raw(s.TABLE_BYTES),
        "null": None,
        "cut off": s.TABLE_BYTES[:-1],
        "empty": b"",
    }
    for what, table in tables.items():
        yield f"channel table {what}", cbor({**fields, -70003: {0: table}}), ATTESTATION
    yield "device does not begin with 0x01", cbor({**fields, 256: b"\x02" + s.UEID[1:]}), ATTESTATION


def wrong_order(fields: dict[int, object]) -> Pairs:
    return Pairs(sorted(fields.items(), key=lambda pair: (pair[0] < 0, -abs(pair[0]))))


def attest_book() -> Book:
    book = Book("attest", "7. Attestation")
    samples = {
        "MicroPython, software key, two channels": EVIDENCE,
        "CPython gateway, no channel": evidence(s.DEVICE_KEY, interpreter="cpython 3.11.7", channels={}, hwmodel=b"rpi"),
        "secure element": evidence(s.ELEMENT_KEY, tier=3, dbgstat=4, channels={255: s.TABLE_BYTES}),
        "least values": evidence(s.DEVICE_KEY, boot=1, uptime_s=0),
    }
    for desc, record in samples.items():
        book.good("evidence", desc, cbor(device.evidence_fields(record)), record)
    book.all_bad("evidence", "", bad_evidence())
    for key, name in ((s.DEVICE_KEY, "EdDSA"), (s.ELEMENT_KEY, "ES256")):
        record = evidence(key)
        book.good("evidence.open", name, sign1(key, "eat", cbor(device.evidence_fields(record))), record)
    payload = cbor(device.evidence_fields(EVIDENCE))
    good = sign1(s.DEVICE_KEY, "eat", payload)
    book.bad("evidence.open", "signed by another key than it names", sign1(s.OTHER_KEY, "eat", payload), KEY_OTHER)
    book.bad(
        "evidence.open",
        "names another key than it is signed with",
        sign1(s.DEVICE_KEY, "eat", cbor(device.evidence_fields(evidence(s.OTHER_KEY)))),
        KEY_OTHER,
    )
    for at, what in ((-1, "last byte of s"), (-64, "first byte of R"), (-32, "first byte of s")):
        book.bad("evidence.open", f"a bit flipped: {what}", faults.bit_flipped(good, at), SIGNATURE)
    book.bad("evidence.open", "a bit flipped: nonce", faults.flipped_inside(good, CHALLENGE.nonce, 5), SIGNATURE)
    book.bad("evidence.open", "a bit flipped: firmware hash", faults.flipped_inside(good, s.FIRMWARE, 31, 0x80), SIGNATURE)
    s_plus = (int.from_bytes(good[-32:], "little") + ED25519_ORDER).to_bytes(32, "little")
    book.bad("evidence.open", "s + L", good[:-32] + s_plus, SIGNATURE)
    book.bad("evidence.open", "content type of a challenge", sign1(s.DEVICE_KEY, "challenge", payload), 111)
    book.bad("evidence.open", "content type of readings", sign1(s.DEVICE_KEY, "readings", payload), 111)
    book.bad("evidence.open", "only the payload", payload, 110)
    big = {i: device.channel_table(s.TABLE.with_(model="x" * 1900)) for i in range(5)}
    book.bad(
        "evidence.open",
        "longer than 8,192 bytes",
        sign1(s.DEVICE_KEY, "eat", cbor(device.evidence_fields(evidence(s.DEVICE_KEY, channels=big)))),
        faults.TOO_LONG,
    )
    return book


def firmware_book() -> Book:
    book = Book("firmware", "8. Firmware hash")
    images = {
        "five files, not sorted": s.IMAGE,
        "one file": s.IMAGE[:1],
        "bytewise order: '.' before '/'": s.IMAGE[2:4],
        "bytewise order: capitals and umlauts": [
            ("edge/ä.py", bytes(32)),
            ("edge/a.py", bytes(32)),
            ("edge/Z.py", bytes(32)),
            ("edge/_.py", bytes(32)),
        ],
    }
    for desc, files in images.items():
        book.good("firmware", desc, [list(file) for file in files], device.firmware_hash(files))
    first = s.IMAGE[0]
    digests = {
        "is a byte short": first[1][:-1],
        "is a byte long": first[1] + b"\x00",
        "is empty": b"",
        "is text": "0" * 32,
        "is null": None,
        "is true": True,
    }
    for what, digest in digests.items():
        book.bad("firmware", f"digest {what}", [[first[0], digest]], FIELD)
    paths = {
        "absolute": "/edge/main.py",
        "empty": "",
        "with ..": "edge/../main.py",
        "with .": "./edge/main.py",
        "with an empty part": "edge//main.py",
        "that ends in a slash": "edge/",
        "with a backslash": "edge\\main.py",
        "that is a byte string": b"edge/main.py",
        "that is null": None,
        "that is an integer": 1,
    }
    for what, path in paths.items():
        book.bad("firmware", f"path {what}", [[path, first[1]]], FIELD)
    book.bad("firmware", "the same path twice", [list(first), list(first)], FIELD)
    book.bad("firmware", "the same path twice, other digests", [list(first), [first[0], bytes(32)]], FIELD)
    book.bad("firmware", "the same path twice, apart", [list(first), *[list(file) for file in s.IMAGE[1:]], list(first)], FIELD)
    book.bad("firmware", "path longer than any board's", [["e" * 400, first[1]]], FIELD)
    return book


def books() -> list[Book]:
    return [attest_book(), firmware_book()]
