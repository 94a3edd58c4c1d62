"""shared/merkle against the recursive definitions of RFC 9162: every size 1..130, stored logs, the frontier of a growing one.

In: the second encoder's trees. Out: nothing. Never proves its own proofs only: each is compared with the definition first.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import merkle
from shared.errors import VerifyError
from tests.independent import trees
from tests.independent.faults import bit_flipped
from tests.independent.values import fill

SIZE_MAX = 130
HASHES = [trees.leaf(fill(f"entry {i}", 8)) for i in range(SIZE_MAX)]
ROOTS = [trees.root(HASHES[:size]) for size in range(SIZE_MAX + 1)]
SIZES = range(1, SIZE_MAX + 1)


def stored(size: int):
    """`read_node` of a stored log: only complete subtrees are there."""
    levels = [HASHES[:size]]
    while len(levels[-1]) > 1:
        below = levels[-1]
        levels.append([merkle.node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
    return lambda level, index: levels[level][index]


def refuses(code: int, call, *arguments: object) -> None:
    with pytest.raises(VerifyError) as caught:
        call(*arguments)
    assert caught.value.code == code


# --- roots


@pytest.mark.parametrize("size", range(SIZE_MAX + 1))
def test_root(size: int) -> None:
    assert merkle.root(HASHES[:size]) == ROOTS[size]
    assert merkle.tree_root(size, stored(size)) == ROOTS[size]


def test_hashes() -> None:
    for entry in (b"", b"\x00", b"entry"):
        assert merkle.leaf_hash(entry) == trees.leaf(entry)
    assert merkle.node_hash(HASHES[0], HASHES[1]) == trees.root(HASHES[:2])
    assert trees.root([]) == merkle.EMPTY_ROOT


def test_a_last_leaf_is_never_duplicated() -> None:
    """6 leaves, 6 leaves and the last one again, and 8 have three roots (some trees give them one)."""
    doubled = [*HASHES[:6], HASHES[5]]
    assert (
        len({merkle.root(HASHES[:6]), merkle.root(doubled), merkle.root([*doubled, HASHES[5]]), merkle.root([*HASHES[:6], *HASHES[4:6]])})
        == 4
    )


# --- inclusion


@pytest.mark.parametrize("size", SIZES)
def test_inclusion_of_every_leaf(size: int) -> None:
    read_node = stored(size)
    for index in range(size):
        path = trees.path(index, HASHES[:size])
        assert merkle.inclusion_path(index, HASHES[:size]) == path
        assert merkle.stored_inclusion_path(index, size, read_node) == path
        merkle.verify_inclusion(index, size, HASHES[index], path, ROOTS[size])


@given(st.data())
def test_a_changed_inclusion_proof_is_refused(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, SIZE_MAX))
    index = data.draw(st.integers(0, size - 1))
    path = trees.path(index, HASHES[:size])
    flip = data.draw(st.integers(0, 255))
    refuses(210, merkle.verify_inclusion, index, size, HASHES[index], path, bit_flipped(ROOTS[size], flip // 8, 1 << flip % 8))
    refuses(210, merkle.verify_inclusion, index, size, bit_flipped(HASHES[index], flip // 8, 1 << flip % 8), path, ROOTS[size])
    refuses(210, merkle.verify_inclusion, index, size, HASHES[index], [*path, bytes(32)], ROOTS[size])
    other = data.draw(st.integers(0, size + 3).filter(lambda i: i != index))
    refuses(210, merkle.verify_inclusion, other, size, HASHES[index], path, ROOTS[size])
    if path:
        step = data.draw(st.integers(0, len(path) - 1))
        changed = bit_flipped(path[step], flip // 8, 1 << flip % 8)
        refuses(210, merkle.verify_inclusion, index, size, HASHES[index], [*path[:step], changed, *path[step + 1 :]], ROOTS[size])
        refuses(210, merkle.verify_inclusion, index, size, HASHES[index], path[:step] + path[step + 1 :], ROOTS[size])
        refuses(210, merkle.verify_inclusion, index, size, HASHES[index], [*path[:step], path[step][:31], *path[step + 1 :]], ROOTS[size])


@pytest.mark.parametrize("index", [-1, 5, 2**64])
def test_index_outside(index: int) -> None:
    refuses(210, merkle.inclusion_path, index, HASHES[:5])
    refuses(210, merkle.stored_inclusion_path, index, 5, stored(5))
    refuses(210, merkle.root_from_inclusion, index, 5, HASHES[0], [])
    refuses(210, merkle.verify_inclusion, index, 5, HASHES[4], trees.path(4, HASHES[:5]), ROOTS[5])


def test_a_path_longer_than_any_tree() -> None:
    refuses(210, merkle.root_from_inclusion, 0, 2**64, HASHES[0], [bytes(32)] * 65)
    assert len(merkle.root_from_inclusion(0, 2**64, HASHES[0], [bytes(32)] * 64)) == 32


# --- consistency


@pytest.mark.parametrize("new", SIZES)
def test_consistency_from_every_size(new: int) -> None:
    read_node = stored(new)
    for old in range(1, new + 1):
        proof = trees.consistency(old, HASHES[:new])
        assert merkle.stored_consistency_path(old, new, read_node) == proof
        merkle.verify_consistency(old, new, proof, ROOTS[old], ROOTS[new])


def test_no_proof_from_nothing_or_backwards() -> None:
    for old, new in ((0, 0), (0, 7), (7, 7), (8, 7), (-1, 7)):
        assert merkle.stored_consistency_path(old, new, stored(7)) == []
    for old, new in ((0, 7), (8, 7), (-1, 7)):
        refuses(211, merkle.verify_consistency, old, new, [], ROOTS[0], ROOTS[7])


@given(st.data())
def test_a_changed_consistency_proof_is_refused(data: st.DataObject) -> None:
    new = data.draw(st.integers(2, SIZE_MAX))
    old = data.draw(st.integers(1, new - 1))
    proof = trees.consistency(old, HASHES[:new])
    flip = data.draw(st.integers(0, 255))
    refuses(211, merkle.verify_consistency, old, new, proof, bit_flipped(ROOTS[old], flip // 8, 1 << flip % 8), ROOTS[new])
    refuses(211, merkle.verify_consistency, old, new, proof, ROOTS[old], bit_flipped(ROOTS[new], flip // 8, 1 << flip % 8))
    refuses(211, merkle.verify_consistency, old, new, [*proof, bytes(32)], ROOTS[old], ROOTS[new])
    step = data.draw(st.integers(0, len(proof) - 1))
    changed = bit_flipped(proof[step], flip // 8, 1 << flip % 8)
    refuses(211, merkle.verify_consistency, old, new, [*proof[:step], changed, *proof[step + 1 :]], ROOTS[old], ROOTS[new])
    refuses(211, merkle.verify_consistency, old, new, proof[:step] + proof[step + 1 :], ROOTS[old], ROOTS[new])
    refuses(211, merkle.verify_consistency, old, new, [*proof[:step], proof[step] + b"\x00", *proof[step + 1 :]], ROOTS[old], ROOTS[new])
    other = data.draw(st.integers(1, SIZE_MAX).filter(lambda size: size != old))
    refuses(211, merkle.verify_consistency, old, new, proof, ROOTS[other], ROOTS[new])


@given(st.integers(2, SIZE_MAX), st.data())
def test_a_rewritten_log_is_not_consistent(new: int, data: st.DataObject) -> None:
    """No entry of the old log can be exchanged: the honest proof of the rewritten log does not lead to the old root."""
    old = data.draw(st.integers(1, new - 1))
    changed = data.draw(st.integers(0, old - 1))
    forged = [*HASHES[:changed], bytes(32), *HASHES[changed + 1 : new]]
    refuses(211, merkle.verify_consistency, old, new, trees.consistency(old, forged), ROOTS[old], trees.root(forged))


def test_same_size() -> None:
    merkle.verify_consistency(7, 7, [], ROOTS[7], ROOTS[7])
    refuses(211, merkle.verify_consistency, 7, 7, [], ROOTS[7], ROOTS[6])
    refuses(211, merkle.verify_consistency, 7, 7, [bytes(32)], ROOTS[7], ROOTS[7])


# --- stored logs and the frontier


def test_stored_functions_read_complete_subtrees_only() -> None:
    """`stored` has no other: an index outside would raise. Small logs are read at the cost of a path."""
    reads: list[tuple[int, int]] = []
    node = stored(SIZE_MAX)

    def counting(level: int, index: int) -> bytes:
        reads.append((level, index))
        return node(level, index)

    merkle.stored_inclusion_path(77, SIZE_MAX, counting)
    assert all((index + 1) << level <= SIZE_MAX for level, index in reads)
    assert len(reads) <= 9


def test_frontier_grows_as_the_log_does() -> None:
    frontier, nodes = merkle.Frontier(), {}
    assert frontier.root() == merkle.EMPTY_ROOT
    for size, leaf in enumerate(HASHES, 1):
        made = frontier.append(leaf)
        assert made[0] == (0, size - 1, leaf)
        nodes.update({(level, index): node for level, index, node in made})
        assert frontier.size == size
        assert frontier.root() == ROOTS[size]
    read_node = stored(SIZE_MAX)
    complete = {(level, index) for level in range(8) for index in range(SIZE_MAX >> level)}
    assert nodes == {(level, index): read_node(level, index) for level, index in complete}


@given(st.integers(0, SIZE_MAX - 2))
def test_frontier_is_restored_from_its_nodes(size: int) -> None:
    frontier = merkle.Frontier()
    for leaf in HASHES[:size]:
        frontier.append(leaf)
    again, copied = merkle.Frontier(size, frontier.nodes), frontier.copy()
    for other in (again, copied):
        other.append(HASHES[size])
        assert other.root() == ROOTS[size + 1]
    assert frontier.root() == ROOTS[size]
    assert len(frontier.nodes) == bin(size).count("1")
