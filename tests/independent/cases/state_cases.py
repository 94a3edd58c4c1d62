"""state.json: values of the ledger's state, receipts and block leaves (SPEC.md section 10).

In: the second encoder. Out: books of cases. Never what the code under test returns.
"""

from collections.abc import Iterator

from tests.independent import faults, ledger
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cases.standing_cases import questions
from tests.independent.cbor_out import cbor
from tests.independent.state_samples import (
    BATCH,
    BLOCK_LEAF,
    DEVICE,
    FIRST_BATCH,
    GENESIS_HASH,
    PAIR,
    PARAMS,
    RECEIPT,
    REVOKED,
    SUSPENDED,
    VALIDATORS,
    batch_fields,
    device_fields,
    effects,
    power,
    receipt_fields,
)

FIELD = 108
HEIGHT = faults.uint(1, 2**63 - 1)


def state_book() -> Book:
    book = Book("state", "10. Ledger state, receipts, blocks")
    for name, parts in state_keys().items():
        book.calculated("state.key", name, [name, *parts], cbor([name, *parts]))
    book.good("params", "format 1", ledger.params_value(GENESIS_HASH), PARAMS)
    for desc, value in (
        ("live", DEVICE),
        ("suspended, with an equivocation", SUSPENDED),
        ("revoked, two keys, three assignments", REVOKED),
    ):
        book.good("device.value", desc, cbor(device_fields(value)), value)
    several = BATCH.with_(snapshot=[power(key, 2**32 * (i + 1)) for i, key in enumerate(VALIDATORS)])
    for desc, value in (("three votes of four", BATCH), ("first batch, no vote yet", FIRST_BATCH), ("great powers", several)):
        book.good("batch.value", desc, cbor(batch_fields(value)), value)
    receipts = {
        "done, two effects": RECEIPT.with_(effects=effects(["org", s.ORG], ["key", s.ADMIN_KEY.kid])),
        "done, no effect": RECEIPT,
        "refused": RECEIPT.with_(code=301, index=12, height=2**32),
    }
    for desc, value in receipts.items():
        book.good("receipt", desc, cbor(receipt_fields(value)), value)
    book.good("block.leaf", "height 7", ledger.block_leaf(BLOCK_LEAF), BLOCK_LEAF)
    first = BLOCK_LEAF.with_(height=1, index=1, time_s=0, chain_id="abc")
    book.good("block.leaf", "height 1", ledger.block_leaf(first), first)
    entries = [cbor(receipt_fields(RECEIPT)), cbor(receipt_fields(RECEIPT.with_(index=1))), ledger.block_leaf(BLOCK_LEAF)]
    for count in (0, 1, 2, 3):
        book.calculated("app.hash", f"{count} entries", entries[:count], ledger.app_hash(entries[:count]))
    negatives(book)
    questions(book)
    return book


def state_keys() -> dict[str, list[object]]:
    keys = {"params": [], "validators": [], "org": [s.ORG], "key": [s.ADMIN_KEY.kid], "nonce": [s.ADMIN_KEY.kid], "point": [s.POINT]}
    return {**keys, "firmware": [s.FIRMWARE], "device": [s.UEID], "log": [s.ORIGIN], "batch": [s.ORIGIN, 300]}


