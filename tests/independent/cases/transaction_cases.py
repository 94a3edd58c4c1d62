"""transaction.json: every type of transaction (SPEC.md section 9).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import device, faults, ledger, trees
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.signing import MEDIA, EdKey, P256Key, identity_of, sign1
from tests.independent.values import Pairs, Plain, Raw, fill

TX = 180
NAME = [*faults.text(), ("is empty", ""), ("is 129 bytes long", "n" * 129), ("holds a newline", "a\nb"), ("holds a null byte", "a\x00")]
KEY = [("is null", None), ("is a map", {1: 1, -1: 6, -2: bytes(32)}), ("is cut off", s.DEVICE_KEY.cose_key[:-1]), ("is empty", b"")]
KEY += [("is a bare Ed25519 key", s.DEVICE_KEY.raw), ("has `true` for its type", b"\xa3\x01\xf5" + s.DEVICE_KEY.cose_key[3:])]
ROLES = [
    *faults.listed(),
    ("is empty", []),
    ("holds an unknown role", ["owner"]),
    ("holds a role twice", ["node", "node"]),
    ("holds a capital", ["Admin"]),
]
ROLES += [("is not alphabetical", ["node", "admin"]), ("holds null", [None]), ("holds bytes", [b"admin"])]
ORIGIN = [*faults.text(), ("is empty", ""), ("holds a blank", "a b"), ("holds a plus", "a+b")]
ASSIGNMENT = [0, s.POINT, "0004711", s.TABLE_HASH, s.START_S]
DEVICE = [*faults.sized(17), ("does not begin with 0x01", b"\x02" + bytes(16))]
BATCH_HASHES = [trees.leaf(fill(f"statement {i}", 40)) for i in range(70)]


def other_statement() -> bytes:
    """Overlaps with the sample's."""
    changed = s.readings_statement(s.READINGS, clock=1)
    return sign1(s.DEVICE_KEY, "readings", device.statement_payload(changed))


def objection(index: int, code: int) -> list[object]:
    return [index, code, s.STATEMENT_BYTES, trees.path(index, BATCH_HASHES)]


# type -> (body, faults of each field)
BODIES: dict[str, tuple[dict[int, object], dict[int, list[faults.Fault]]]] = {
    "org.create": ({1: "Wind & Wetter", 2: s.ADMIN_KEY.cose_key, 3: "Ada"}, {1: NAME, 2: KEY, 3: NAME}),
    "key.add": ({1: s.ELEMENT_KEY.cose_key, 2: ["admin", "installer"], 3: "Bert"}, {1: KEY, 2: ROLES, 3: NAME}),
    "key.revoke": ({1: s.OTHER_KEY.kid}, {1: faults.sized(16)}),
    "point.create": (
        {1: "Dach Süd", 2: s.POINT, 3: "Europe/Berlin"},
        {1: NAME, 2: faults.no_null(faults.sized(10)), 3: [*faults.text(), ("is empty", ""), ("holds a blank", "Europe/ Berlin")]},
    ),
    "firmware.add": ({1: s.FIRMWARE, 2: "meterproof-edge", 3: "0.1.0"}, {1: faults.HASH, 2: NAME, 3: NAME}),
    "firmware.withdraw": ({1: s.FIRMWARE}, {1: faults.HASH}),
    "device.enroll": (
        {1: s.UEID, 2: s.DEVICE_KEY.cose_key, 3: 1, 4: s.FIRMWARE, 5: s.ORIGIN, 6: [ASSIGNMENT], 7: fill("evidence hash", 32)},
        {1: DEVICE, 2: KEY, 3: faults.uint(1, 3), 4: faults.HASH, 5: ORIGIN, 6: faults.listed(), 7: faults.HASH},
    ),
    "device.assign": ({1: s.UEID, 2: ASSIGNMENT}, {1: DEVICE, 2: faults.listed()}),
    "device.suspend": ({1: s.UEID, 2: "seal broken"}, {1: DEVICE, 2: faults.text()}),
    "device.resume": ({1: s.UEID, 2: "seal renewed"}, {1: DEVICE, 2: faults.text()}),
    "device.revoke": ({1: s.UEID, 2: "stolen"}, {1: DEVICE, 2: faults.text()}),
    "device.equivocation": (
        {1: s.UEID, 2: s.STATEMENT_BYTES, 3: other_statement()},
        {
            1: DEVICE,
            2: [("is null", None), ("is empty", b""), ("is text", "x"), ("is true", True)],
            3: [("is null", None), ("is empty", b""), ("is text", "x")],
        },
    ),
    "batch": (
        {1: s.ORIGIN, 2: 31, 3: 70, 4: trees.root(BATCH_HASHES), 5: trees.consistency(31, BATCH_HASHES)},
        {
            1: ORIGIN,
            2: faults.UINT,
            3: faults.UINT,
            4: faults.HASH,
            5: [*faults.listed(), ("holds 31 bytes", [bytes(31)]), ("holds null", [None]), ("holds text", ["x" * 32])],
        },
    ),
    "vote": (
        {1: s.ORIGIN, 2: 0, 3: trees.root(BATCH_HASHES), 4: [objection(3, 201), objection(5, 233)]},
        {1: ORIGIN, 2: faults.UINT, 3: faults.HASH, 4: faults.listed()},
    ),
}
OTHER_GOOD = {
    "point.create": {1: "Anlage", 2: None, 3: "Asia/Shanghai"},
    "device.assign": {1: s.UEID, 2: [255, s.POINT, "", s.TABLE_HASH, 0]},
    "device.enroll": {**BODIES["device.enroll"][0], 2: s.ELEMENT_KEY.cose_key, 3: 3, 6: []},
    "batch": {1: s.ORIGIN, 2: 0, 3: 70, 4: trees.root(BATCH_HASHES), 5: []},
    "vote": {1: s.ORIGIN, 2: 2**32, 3: trees.root(BATCH_HASHES), 4: []},
}


