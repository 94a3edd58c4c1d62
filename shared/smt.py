"""Sparse Merkle tree of the ledger's state: hashes and proofs, as in ICS-23's SMT (SPEC 10).

In: keys, values, a root and a StateProof. Out: nothing, or VerifyError 220. Never builds a tree; never says "absent" without a proof of it.
The path of a key is its SHA-256, bits from the most significant; a leaf stands at the shallowest depth where it is alone.

Errors: VerifyError 220; DecodeError 108 for a malformed proof.
"""

from collections import namedtuple
from hashlib import sha256

from . import cbor, merkle
from .errors import DecodeError, VerifyError

EMPTY = b"\x00" * 32
DEPTH_MAX = 256

StateProof = namedtuple("StateProof", ("siblings", "terminal"))
"""siblings: hashes from the leaf upwards, b"" for an empty one; terminal: True (member), None (empty place), (path, value hash) of the leaf
that stands there instead."""

node_hash = merkle.node_hash


def path_of(key: bytes) -> bytes:
    """Where a key belongs: SHA-256(key)."""
    return sha256(key).digest()


def leaf_hash(path: bytes, value_hash: bytes) -> bytes:
    """SHA-256(0x00 ‖ path ‖ SHA-256(value))."""
    return merkle.leaf_hash(path + value_hash)


def bit(path: bytes, depth: int) -> int:
    """Bit `depth` of a path, the most significant first: 1 is right."""
    return path[depth >> 3] >> (7 - (depth & 7)) & 1


def encode_proof(proof: StateProof) -> list[object]:
    """The CBOR value of a proof. Raises DecodeError 108."""
    terminal = list(proof.terminal) if isinstance(proof.terminal, (list, tuple)) else proof.terminal
    value = [list(proof.siblings), terminal]
    decode_proof(value)
    return value


def decode_proof(value: object) -> StateProof:
    """The proof that a CBOR value is. Raises DecodeError 108."""
    siblings, terminal = cbor.check_list(value, 2, 2)
    for sibling in cbor.check_list(siblings, DEPTH_MAX):
        if sibling != b"":
            cbor.check_bytes(sibling, 32)
        if sibling == EMPTY:
            raise DecodeError(108, "an empty sibling is written as h''")
    if siblings and siblings[0] == b"":
        raise DecodeError(108, "beside an empty place nothing stands so deep")
    if terminal is None or terminal is True:
        return StateProof(siblings, terminal)
    path, value_hash = cbor.check_list(terminal, 2, 2)
    return StateProof(siblings, (cbor.check_bytes(path, 32), cbor.check_bytes(value_hash, 32)))


def verify_member(root: bytes, key: bytes, value: bytes, proof: StateProof) -> None:
    """Raises VerifyError 220 unless the state of that root maps `key` to `value`."""
    if proof.terminal is not True:
        raise VerifyError(220, "not a proof of membership")
    path = path_of(key)
    _verify(root, path, leaf_hash(path, sha256(value).digest()), proof.siblings)


def verify_absent(root: bytes, key: bytes, proof: StateProof) -> None:
    """Raises VerifyError 220 unless the state of that root has no `key`."""
    path = path_of(key)
    if proof.terminal is None:
        _verify(root, path, EMPTY, proof.siblings)
        return
    if proof.terminal is True:
        raise VerifyError(220, "not a proof of absence")
    other, value_hash = proof.terminal
    if other == path:
        raise VerifyError(220, "the key stands there itself")
    for depth in range(len(proof.siblings)):
        if bit(other, depth) != bit(path, depth):
            raise VerifyError(220, "the other leaf stands elsewhere")
    _verify(root, path, leaf_hash(other, value_hash), proof.siblings)


def _verify(root: bytes, path: bytes, node: bytes, siblings: list[bytes]) -> None:
    depth = len(siblings)
    if depth > DEPTH_MAX:
        raise VerifyError(220, "state proof too long")
    for sibling in siblings:
        depth -= 1
        other = sibling or EMPTY
        if len(other) != 32:
            raise VerifyError(220, "a sibling is no hash")
        node = node_hash(other, node) if bit(path, depth) else node_hash(node, other)
    if node != root:
        raise VerifyError(220, "state proof leads to another root")
