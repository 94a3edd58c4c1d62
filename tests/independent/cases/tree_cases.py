"""merkle.json, smt.json: proofs of the logs and of the ledger's state (SPEC.md sections 5 and 10)."""

from collections.abc import Iterator

from tests.independent import faults, trees
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.values import Named, fill

INCLUSION, CONSISTENCY, STATE, FIELD = 210, 211, 220, 108
ENTRIES = [b"", *[fill(f"entry {i}", i % 40) for i in range(1, 70)]]
HASHES = [trees.leaf(entry) for entry in ENTRIES]
SIZES = (1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 70)


# --- RFC 9162


def inclusion(index: int, size: int) -> dict[str, object]:
    return {
        "index": index,
        "size": size,
        "leaf": HASHES[index],
        "path": trees.path(index, HASHES[:size]),
        "root": trees.root(HASHES[:size]),
    }


def consistency(old: int, new: int) -> dict[str, object]:
    roots = {"root1": trees.root(HASHES[:old]), "root2": trees.root(HASHES[:new])}
    return {"size1": old, "size2": new, "proof": trees.consistency(old, HASHES[:new]), **roots}


def merkle_book() -> Book:
    book = Book("merkle", "5. Logs: RFC 9162 trees")
    for size in (0, *SIZES):
        book.calculated("merkle.root", f"{size} entries", ENTRIES[:size], trees.root(HASHES[:size]))
    for index, size in ((0, 1), (0, 2), (1, 2), (2, 3), (4, 5), (5, 7), (6, 7), (30, 31), (0, 33), (32, 33), (69, 70)):
        given = inclusion(index, size)
        book.good("merkle.inclusion", f"entry {index} of {size}", given, None)
        for desc, wrong in bad_inclusions(given):
            book.bad("merkle.inclusion", f"entry {index} of {size}: {desc}", wrong, INCLUSION)
    for old, new in ((1, 1), (1, 2), (2, 3), (3, 4), (4, 7), (6, 8), (8, 9), (31, 33), (32, 70), (69, 70)):
        given = consistency(old, new)
        book.good("merkle.consistency", f"{old} to {new}", given, None)
        for desc, wrong in bad_consistencies(given):
            book.bad("merkle.consistency", f"{old} to {new}: {desc}", wrong, CONSISTENCY)
    return book