def envelope(kind: str, body: object, nonce: int = 7) -> bytes:
    return ledger.tx_payload(s.CHAIN_ID, s.ORG, nonce, kind, body)


def signed(kind: str, body: object, key: EdKey | P256Key = s.ADMIN_KEY) -> bytes:
    return sign1(key, "tx", envelope(kind, body))


def wanted(kind: str, body: dict[int, object], key: EdKey | P256Key = s.ADMIN_KEY) -> dict[str, object]:
    identity = identity_of(key, "tx", envelope(kind, body))
    fields = {"chain_id": s.CHAIN_ID, "org": s.ORG, "nonce": 7, "type": kind, "body": list(body.values())}
    return {**fields, "kid": key.kid, "identity": identity}


def transaction_book() -> Book:
    book = Book("transaction", "9. Transactions")
    for kind, (body, kinds) in BODIES.items():
        book.good("tx", kind, signed(kind, body), Plain(wanted(kind, body)))
        parts = {"seed": s.ADMIN_KEY.seed, "chain_id": s.CHAIN_ID, "org": s.ORG, "nonce": 7, "type": kind, "body": body}
        book.calculated("tx.build", kind, Plain(parts), signed(kind, body))
        for desc, data in bad_bodies(body, kinds):
            book.bad("tx", f"{kind}: {desc}", sign1(s.ADMIN_KEY, "tx", data_payload(kind, data)), TX)
    for kind, body in OTHER_GOOD.items():
        book.good("tx", f"{kind}, otherwise", signed(kind, body), Plain(wanted(kind, body)))
    kind, body = "key.revoke", BODIES["key.revoke"][0]
    book.good("tx", "signed with ES256", signed(kind, body, s.ELEMENT_KEY), Plain(wanted(kind, body, s.ELEMENT_KEY)))
    for name in ("org", "point"):
        identity = identity_of(s.ADMIN_KEY, "tx", envelope(f"{name}.create", BODIES[f"{name}.create"][0]))
        book.calculated("object.id", name, [name, identity], ledger.object_id(name, identity))
    for desc, data in bad_transactions():
        book.bad("tx", desc, data, TX)
    for desc, kind, key, value in bad_lists():
        book.bad("tx", f"{kind}: {desc}", signed(kind, {**BODIES[kind][0], key: value}), TX)
    return book


def data_payload(kind: str, body: bytes) -> bytes:
    return envelope(kind, Raw(body))


def bad_bodies(body: dict[int, object], kinds: dict[int, list[faults.Fault]]) -> Iterator[tuple[str, bytes]]:
    for desc, data, _ in faults.of_map(body, kinds, TX):
        if data != cbor(body):
            yield desc, data
    yield "body is a list", cbor(list(body.values()))
    yield "body is empty", cbor({})
    yield "body has a float", cbor(Pairs(body.items()))[:-1] + b"\xf9\x3c\x00"