def negatives(book: Book) -> None:
    params = {1: GENESIS_HASH, 2: 1}
    record(book, "params", params, {1: faults.HASH, 2: [*faults.uint(1, 1), ("is 2", 2)]})
    kinds = {
        1: faults.sized(10),
        2: faults.text(),
        3: faults.listed(),
        4: faults.uint(1, 3),
        5: faults.listed(),
        6: faults.listed(),
        7: faults.HASH,
        8: faults.HASH,
        9: faults.listed(),
    }
    record(book, "device.value", device_fields(DEVICE), kinds)
    for desc, key, value in bad_device_lists():
        book.bad("device.value", desc, cbor({**device_fields(REVOKED), key: value}), FIELD if "COSE_Key" not in desc else 112)
    book.bad("device.value", "live without a live range", cbor({**device_fields(REVOKED), 4: 1}), FIELD)
    book.bad("device.value", "revoked with a live range", cbor({**device_fields(DEVICE), 4: 3}), FIELD)
    batch = batch_fields(BATCH)
    kinds = {1: faults.UINT, 2: faults.uint(1001, 2**63 - 1), 3: faults.HASH, 4: HEIGHT, 5: faults.listed(), 6: faults.listed()}
    record(book, "batch.value", batch, kinds)
    for desc, key, value in bad_batch_lists(batch):
        book.bad("batch.value", desc, cbor({**batch, key: value}), FIELD)
    book.bad("batch.value", "new size is old size", cbor({**batch, 1: 1042, 6: []}), FIELD)
    kinds = {
        0: [*faults.uint(1, 1), ("is 0, a block leaf", 0)],
        1: faults.HASH,
        2: HEIGHT,
        3: faults.UINT,
        4: faults.uint(0, 999),
        5: faults.listed(),
    }
    record(book, "receipt", receipt_fields(RECEIPT), kinds)
    for desc, value in bad_effects():
        book.bad("receipt", desc, cbor({**receipt_fields(RECEIPT), 5: value}), FIELD)
    leaf = ledger.numbered(0, *BLOCK_LEAF.fields.values(), start=0)
    chain_ids = [
        ("of 2 characters", "ab"),
        ("of 41 characters", "a" * 41),
        ("in capitals", "Chain"),
        ("with a blank", "a b"),
        ("with an umlaut", "kätte"),
    ]
    chain_ids += [("with a newline", "chain\n"), ("with an underscore", "a_b"), ("empty", "")]
    kinds = {
        0: [*faults.uint(0, 0), ("is 1, a receipt", 1)],
        1: faults.text() + chain_ids,
        2: HEIGHT,
        3: faults.UINT,
        4: faults.UINT,
        5: faults.HASH,
        6: faults.HASH,
    }
    record(book, "block.leaf", leaf, kinds)


def record(book: Book, do: str, fields: dict[int, object], kinds: dict[int, list[faults.Fault]]) -> None:
    book.all_bad(do, "", faults.of_bytes(cbor(fields)))
    seen = set()
    for desc, data, error in faults.of_map(fields, kinds, FIELD):
        if desc not in seen:
            book.bad(do, desc, data, error)
        seen.add(desc)


