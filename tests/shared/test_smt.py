"""shared/smt: proofs of membership and absence against a tree built by the definition, and nothing else proven. ICS-23's own vectors are in
tests/vectors/external."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import smt
from shared.errors import DecodeError, VerifyError
from shared.smt import EMPTY, StateProof
from tests.shared.makers import code_of
from tests.shared.strategies import values

STATES = st.dictionaries(st.binary(max_size=6), st.binary(max_size=6), max_size=40)


def build(leaves: list[tuple[bytes, bytes]], depth: int = 0) -> bytes:
    """Root of a subtree over (path, value hash), straight from the definition."""
    if not leaves:
        return EMPTY
    if len(leaves) == 1:
        return smt.leaf_hash(*leaves[0])
    halves = [build([leaf for leaf in leaves if smt.bit(leaf[0], depth) == side], depth + 1) for side in (0, 1)]
    return smt.node_hash(*halves)


def prove(leaves: list[tuple[bytes, bytes]], path: bytes) -> StateProof:
    siblings: list[bytes] = []
    depth = 0
    while len(leaves) > 1:
        side = smt.bit(path, depth)
        sibling = build([leaf for leaf in leaves if smt.bit(leaf[0], depth) != side], depth + 1)
        siblings.insert(0, b"" if sibling == EMPTY else sibling)
        leaves = [leaf for leaf in leaves if smt.bit(leaf[0], depth) == side]
        depth += 1
    terminal = None if not leaves else True if leaves[0][0] == path else leaves[0]
    return StateProof(siblings, terminal)


def leaves_of(state: dict[bytes, bytes]) -> list[tuple[bytes, bytes]]:
    return [(smt.path_of(key), sha256(value).digest()) for key, value in state.items()]


@given(STATES, st.binary(max_size=6))
def test_every_key_is_proven_there_or_absent(state: dict[bytes, bytes], other: bytes) -> None:
    root = build(leaves_of(state))
    for key in [*state, other]:
        proof = smt.decode_proof(smt.encode_proof(prove(leaves_of(state), smt.path_of(key))))
        if key in state:
            smt.verify_member(root, key, state[key], proof)
            assert code_of(smt.verify_absent, root, key, proof) == 220
            assert code_of(smt.verify_member, root, key, state[key] + b"x", proof) == 220
        else:
            smt.verify_absent(root, key, proof)
            assert code_of(smt.verify_member, root, key, b"", proof) == 220


@given(STATES, st.binary(max_size=6), st.data())
def test_a_changed_proof_proves_nothing(state: dict[bytes, bytes], other: bytes, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from([*state, other]))
    root = build(leaves_of(state))
    proof = prove(leaves_of(state), smt.path_of(key))
    siblings = list(proof.siblings)
    change = data.draw(st.sampled_from(["add", "drop", "flip", "terminal", "swap"]))
    place = data.draw(st.integers(0, max(0, len(siblings) - 1)))
    if change == "add":
        siblings.insert(place, data.draw(st.sampled_from([EMPTY, bytes(31) + b"\x01", b""])))
    elif change == "drop" and siblings:
        siblings.pop(place)
    elif change == "flip" and siblings:
        siblings[place] = sha256(siblings[place]).digest()
    elif change == "swap" and len(siblings) > 1:
        siblings[0], siblings[-1] = siblings[-1], siblings[0]
    terminal = (sha256(key + b"x").digest(), bytes(32)) if change == "terminal" else proof.terminal
    changed = StateProof(siblings, terminal)
    if changed == proof:
        return
    assert code_of(smt.verify_absent, root, key, changed) == 220
    assert code_of(smt.verify_member, root, key, state.get(key, b""), changed) == 220


def test_a_tree_of_none_and_of_one() -> None:
    alone = StateProof([], True)
    root = smt.leaf_hash(smt.path_of(b"k"), sha256(b"v").digest())
    smt.verify_member(root, b"k", b"v", alone)
    smt.verify_absent(EMPTY, b"k", StateProof([], None))
    smt.verify_absent(root, b"other", StateProof([], (smt.path_of(b"k"), sha256(b"v").digest())))
    assert code_of(smt.verify_absent, root, b"k", StateProof([], (smt.path_of(b"k"), sha256(b"v").digest()))) == 220
    assert code_of(smt.verify_absent, root, b"other", StateProof([], None)) == 220


def test_another_leaf_must_stand_where_the_key_would() -> None:
    state = {bytes([i]): b"v" for i in range(8)}
    leaves = leaves_of(state)
    root = build(leaves)
    for path, value_hash in leaves:
        proof = StateProof(prove(leaves, path).siblings, (path, value_hash))
        for i in range(100, 140):
            key = bytes([i])
            goes_there = all(smt.bit(smt.path_of(key), depth) == smt.bit(path, depth) for depth in range(len(proof.siblings)))
            if goes_there:
                smt.verify_absent(root, key, proof)
            else:
                assert code_of(smt.verify_absent, root, key, proof) == 220


def test_siblings_at_both_sides() -> None:
    sibling = bytes(31) + b"\x01"
    assert len(smt.decode_proof([[sibling] * 256, True]).siblings) == 256
    assert code_of(smt.decode_proof, [[sibling] * 257, True]) == 108
    assert code_of(smt.verify_member, EMPTY, b"", b"", StateProof([sibling] * 257, True)) == 220
    assert code_of(smt.verify_member, EMPTY, b"", b"", StateProof([sibling * 2], True)) == 220


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        [[]],
        [[], True, None],
        [[], False],
        [[], 1],
        [[], b""],
        [[], [bytes(32)]],
        [[], [bytes(32), bytes(31)]],
        [[], [bytes(33), bytes(32)]],
        [[EMPTY], True],
        [[b""], True],
        [[b"", b"\x01" * 32], None],
        [[bytes(31)], True],
        [[None], True],
        [["x" * 32], True],
        [{0: b""}, True],
    ],
)
def test_proof_refused(value: object) -> None:
    assert code_of(smt.decode_proof, value) == 108


@given(values())
def test_any_value(value: object) -> None:
    try:
        proof = smt.decode_proof(value)
    except DecodeError:
        return
    assert smt.encode_proof(proof) == value
    with pytest.raises(VerifyError):
        smt.verify_member(bytes(32), b"k", b"v", proof)