def bad_transactions() -> Iterator[tuple[str, bytes]]:
    kind, body = "device.suspend", BODIES["device.suspend"][0]
    good = signed(kind, body)
    for desc, data, _ in faults.of_bytes(good):
        yield f"signed object: {desc}", data
    fields = ledger.numbered(s.CHAIN_ID, s.ORG, 7, kind, body)
    chain_ids = [
        ("is of 2 characters", "ab"),
        ("is of 41 characters", "a" * 41),
        ("is in capitals", "Vector"),
        ("holds a point", "a.b"),
        ("ends in a newline", "abc\n"),
    ]
    types = [("is unknown", "device.sell"), ("is empty", ""), ("is in capitals", "DEVICE.SUSPEND"), ("has a blank", "device.suspend ")]
    kinds = {1: faults.text() + chain_ids, 2: faults.sized(10), 3: faults.UINT, 4: faults.text() + types, 5: faults.listed()[1:]}
    for desc, data, _ in faults.of_map(fields, kinds, TX, {1: "chain id", 2: "organization", 3: "nonce", 4: "type", 5: "body"}):
        yield f"payload: {desc}", sign1(s.ADMIN_KEY, "tx", data)
    for desc, data, _ in faults.of_bytes(cbor(fields)):
        yield f"payload: {desc}", sign1(s.ADMIN_KEY, "tx", data)
    for media in MEDIA:
        if media != "tx":
            yield f"content type of {media}", sign1(s.ADMIN_KEY, media, envelope(kind, body))
    for other in BODIES:
        if other not in ("device.suspend", "device.resume", "device.revoke", kind):
            yield f"type {other} with the body of device.suspend", signed(other, body)
    yield "only the payload", envelope(kind, body)
    yield "longer than 60,000 bytes", bytes(60_001)


def bad_lists() -> Iterator[tuple[str, str, int, object]]:
    kinds = [faults.uint(0, 255), faults.sized(10), faults.text(), faults.HASH, faults.UINT]
    names = ["channel", "point", "serial", "table hash", "from_s"]
    for place, found in enumerate(kinds):
        for what, value in found:
            changed = [*ASSIGNMENT[:place], value, *ASSIGNMENT[place + 1 :]]
            yield f"assignment: {names[place]} {what}", "device.assign", 2, changed
            yield f"assignment: {names[place]} {what}", "device.enroll", 6, [changed]
    yield "assignment: last item missing", "device.assign", 2, ASSIGNMENT[:-1]
    yield "assignment: an item too many", "device.assign", 2, [*ASSIGNMENT, None]
    yield "assignment not in a list", "device.enroll", 6, ASSIGNMENT
    yield "a channel assigned twice", "device.enroll", 6, [ASSIGNMENT, ASSIGNMENT]
    yield "channels descending", "device.enroll", 6, [[1, *ASSIGNMENT[1:]], ASSIGNMENT]
    yield "meter serial of 129 bytes", "device.assign", 2, [*ASSIGNMENT[:2], "s" * 129, *ASSIGNMENT[3:]]
    yield "meter serial with a newline", "device.assign", 2, [*ASSIGNMENT[:2], "s\n", *ASSIGNMENT[3:]]
    good = objection(3, 201)
    steps = [("is null", None), ("holds 33 bytes", [bytes(33)]), ("holds text", ["x" * 32]), ("is a byte string", bytes(32))]
    statement = [("is null", None), ("is text", "x"), ("is true", True)]
    for place, found in enumerate(
        [faults.UINT, [("is text", "201"), ("is true", True), ("is null", None), ("is negative", -201)], statement, steps]
    ):
        for what, value in found:
            yield (
                f"objection: {('index', 'code', 'statement', 'path')[place]} {what}",
                "vote",
                4,
                [[*good[:place], value, *good[place + 1 :]]],
            )
    yield "objection: last item missing", "vote", 4, [good[:-1]]
    yield "objection: an item too many", "vote", 4, [[*good, 0]]
    yield "the same objection twice", "vote", 4, [good, good]
    yield "objections descending", "vote", 4, [objection(5, 233), good]
    yield "two objections to one statement", "vote", 4, [good, [3, 233, *good[2:]]]
    yield "65 objections", "vote", 4, [[i, 233, b"", []] for i in range(65)]


def books() -> list[Book]:
    return [transaction_book()]