def bad_device_lists() -> Iterator[tuple[str, int, object]]:
    keys = device_fields(REVOKED)[3]
    names = ["kid", "COSE_Key", "tier", "from height", "to height"]
    yield "a COSE_Key with `true` for its type", 3, [[keys[0][0], b"\xa3\x01\xf5" + keys[0][1][3:], *keys[0][2:]]]
    yield "no key", 3, []
    yield "the same device key twice", 3, [keys[0], keys[0]]
    yield "device keys in reverse order", 3, keys[::-1]
    yield "kid of another key", 3, [[keys[1][0], *keys[0][1:]]]
    to_height = [("is text", "9"), ("is true", True), ("is below from", 4), ("is 2**63", 2**63)]
    kinds = [faults.sized(16), [], faults.uint(1, 3), HEIGHT, to_height]
    for desc, value in faults.list_faults("key", keys[0], kinds, names):
        yield desc, 3, value
    for desc, value in faults.list_faults("live range", [5, 120], [HEIGHT, to_height], ["from", "to"]):
        yield desc, 5, value
    yield "no live range", 5, []
    yield "live ranges out of order", 5, [[100, 120], [5, 90]]
    yield "the same live range twice", 5, [[5, 90], [5, 90]]
    yield "live ranges that overlap by one", 5, [[5, 91], [90, 120]]
    yield "a live range after an open one", 5, [[5, None], [90, 120]]
    assigned = device_fields(REVOKED)[6]
    to_s = [("is text", "9"), ("is true", True), ("is before from", 9), ("is 2**63", 2**63)]
    kinds = [faults.uint(0, 255), faults.sized(10), faults.text(), faults.HASH, faults.UINT, to_s]
    for desc, value in faults.list_faults("assignment", assigned[0], kinds, ["channel", "point", "serial", "table hash", "from_s", "to_s"]):
        yield desc, 6, value
    yield "assignments out of order", 6, assigned[::-1]
    yield "the same assignment twice", 6, [assigned[0], assigned[0]]
    yield "assignments of a channel that overlap by one", 6, [assigned[0], [*assigned[1][:4], 19, None]]
    pair = [*PAIR, 90]
    for desc, value in faults.list_faults("equivocation", pair, [faults.HASH, faults.HASH, HEIGHT], ["first", "second", "height"]):
        yield desc, 9, value
    yield "an equivocation of one identity", 9, [[pair[0], pair[0], 90]]
    yield "the same equivocation twice", 9, [pair, pair]
    yield "identities of an equivocation descending", 9, [[pair[1], pair[0], 90]]
    yield "the same equivocation twice, later", 9, [pair, [*PAIR, 91]]
    yield "equivocations out of order", 9, [pair, [bytes(32), pair[0], 89]]
    yield "65 equivocations", 9, [[bytes(31) + bytes([i]), b"\xff" * 32, 90] for i in range(65)]
    yield "257 live ranges", 5, [[2 * i + 1, 2 * i + 2] for i in range(257)]
    yield "257 assignments", 6, [[i // 2, s.POINT, "", s.TABLE_HASH, i % 2, i % 2 + 1] for i in range(257)]


def bad_batch_lists(batch: dict[int, object]) -> Iterator[tuple[str, int, object]]:
    snapshot, votes = batch[5], batch[6]
    for desc, value in faults.list_faults("power", snapshot[0], [faults.sized(16), faults.uint(1, 2**63 - 1)], ["kid", "power"]):
        yield f"snapshot: {desc}", 5, value
    yield "snapshot: empty", 5, []
    yield "snapshot: 101 validators", 5, [*[[bytes(15) + bytes([i]), 1] for i in range(97)], *snapshot]
    yield "snapshot: out of order", 5, snapshot[::-1]
    yield "snapshot: the same validator twice", 5, [snapshot[0], *snapshot]
    kinds = [faults.sized(16), HEIGHT, faults.listed()]
    for desc, value in faults.list_faults("vote", votes[1], kinds, ["kid", "height", "objected"]):
        yield f"votes: {desc}", 6, value
    yield "votes: out of order", 6, votes[::-1]
    yield "votes: the same validator twice", 6, [votes[0], *votes]
    yield "votes: of nobody in the snapshot", 6, [[s.OTHER_KEY.kid, 8, []]]
    yield "votes: before the batch", 6, [[*votes[0][:1], 6, []]]
    objected = {
        "before the batch": [999],
        "the new size": [1042],
        "twice": [1000, 1000],
        "out of order": [1041, 1000],
        "negative": [-1],
        "true": [True],
        "text": ["1000"],
    }
    for what, value in objected.items():
        yield f"votes: objected index {what}", 6, [[votes[0][0], 8, value]]


def bad_effects() -> Iterator[tuple[str, object]]:
    good = effects(["org", s.ORG], ["key", s.ADMIN_KEY.kid])
    yield "effects out of order", good[::-1]
    yield "the same effect twice", [good[0], good[0]]
    yield "one state key with two values", [good[0], [good[0][0], good[1][1]]]
    key = [("is text", "key"), ("is empty", b""), ("is null", None), ("is a list", ["org", s.ORG])]
    yield from faults.list_faults("effect", good[0], [key, faults.HASH], ["state key", "hash of the value"])


def books() -> list[Book]:
    return [state_book()]
