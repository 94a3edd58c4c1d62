"""RFC 9162 Merkle trees: roots, inclusion and consistency proofs.

In: entries or hashes of 32 bytes. Out: hashes, or VerifyError. Never duplicates a last leaf; never trusts a proof's length.
Proofs run from the leaf to the root.
"""

from hashlib import sha256

from .errors import VerifyError

TYPE_CHECKING = False  # there is no typing on MicroPython
if TYPE_CHECKING:
    from collections.abc import Callable

EMPTY_ROOT = sha256(b"").digest()
PATH_MAX = 64


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 ‖ entry)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return sha256(b"\x01" + left + right).digest()


def root(leaf_hashes: list[bytes]) -> bytes:
    """Root over leaf hashes in order; SHA-256("") for none."""
    if not leaf_hashes:
        return EMPTY_ROOT
    level = leaf_hashes
    while len(level) > 1:
        level = next_level(level)
    return level[0]


def next_level(level: list[bytes]) -> list[bytes]:
    """Parents of a level; an odd last node is promoted unchanged, which equals the RFC's recursive tree."""
    parents = [node_hash(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    if len(level) & 1:
        parents.append(level[-1])
    return parents


def inclusion_path(index: int, leaf_hashes: list[bytes]) -> list[bytes]:
    """Siblings of leaf `index`, leaf to root."""
    if not 0 <= index < len(leaf_hashes):
        raise VerifyError(210, "index outside the tree")
    path = []
    level = leaf_hashes
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = next_level(level)
        index >>= 1
    return path


def root_from_inclusion(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root that the path leads to (RFC 9162 2.1.3.2). Raises VerifyError 210."""
    if not 0 <= index < size or len(path) > PATH_MAX or len(leaf) != 32:
        raise VerifyError(210, "index outside the tree, or no hash")
    fn, sn, result = index, size - 1, leaf
    for step in path:
        if sn == 0 or len(step) != 32:
            raise VerifyError(210, "path too long or malformed")
        if fn & 1 or fn == sn:
            result = node_hash(step, result)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            result = node_hash(result, step)
        fn >>= 1
        sn >>= 1
    if sn != 0:
        raise VerifyError(210, "path too short")
    return result


def verify_inclusion(index: int, size: int, leaf: bytes, path: list[bytes], expected_root: bytes) -> None:
    """Raises VerifyError 210 unless the leaf hash is at `index` of the tree of `size` with that root."""
    if root_from_inclusion(index, size, leaf, path) != expected_root:
        raise VerifyError(210, "path leads to another root")


def verify_consistency(size1: int, size2: int, proof: list[bytes], root1: bytes, root2: bytes) -> None:
    """Raises VerifyError 211 unless the tree of size2 extends that of size1 (RFC 9162 2.1.4.2)."""
    if not 0 < size1 <= size2 or len(proof) > 2 * PATH_MAX or len(root1) != 32 or len(root2) != 32:
        raise VerifyError(211, "sizes out of order, or no hash")
    if size1 == size2:
        if proof or root1 != root2:
            raise VerifyError(211, "same size, another root")
        return
    steps = list(proof)
    if size1 & (size1 - 1) == 0:
        steps.insert(0, root1)
    if not steps:
        raise VerifyError(211, "proof is empty")
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    first = second = steps[0]
    for step in steps[1:]:
        if sn == 0 or len(step) != 32:
            raise VerifyError(211, "proof too long or malformed")
        if fn & 1 or fn == sn:
            first = node_hash(step, first)
            second = node_hash(step, second)
            while not fn & 1 and fn:
                fn >>= 1
                sn >>= 1
        else:
            second = node_hash(second, step)
        fn >>= 1
        sn >>= 1
    if first != root1 or second != root2 or sn != 0:
        raise VerifyError(211, "not an extension of the earlier tree")


def subtree_hash(low: int, high: int, read_node: "Callable[[int, int], bytes]") -> bytes:
    """Root over leaves [low, high), low a multiple of the subtree's size; `read_node(level, index)` gives hashes of complete subtrees."""
    count = high - low
    width, level = 1, 0
    while width * 2 <= count:
        width *= 2
        level += 1
    left = read_node(level, low >> level)
    return left if width == count else node_hash(left, subtree_hash(low + width, high, read_node))


def tree_root(size: int, read_node: "Callable[[int, int], bytes]") -> bytes:
    """Root of a stored log of `size` leaves."""
    return subtree_hash(0, size, read_node) if size else EMPTY_ROOT


def stored_inclusion_path(index: int, size: int, read_node: "Callable[[int, int], bytes]") -> list[bytes]:
    """Inclusion path in a stored log, leaf to root."""
    if not 0 <= index < size:
        raise VerifyError(210, "index outside the tree")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        split = low + _split(high - low)
        if index < split:
            path.append(subtree_hash(split, high, read_node))
            high = split
        else:
            path.append(subtree_hash(low, split, read_node))
            low = split
    path.reverse()
    return path


def stored_consistency_path(size1: int, size2: int, read_node: "Callable[[int, int], bytes]") -> list[bytes]:
    """Consistency proof between two sizes of a stored log (RFC 9162 2.1.4.1); empty when size1 is 0 or the sizes are equal."""
    path: list[bytes] = []
    if not 0 < size1 < size2:
        return path
    low, high, whole = 0, size2, True
    while size1 != high:
        split = low + _split(high - low)
        if size1 <= split:
            path.append(subtree_hash(split, high, read_node))
            high = split
        else:
            path.append(subtree_hash(low, split, read_node))
            low, whole = split, False
    if not whole:
        path.append(subtree_hash(low, high, read_node))
    path.reverse()
    return path


def _split(count: int) -> int:
    """Largest power of two below `count` (count ≥ 2)."""
    width = 1
    while width * 2 < count:
        width *= 2
    return width


class Frontier:
    """The roots of the complete subtrees of a growing log: enough to append and to know the root."""

    __slots__ = ("size", "nodes")

    def __init__(self, size: int = 0, nodes: list[bytes] | None = None) -> None:
        self.size = size
        self.nodes = list(nodes or [])

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Adds a leaf hash; returns the subtrees it completes as (level, index, hash), the leaf itself first."""
        made = [(0, self.size, leaf)]
        index, level, node = self.size, 0, leaf
        while index & 1:
            node = node_hash(self.nodes.pop(), node)
            index >>= 1
            level += 1
            made.append((level, index, node))
        self.nodes.append(node)
        self.size += 1
        return made

    def root(self) -> bytes:
        """Root of the log so far."""
        if not self.nodes:
            return EMPTY_ROOT
        result = self.nodes[-1]
        for node in reversed(self.nodes[:-1]):
            result = node_hash(node, result)
        return result

    def copy(self) -> "Frontier":
        """An independent copy."""
        return Frontier(self.size, self.nodes)
