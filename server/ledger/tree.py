"""The state tree (SPEC section 10): ICS-23's sparse Merkle tree over SHA-256 paths, as records that a store keeps by position.

In: a reader of records and the changed leaves of one block. Out: the new root, the records that changed, proofs. Never holds the
tree in memory and never removes a leaf: nothing on the ledger is ever removed, so a place once taken stays taken.

A record's SHA-256 is its node's hash: `00 ‖ path ‖ value hash` for a leaf, `01 ‖ left ‖ right` for a node, an empty side 32 zero bytes.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256

from shared import smt
from shared.errors import VerifyError

ReadRecord = Callable[[bytes], bytes | None]
Item = tuple[bytes, bytes]

ROOT_PLACE = b"\x00\x00"
_LEAF, _NODE = 0, 1


def place_of(path: bytes, depth: int) -> bytes:
    """Name of the place at `depth` on the way to `path`: depth, then that many bits of the path, the rest zero."""
    whole, rest = divmod(depth, 8)
    name = depth.to_bytes(2, "big") + path[:whole]
    return name + bytes([path[whole] & 0xFF00 >> rest & 0xFF]) if rest else name


def root_of(read: ReadRecord) -> bytes:
    """Root of the tree that the records make."""
    return _hash(read(ROOT_PLACE))


def update(read: ReadRecord, changes: Mapping[bytes, bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """(new root, changed records by place) after setting each path in `changes` to its value hash."""
    made: dict[bytes, bytes] = {}
    items = sorted(changes.items())
    return (_set(read, made, items, 0) if items else root_of(read)), made


def _set(read: ReadRecord, made: dict[bytes, bytes], items: list[Item], depth: int) -> bytes:
    """Puts the items below one place and returns its new hash."""
    record = read(place_of(items[0][0], depth))
    if record is not None and record[0] == _NODE:
        return _set_node(read, made, items, depth, (record[1:33], record[33:]))
    if record is not None and all(path != record[1:33] for path, _ in items):
        items = sorted([*items, (record[1:33], record[33:])])  # the leaf that was alone here moves down beside the new ones
    return _build(made, items, depth)


def _set_node(read: ReadRecord, made: dict[bytes, bytes], items: list[Item], depth: int, children: tuple[bytes, bytes]) -> bytes:
    left, right = children
    split = _split(items, depth)
    if split:
        left = _set(read, made, items[:split], depth + 1)
    if split < len(items):
        right = _set(read, made, items[split:], depth + 1)
    return _store(made, items[0][0], depth, b"\x01" + left + right)


def _build(made: dict[bytes, bytes], items: list[Item], depth: int) -> bytes:
    """A subtree of these leaves alone, where nothing but one of them stood."""
    if not items:
        return smt.EMPTY
    path, value_hash = items[0]
    if len(items) == 1:
        return _store(made, path, depth, b"\x00" + path + value_hash)
    split = _split(items, depth)
    left, right = _build(made, items[:split], depth + 1), _build(made, items[split:], depth + 1)
    return _store(made, path, depth, b"\x01" + left + right)


def _store(made: dict[bytes, bytes], path: bytes, depth: int, record: bytes) -> bytes:
    made[place_of(path, depth)] = record
    return sha256(record).digest()


def _split(items: list[Item], depth: int) -> int:
    """How many of the sorted items go left at this depth."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if smt.bit(items[middle][0], depth):
            high = middle
        else:
            low = middle + 1
    return low


def prove(read: ReadRecord, key: bytes) -> smt.StateProof:
    """Proof of what the tree holds at `key`, or that it holds nothing. Raises VerifyError 271 if a record is gone."""
    path = smt.path_of(key)
    siblings: list[bytes] = []
    record = read(ROOT_PLACE)
    while record is not None and record[0] == _NODE:
        depth = len(siblings)
        right = smt.bit(path, depth)
        here, other = (record[33:], record[1:33]) if right else (record[1:33], record[33:])
        siblings.append(b"" if other == smt.EMPTY else other)
        record = None if here == smt.EMPTY else _child(read, path, depth + 1, here)
    siblings.reverse()
    if record is None:
        return smt.StateProof(siblings, None)
    return smt.StateProof(siblings, True if record[1:33] == path else (record[1:33], record[33:]))


def _child(read: ReadRecord, path: bytes, depth: int, expected: bytes) -> bytes:
    record = read(place_of(path, depth))
    if record is None or sha256(record).digest() != expected:
        raise VerifyError(271, "the state tree has a hole or a changed record")
    return record


def _hash(record: bytes | None) -> bytes:
    return smt.EMPTY if record is None else sha256(record).digest()