def bad_inclusions(given: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    index, size, path = given["index"], given["size"], given["path"]
    yield "index is the size", {**given, "index": size}
    yield "index is 2**32", {**given, "index": 2**32}
    yield "negative index", {**given, "index": -1}
    yield "size is 0", {**given, "size": 0}
    yield "a bit of the root", {**given, "root": faults.bit_flipped(given["root"], 31)}
    yield "a bit of the leaf", {**given, "leaf": faults.bit_flipped(given["leaf"], 0, 0x80)}
    yield "the root of nothing", {**given, "root": trees.root([])}
    yield "a step too many", {**given, "path": [*path, bytes(32)]}
    yield "the root as a step more", {**given, "path": [*path, given["root"]]}
    if size > 1:
        yield "first step missing", {**given, "path": path[1:]}
        yield "last step missing", {**given, "path": path[:-1]}
        yield "no path", {**given, "path": []}
        yield "a bit of the first step", {**given, "path": [faults.bit_flipped(path[0], 3), *path[1:]]}
        yield "a step of 31 bytes", {**given, "path": [*path[:-1], path[-1][:-1]]}
        yield "a step of 33 bytes", {**given, "path": [*path[:-1], path[-1] + b"\x00"]}
        yield "another index", {**given, "index": index - 1 if index else 1}
    if len(path) > 1:
        yield "path from root to leaf", {**given, "path": path[::-1]}


def bad_consistencies(given: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    old, new, proof = given["size1"], given["size2"], given["proof"]
    yield "a bit of the old root", {**given, "root1": faults.bit_flipped(given["root1"], 1)}
    yield "a bit of the new root", {**given, "root2": faults.bit_flipped(given["root2"], 30)}
    yield "from size 0", {**given, "size1": 0}
    yield "from a negative size", {**given, "size1": -1}
    yield "to size 0", {**given, "size2": 0}
    yield "old size beyond the new", {**given, "size1": new + 1}
    yield "a step too many", {**given, "proof": [*proof, bytes(32)]}
    if old < new:
        yield "sizes exchanged", {**given, "size1": new, "size2": old}
        yield "roots exchanged", {**given, "root1": given["root2"], "root2": given["root1"]}
        yield "no proof", {**given, "proof": []}
        yield "last step missing", {**given, "proof": proof[:-1]}
        yield "first step missing", {**given, "proof": proof[1:]}
        yield "a bit of the last step", {**given, "proof": [*proof[:-1], faults.bit_flipped(proof[-1], 8)]}
        yield "a step of 31 bytes", {**given, "proof": [*proof[:-1], proof[-1][:-1]]}
        yield "sizes as of no growth", {**given, "size2": old}
    if len(proof) > 1:
        yield "proof from root to leaf", {**given, "proof": proof[::-1]}


# --- state tree

STATE_SIZES = (0, 1, 2, 3, 20)


def state_of(size: int) -> dict[bytes, bytes]:
    return {cbor(["key", fill(f"key {i}", 16)]): cbor({1: i}) for i in range(size)}


def absent_keys(tree: trees.StateTree) -> Iterator[tuple[str, bytes, list[object]]]:
    """One key whose place is empty and one where another leaf stands, as far as the tree has such places."""
    wanted = {"empty place", "another leaf"}
    for i in range(400):
        key = cbor(["absent", i])
        proof = tree.prove(key)
        kind = "empty place" if proof[1] is None else "another leaf"
        if kind in wanted:
            wanted.remove(kind)
            yield kind, key, proof


def proof_record(proof: list[object]) -> Named:
    return Named("StateProof", siblings=proof[0], terminal=proof[1])


def smt_book() -> Book:
    book = Book("smt", "10. Ledger state: tree and proofs")
    for size in STATE_SIZES:
        state = state_of(size)
        tree = trees.StateTree(state)
        book.calculated("smt.root", f"{size} keys", [[key, value] for key, value in state.items()], tree.root())
        for key, value in list(state.items())[:2]:
            given = {"root": tree.root(), "key": key, "value": value, "proof": tree.prove(key)}
            what = f"member of {size} keys, {key[-2:].hex()}"
            book.good("smt.member", what, given, None)
            if size in (1, 20) and key == min(state):
                book.good("smt.proof", what, given["proof"], proof_record(given["proof"]))
            for desc, wrong in bad_members(given):
                book.bad("smt.member", f"{what}: {desc}", wrong, STATE)
            book.bad(
                "smt.absent", f"{what}: shown as absent by its own proof", {"root": tree.root(), "key": key, "proof": given["proof"]}, STATE
            )
            for terminal in (None, [trees.h(key), trees.h(value)]):
                proof = [given["proof"][0], terminal]
                book.bad(
                    "smt.absent",
                    f"{what}: shown as absent with terminal {type(terminal).__name__}",
                    {"root": tree.root(), "key": key, "proof": proof},
                    STATE,
                )
        for kind, key, proof in absent_keys(tree):
            given = {"root": tree.root(), "key": key, "proof": proof}
            what = f"absent from {size} keys, {kind}"
            book.good("smt.absent", what, given, None)
            if size in (0, 20):
                book.good("smt.proof", what, proof, proof_record(proof))
            for desc, wrong in bad_absents(given):
                book.bad("smt.absent", f"{what}: {desc}", wrong, STATE)
    for desc, proof in bad_proofs():
        book.bad("smt.proof", desc, proof, FIELD)
    return book


def bad_members(given: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    siblings, terminal = given["proof"]
    yield "another value", {**given, "value": given["value"] + b"\x00"}
    yield "a bit of the value", {**given, "value": faults.bit_flipped(given["value"], -1)}
    yield "empty value", {**given, "value": b""}
    yield "another key", {**given, "key": given["key"] + b"\x00"}
    yield "a bit of the root", {**given, "root": faults.bit_flipped(given["root"], 0)}
    yield "root of the empty tree", {**given, "root": bytes(32)}
    yield "terminal of absence", {**given, "proof": [siblings, None]}
    yield "terminal another leaf", {**given, "proof": [siblings, [trees.h(given["key"]), trees.h(given["value"])]]}
    yield "a sibling too many", {**given, "proof": [[*siblings, fill("sibling", 32)], terminal]}
    if siblings:
        yield "an empty sibling too many", {**given, "proof": [[*siblings, b""], terminal]}
    if siblings:
        yield "last sibling missing", {**given, "proof": [siblings[:-1], terminal]}
        yield (
            "first sibling missing",
            {**given, "proof": [siblings[1:], terminal]} if len(siblings) == 1 or siblings[1] else given | {"proof": [[], terminal]},
        )
        yield "a bit of a sibling", {**given, "proof": [[faults.bit_flipped(siblings[0], 4), *siblings[1:]], terminal]}
    if len(set(siblings)) > 1 and siblings[-1]:
        yield "siblings from the root downwards", {**given, "proof": [siblings[::-1], terminal]}


def bad_absents(given: dict[str, object]) -> Iterator[tuple[str, dict[str, object]]]:
    siblings, terminal = given["proof"]
    yield "a bit of the root", {**given, "root": faults.bit_flipped(given["root"], 31)}
    yield "terminal of membership", {**given, "proof": [siblings, True]}
    yield "a sibling too many", {**given, "proof": [[*siblings, fill("sibling", 32)], terminal]}
    yield "another tree's root", {**given, "root": fill("another root", 32)}
    other = [trees.h(b"no such key"), trees.h(b"no such value")]
    yield "a leaf that is not there", {**given, "proof": [siblings, other]}
    if terminal is not None:
        yield "the other leaf left out", {**given, "proof": [siblings, None]}
        yield "a bit of the other leaf's key hash", {**given, "proof": [siblings, [faults.bit_flipped(terminal[0], 31), terminal[1]]]}
        yield "a bit of the other leaf's value hash", {**given, "proof": [siblings, [terminal[0], faults.bit_flipped(terminal[1], 31)]]}
        yield "the other leaf's hashes exchanged", {**given, "proof": [siblings, terminal[::-1]]}
    if siblings:
        yield "last sibling missing", {**given, "proof": [siblings[:-1], terminal]}
        yield "no siblings", {**given, "proof": [[], terminal]}
        yield "a bit of a sibling", {**given, "proof": [[faults.bit_flipped(siblings[0], 4), *siblings[1:]], terminal]}


def bad_proofs() -> Iterator[tuple[str, object]]:
    good = fill("sibling", 32)
    for what, proof in (
        ("null", None),
        ("a map", {0: [], 1: None}),
        ("empty", []),
        ("of one item", [[]]),
        ("of three items", [[], None, None]),
        ("bytes", b""),
    ):
        yield f"proof is {what}", proof
    for what, siblings in (("null", None), ("a map", {}), ("bytes", good), ("an integer", 0), ("257 long", [good] * 257)):
        yield f"siblings are {what}", [siblings, True]
    wrong = {
        "31 bytes": good[:-1],
        "33 bytes": good + b"\x00",
        "null": None,
        "text": "0" * 32,
        "an integer": 0,
        "32 zero bytes instead of none": bytes(32),
        "a list": [],
    }
    for what, sibling in wrong.items():
        yield f"a sibling is {what}", [[good, sibling], True]
    yield "the deepest sibling is empty: the leaf belongs further up", [[b"", good], True]
    yield "nothing but empty siblings", [[b"", b""], None]
    terminals = {
        "false": False,
        "1": 1,
        "0": 0,
        "text": "true",
        "empty": [],
        "of one hash": [good],
        "of three hashes": [good] * 3,
        "a byte string": good,
        "a map": {},
    }
    for what, terminal in terminals.items():
        yield f"terminal is {what}", [[good], terminal]
    for what, value in (("31 bytes", good[:-1]), ("33 bytes", good + b"\x00"), ("null", None), ("text", "0" * 32), ("true", True)):
        yield f"key hash of the other leaf is {what}", [[good], [value, good]]
        yield f"value hash of the other leaf is {what}", [[good], [good, value]]


def books() -> list[Book]:
    return [merkle_book(), smt_book()]
