"""genesis.json, block.json, access.json (SPEC.md sections 9, 10, 11).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator
from hashlib import sha256

from tests.independent import faults, ledger, trees
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cases.transaction_cases import BATCH_HASHES, BODIES, KEY, NAME, ORIGIN, ROLES, envelope, signed
from tests.independent.cbor_out import cbor
from tests.independent.signing import identity_of, sign1
from tests.independent.values import Plain, fill

GENESIS, BLOCK, ACCESS, CORRUPT = 181, 182, 350, 271
KEYS = [
    [s.ADMIN_KEY.cose_key, ["admin", "installer", "operator"], "Ada"],
    [s.NODE_KEY.cose_key, ["node"], "node"],
    [s.VALIDATOR_KEY.cose_key, ["validator"], "validator"],
]
GENESIS_FIELDS = ledger.numbered(
    "meterproof/genesis/1",
    s.CHAIN_ID,
    s.START_S,
    [s.ORG, "Wind & Wetter"],
    KEYS,
    [[s.VALIDATOR_KEY.cose_key, 1]],
    [[s.ORIGIN, s.NODE_KEY.kid]],
    start=0,
)


def genesis_want(fields: dict[int, object]) -> dict[str, object]:
    data = cbor(fields)
    validators = sorted([sha256(key).digest()[:16], power] for key, power in fields[5])
    named = {"chain_id": fields[1], "time_s": fields[2], "org": fields[3][0], "name": fields[3][1], "keys": fields[4]}
    return Plain({**named, "validators": validators, "logs": fields[6], "hash": sha256(data).digest()})


def genesis_book() -> Book:
    book = Book("genesis", "9. Genesis")
    both = [*KEYS[:1], [s.NODE_KEY.cose_key, ["node", "validator"], "node"]]
    samples = {
        "one validator, one log": GENESIS_FIELDS,
        "no log yet": {**GENESIS_FIELDS, 6: []},
        "node and validator are one key": {**GENESIS_FIELDS, 4: both, 5: [[s.NODE_KEY.cose_key, 2**32]]},
        "time 0": {**GENESIS_FIELDS, 2: 0},
    }
    for desc, fields in samples.items():
        book.good("genesis", desc, cbor(fields), genesis_want(fields))
    for desc, data, _ in [*faults.of_bytes(cbor(GENESIS_FIELDS)), *faults.of_map(GENESIS_FIELDS, genesis_kinds(), GENESIS)]:
        book.bad("genesis", desc, data, GENESIS)
    for desc, key, value in bad_genesis_lists():
        book.bad("genesis", desc, cbor({**GENESIS_FIELDS, key: value}), GENESIS)
    return book


def genesis_kinds() -> dict[int, list[faults.Fault]]:
    formats = [*faults.text(), ("is of version 2", "meterproof/genesis/2"), ("is of a policy", "meterproof/policy/1"), ("is empty", "")]
    chain_ids = [("is of 2 characters", "ab"), ("is of 41 characters", "a" * 41), ("is in capitals", "Vector"), ("is empty", "")]
    listed = faults.listed()
    return {
        0: formats,
        1: faults.text() + chain_ids,
        2: faults.UINT,
        3: listed,
        4: [*listed, ("is empty", [])],
        5: [*listed, ("is empty", [])],
        6: listed,
    }


def bad_genesis_lists() -> Iterator[tuple[str, int, object]]:
    for what, value in faults.sized(10):
        yield f"organization {what}", 3, [value, "name"]
    for what, value in NAME:
        yield f"name of the organization {what}", 3, [s.ORG, value]
    yield "organization without a name", 3, [s.ORG]
    first = KEYS[0]
    for place, found in enumerate([KEY, ROLES, NAME]):
        for what, value in found:
            yield f"{('key', 'roles', 'name of a key')[place]} {what}", 4, [[*first[:place], value, *first[place + 1 :]], *KEYS[1:]]
    yield "no admin", 4, [[s.ADMIN_KEY.cose_key, ["operator"], "Ada"], *KEYS[1:]]
    yield "a key twice", 4, [*KEYS, KEYS[0]]
    yield "a key twice with other roles", 4, [*KEYS, [s.ADMIN_KEY.cose_key, ["node"], "again"]]
    for what, value in [*faults.uint(1, 2**53), ("is 0", 0)][:-1]:
        yield f"power {what}", 5, [[s.VALIDATOR_KEY.cose_key, value]]
    yield "a validator that is not among the keys", 5, [[s.OTHER_KEY.cose_key, 1]]
    yield "a validator whose key has no such role", 5, [[s.NODE_KEY.cose_key, 1]]
    yield "a validator twice", 5, [[s.VALIDATOR_KEY.cose_key, 1], [s.VALIDATOR_KEY.cose_key, 2]]
    yield "a validator by its kid", 5, [[s.VALIDATOR_KEY.kid, 1]]
    for what, value in ORIGIN:
        yield f"origin {what}", 6, [[value, s.NODE_KEY.kid]]
    yield "a log whose node is not among the keys", 6, [[s.ORIGIN, s.OTHER_KEY.kid]]
    yield "a log whose node's key has no such role", 6, [[s.ORIGIN, s.ADMIN_KEY.kid]]
    yield "a log's node by its key", 6, [[s.ORIGIN, s.NODE_KEY.cose_key]]
    yield "a log twice", 6, [[s.ORIGIN, s.NODE_KEY.kid]] * 2


def block_book() -> Book:
    book = Book("block", "10. Blocks, and values that only the ledger reads")
    transactions = [signed(kind, body) for kind, (body, _) in list(BODIES.items())[:3]]
    identities = [identity_of(s.ADMIN_KEY, "tx", envelope(kind, body)) for kind, (body, _) in list(BODIES.items())[:3]]
    for count, height in ((1, 1), (3, 2**32)):
        want = Plain({"height": height, "time_s": s.START_S, "transactions": identities[:count]})
        book.good("block", f"{count} transactions", ledger.block(height, s.START_S, transactions[:count]), want)
    good = [7, s.START_S, transactions[:1]]
    listed = [
        *faults.listed(),
        ("holds null", [None]),
        ("holds text", ["x"]),
        ("holds an empty string", [b""]),
        ("holds a statement", [s.STATEMENT_BYTES]),
    ]
    listed += [("holds a cut transaction", [transactions[0][:-1]]), ("holds the transaction's parts", [[b"", {}, b"", b""]])]
    kinds = [faults.uint(1, 2**63 - 1), faults.UINT, listed]
    for desc, data, _ in [*faults.of_bytes(cbor(good)), *faults.of_list(good, kinds, BLOCK, ["height", "time_s", "transactions"])]:
        book.bad("block", desc, data, BLOCK)
    for name, data, want in ledger_values():
        book.good("value." + name, name, data, want)
        fields = list(want)
        wrong = {
            "cut off": data[:-1],
            "a byte more": data + b"\x00",
            "a list": cbor(fields),
            "a field missing": cbor(dict(enumerate(fields[1:], 1))),
        }
        wrong |= {"a field too many": cbor(ledger.numbered(*fields, 0)), "keys from 0": cbor(dict(enumerate(fields))), "empty": b""}
        if name == "key":
            wrong["roles are a number"] = cbor(ledger.numbered(*fields[:2], 5, *fields[3:]))
            wrong["roles are a text"] = cbor(ledger.numbered(*fields[:2], "admin", *fields[3:]))
        for desc, bad in wrong.items():
            book.bad("value." + name, f"{name}: {desc}", bad, CORRUPT)
    book.calculated("value.nonce", "nonce", 300, cbor(300))
    powers = sorted([key.kid, 3] for key in (s.VALIDATOR_KEY, s.NODE_KEY))
    book.calculated("value.validators", "validators by kid", powers[::-1], cbor(powers))
    return book


def ledger_values() -> Iterator[tuple[str, bytes, list[object]]]:
    values: dict[str, list[object]] = {
        "org": ["Wind & Wetter", 1],
        "key": [s.ORG, s.ADMIN_KEY.cose_key, ["admin", "operator"], "Ada", 3, None],
        "point": [s.ORG, "Dach Süd", None, "Europe/Berlin", 4],
        "firmware": [s.ORG, "meterproof-edge", "0.1.0", 4, 9],
        "log": [s.ORG, s.NODE_KEY.kid, 70, trees.root(BATCH_HASHES), 2],
    }
    for name, fields in values.items():
        yield name, cbor(ledger.numbered(*fields)), fields


def access_book() -> Book:
    book = Book("access", "11. Access token")
    parts = [s.CHAIN_ID, s.ORG, "GET", "/v1/rows?device=a%20b&from=1", s.START_S + 60, fill("random", 16), sha256(b"").digest()]
    posting = [*parts[:2], "POST", "/v1/rows", s.START_S, fill("random", 16), sha256(b'{"a":1}').digest()]
    names = ["chain_id", "org", "method", "path", "expires_s", "random", "body_hash"]
    for desc, fields, key in (
        ("GET without a body", parts, s.ADMIN_KEY),
        ("POST with a body", posting, s.ADMIN_KEY),
        ("signed with ES256", parts, s.ELEMENT_KEY),
    ):
        header = ledger.authorization(sign1(key, "access", cbor(ledger.numbered(*fields))))
        book.good("access", desc, header, Plain({**dict(zip(names, fields, strict=True)), "kid": key.kid}))
    fields = ledger.numbered(*parts)
    kinds = {1: faults.text(), 2: faults.sized(10), 3: faults.text(), 4: faults.text(), 5: faults.UINT, 6: faults.sized(16), 7: faults.HASH}
    for desc, payload, _ in [*faults.of_map(fields, kinds, ACCESS, dict(enumerate(names, 1))), *faults.of_bytes(cbor(fields))]:
        book.bad("access", desc, ledger.authorization(sign1(s.ADMIN_KEY, "access", payload)), ACCESS)
    for desc, header in bad_headers(sign1(s.ADMIN_KEY, "access", cbor(fields)), cbor(fields)):
        book.bad("access", desc, header, ACCESS)
    return book


def bad_headers(token: bytes, payload: bytes) -> Iterator[tuple[str, str]]:
    good = ledger.authorization(token)
    body = good.removeprefix("Meterproof ")
    yield "empty", ""
    yield "scheme alone", "Meterproof"
    yield "scheme and a blank", "Meterproof "
    yield "no scheme", body
    yield "scheme Bearer", "Bearer " + body
    yield "two blanks", "Meterproof  " + body
    yield "a character that base64url has not", "Meterproof *" + body[1:]
    yield "cut off", good[:-4]
    yield "cut off by one character", good[:-1]
    yield "hex", "Meterproof " + token.hex()
    yield "a newline at the end", good + "\n"
    yield "a second token", good + " " + body
    for media in ("tx", "challenge", "readings"):
        yield f"content type of {media}", ledger.authorization(sign1(s.ADMIN_KEY, media, payload))
    yield "only the payload", ledger.authorization(payload)
    yield "longer than 4,096 bytes", ledger.authorization(sign1(s.ADMIN_KEY, "access", payload + bytes(4096)))


def books() -> list[Book]:
    return [genesis_book(), block_book(), access_book()]
