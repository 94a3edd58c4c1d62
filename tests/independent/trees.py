"""RFC 9162 trees (SPEC.md section 5) and the sparse state tree (section 10), by their recursive definitions.

In: leaves, keys and values. Out: roots and proofs. Never fast: written as the definitions are.
"""

from hashlib import sha256

EMPTY_CHILD = bytes(32)


def h(*parts: bytes) -> bytes:
    return sha256(b"".join(parts)).digest()


def leaf(entry: bytes) -> bytes:
    return h(b"\x00", entry)


def split(count: int) -> int:
    """Largest power of two smaller than count."""
    return 1 << ((count - 1).bit_length() - 1)


def root(hashes: list[bytes]) -> bytes:
    """MTH over leaf hashes (2.1.1)."""
    if not hashes:
        return h(b"")
    if len(hashes) == 1:
        return hashes[0]
    k = split(len(hashes))
    return h(b"\x01", root(hashes[:k]), root(hashes[k:]))


def path(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH(m, D_n) (2.1.3.1)."""
    if len(hashes) == 1:
        return []
    k = split(len(hashes))
    if index < k:
        return path(index, hashes[:k]) + [root(hashes[k:])]
    return path(index - k, hashes[k:]) + [root(hashes[:k])]


def consistency(size: int, hashes: list[bytes]) -> list[bytes]:
    """PROOF(m, D_n) (2.1.4.1); empty for equal sizes or from nothing."""
    return _subproof(size, hashes, True) if 0 < size < len(hashes) else []


def _subproof(size: int, hashes: list[bytes], whole: bool) -> list[bytes]:
    if size == len(hashes):
        return [] if whole else [root(hashes)]
    k = split(len(hashes))
    if size <= k:
        return _subproof(size, hashes[:k], whole) + [root(hashes[k:])]
    return _subproof(size - k, hashes[k:], False) + [root(hashes[:k])]


def bit(path_hash: bytes, depth: int) -> int:
    return path_hash[depth // 8] >> (7 - depth % 8) & 1


class StateTree:
    """A sparse Merkle tree over a dict of byte keys and values."""

    def __init__(self, state: dict[bytes, bytes]) -> None:
        self.leaves = {h(key): h(value) for key, value in state.items()}

    def root(self) -> bytes:
        return self._hash(sorted(self.leaves), 0)

    def _hash(self, paths: list[bytes], depth: int) -> bytes:
        if not paths:
            return EMPTY_CHILD
        if len(paths) == 1:
            return h(b"\x00", paths[0], self.leaves[paths[0]])
        sides = [[p for p in paths if bit(p, depth) == side] for side in (0, 1)]
        return h(b"\x01", self._hash(sides[0], depth + 1), self._hash(sides[1], depth + 1))

    def prove(self, key: bytes) -> list[object]:
        """State proof of the key: `[[sibling…], terminal]`."""
        wanted, paths, depth = h(key), sorted(self.leaves), 0
        siblings: list[bytes] = []
        while len(paths) > 1:
            other = self._hash([p for p in paths if bit(p, depth) != bit(wanted, depth)], depth + 1)
            siblings.insert(0, b"" if other == EMPTY_CHILD else other)
            paths = [p for p in paths if bit(p, depth) == bit(wanted, depth)]
            depth += 1
        if not paths:
            return [siblings, None]
        return [siblings, True if paths[0] == wanted else [paths[0], self.leaves[paths[0]]]]
