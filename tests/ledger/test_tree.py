"""The state tree against a naive recursive one, and its proofs against the verifier's code."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger import tree
from shared import smt
from shared.errors import VerifyError

EMPTY = bytes(32)
ROOT_OF_50 = tree.update(lambda _: None, {sha256(b"key %d" % i).digest(): sha256(b"value").digest() for i in range(50)})[0]


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
    assert max(int.from_bytes(place[:2], "big") for place in records) == 256, "the deepest page has its leaves at its first level"


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
    pages: dict[bytes, bytes] = {}
    pages.update(tree.update(pages.get, dict(leaf(b"key %d" % i, b"value") for i in range(50)))[1])
    path = smt.path_of(b"key 7")
    for depth in range(0, 12, tree.LEVELS):
        name = tree.place_of(path, depth)
        if name not in pages:
            continue
        for slot in (slot for slot in tree.decode_page(pages[name]) if slot in on_the_way(path, depth)):
            cells = tree.decode_page(pages[name])
            changed = tree.encode_page({**cells, slot: b"\x00" + bytes(64)})
            without = tree.encode_page({other: record for other, record in cells.items() if other != slot})
            for data in (changed, without or None):
                check_noticed({**pages, name: data})
        check_noticed({**pages, name: None})


def on_the_way(path: bytes, depth: int) -> set[int]:
    """Slots of the page at `depth` that lead to the path."""
    slots = [1]
    for level in range(depth, depth + tree.LEVELS - 1):
        slots.append(2 * slots[-1] + smt.bit(path, level))
    return set(slots)


def check_noticed(pages: dict[bytes, bytes | None]) -> None:
    """By the proof itself, or, as far as the root is concerned, by those who know the root."""
    try:
        proof = tree.prove(pages.get, b"key 7")
    except VerifyError as error:
        assert error.code == 271
        return
    with pytest.raises(VerifyError, match="220"):
        smt.verify_member(ROOT_OF_50, b"key 7", b"value", proof if proof.terminal is True else smt.StateProof(proof.siblings, True))


BROKEN_PAGES = [b"", b"\x01", bytes(66), b"\x10" + bytes(65), b"\x01" + bytes(64), (b"\x02" + bytes(65)) * 2, b"\x01" + bytes(66)]


@pytest.mark.parametrize("data", BROKEN_PAGES)
def test_a_broken_page_is_damage(data: bytes) -> None:
    for use in (tree.root_of, lambda read: tree.prove(read, b"x"), lambda read: tree.update(read, dict([leaf(b"x", b"y")]))):
        with pytest.raises(VerifyError, match="271"):
            use(lambda place: data)


@given(st.dictionaries(st.integers(1, 15), st.binary(min_size=65, max_size=65), min_size=1))
def test_pages_decode_to_what_was_encoded(cells: dict[int, bytes]) -> None:
    assert tree.decode_page(tree.encode_page(cells)) == cells


def test_a_block_reads_and_writes_along_its_paths_only() -> None:
    records: dict[bytes, bytes] = {}
    records.update(tree.update(records.get, dict(leaf(b"key %d" % i, b"value") for i in range(2000)))[1])
    read: list[bytes] = []

    def reading(place: bytes) -> bytes | None:
        read.append(place)
        return records.get(place)

    _, made = tree.update(reading, dict([leaf(b"key 7", b"new")]))
    assert len(read) < 8 and len(made) < 8
    assert len(read) == len(set(read))
