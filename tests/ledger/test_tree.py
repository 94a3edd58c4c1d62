"""The state tree against a naive recursive one, and its proofs against the verifier's code."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger import tree
from shared import smt
from shared.errors import VerifyError

EMPTY = bytes(32)


def naive_root(leaves: dict[bytes, bytes], depth: int = 0) -> bytes:
    """SPEC section 10 word by word, nothing shared with the code under test."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        ((path, value_hash),) = leaves.items()
        return sha256(b"\x00" + path + value_hash).digest()
    sides: tuple[dict[bytes, bytes], dict[bytes, bytes]] = ({}, {})
    for path, value_hash in leaves.items():
        sides[int.from_bytes(path, "big") >> (255 - depth) & 1][path] = value_hash
    return sha256(b"\x01" + naive_root(sides[0], depth + 1) + naive_root(sides[1], depth + 1)).digest()


def leaf(key: bytes, value: bytes) -> tuple[bytes, bytes]:
    return sha256(key).digest(), sha256(value).digest()


keys = st.integers(0, 40).map(lambda number: b"key %d" % number)
steps = st.lists(st.dictionaries(keys, st.binary(max_size=3), max_size=12), max_size=8)


@given(steps)
def test_batched_updates_make_the_naive_root(blocks: list[dict[bytes, bytes]]) -> None:
    records: dict[bytes, bytes] = {}
    values: dict[bytes, bytes] = {}
    for block in blocks:
        root, made = tree.update(records.get, dict(leaf(*item) for item in block.items()))
        records.update(made)
        values.update(block)
        assert root == tree.root_of(records.get) == naive_root(dict(leaf(*item) for item in values.items()))
    for number in range(45):
        key = b"key %d" % number
        proof = smt.decode_proof(smt.encode_proof(tree.prove(records.get, key)))
        if key in values:
            smt.verify_member(root, key, values[key], proof)
        elif blocks:
            smt.verify_absent(root, key, proof)


@given(st.dictionaries(keys, st.binary(max_size=3)), st.randoms())
def test_the_order_of_changes_does_not_matter(values: dict[bytes, bytes], random) -> None:
    roots = set()
    for _ in range(3):
        records: dict[bytes, bytes] = {}
        items = [leaf(*item) for item in values.items()]
        random.shuffle(items)
        for item in items:
            records.update(tree.update(records.get, dict([item]))[1])
        roots.add(tree.root_of(records.get))
    assert len(roots) == 1


def test_paths_that_part_at_the_last_bits() -> None:
    """Hashes never do; the tree must not care."""
    one, two = b"\xaa" * 32, b"\xaa" * 31 + b"\xab"
    records: dict[bytes, bytes] = {}
    for path in (one, two):
        root, made = tree.update(records.get, {path: path})
        records.update(made)
    assert root == naive_root({one: one, two: two})
    assert max(int.from_bytes(place[:2], "big") for place in records) == 256


def test_an_empty_tree() -> None:
    assert tree.update(lambda _: None, {}) == (EMPTY, {})
    proof = tree.prove(lambda _: None, b"x")
    assert proof == smt.StateProof([], None)
    smt.verify_absent(EMPTY, b"x", proof)


def test_proofs_prove_nothing_else() -> None:
    records: dict[bytes, bytes] = {}
    root, made = tree.update(records.get, dict(leaf(b"key %d" % i, b"value") for i in range(50)))
    records.update(made)
    member, absent = tree.prove(records.get, b"key 7"), tree.prove(records.get, b"nobody")
    for check in (
        lambda: smt.verify_member(root, b"key 7", b"other", member),
        lambda: smt.verify_member(root, b"key 8", b"value", member),
        lambda: smt.verify_absent(root, b"key 7", member),
        lambda: smt.verify_absent(root, b"key 7", absent),
        lambda: smt.verify_member(root, b"nobody", b"value", absent),
    ):
        with pytest.raises(VerifyError) as caught:
            check()
        assert caught.value.code == 220


def test_a_lost_or_changed_record_is_noticed() -> None:
    records: dict[bytes, bytes] = {}
    records.update(tree.update(records.get, dict(leaf(b"key %d" % i, b"value") for i in range(50)))[1])
    path = smt.path_of(b"key 7")
    place = next(tree.place_of(path, depth) for depth in range(1, 9) if tree.place_of(path, depth) in records)
    for broken in ({**records, place: b"\x00" + bytes(64)}, {key: value for key, value in records.items() if key != place}):
        with pytest.raises(VerifyError) as caught:
            tree.prove(broken.get, b"key 7")
        assert caught.value.code == 271


def test_a_block_reads_and_writes_along_its_paths_only() -> None:
    records: dict[bytes, bytes] = {}
    records.update(tree.update(records.get, dict(leaf(b"key %d" % i, b"value") for i in range(2000)))[1])
    read: list[bytes] = []

    def reading(place: bytes) -> bytes | None:
        read.append(place)
        return records.get(place)

    _, made = tree.update(reading, dict([leaf(b"key 7", b"new")]))
    assert len(read) < 30 and len(made) < 30
    assert len(read) == len(set(read))
