"""Ed25519 (RFC 8032) in plain big integers, in slices, the same on MicroPython and CPython.

In: 32-byte seeds and public keys, messages. Out: public keys, 64-byte signatures, or VerifyError 201.
Accepts exactly what libsodium accepts (SPEC.md section 2). Names ending in `_steps` are generators that yield between slices of a fraction
of a millisecond on a PC; their result is the value of StopIteration (`yield from`, or `finish`).
Never constant time: big integers take time by their value, so a key used here is only as safe as the access to the device's clock and
power line.
"""

from . import edwards, sha512
from .errors import VerifyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar

    T = TypeVar("T")

L = (1 << 252) + 27742317777372353535851937790883648493


class SecretKey:
    """A seed, expanded once. `public` may be shown; the rest never leaves this module."""

    __slots__ = ("public", "_scalar", "_prefix")

    def __init__(self, public: bytes, scalar: int, prefix: bytes) -> None:
        self.public = public
        self._scalar = scalar
        self._prefix = prefix

    def __repr__(self) -> str:
        return "SecretKey()"


class Table:
    """The comb table of one public key (negated, as verification needs it): made once, verifies faster."""

    __slots__ = ("raw", "data")

    def __init__(self, raw: bytes, data: bytearray) -> None:
        self.raw = raw
        self.data = data


def finish(steps: "Generator[None, None, T]") -> "T":
    """Runs a generator to its end; its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]


def public_key(seed: bytes) -> bytes:
    """The public key of a 32-byte seed."""
    return finish(secret_steps(seed)).public


def sign(seed: bytes | SecretKey, message: bytes) -> bytes:
    """The signature of the message."""
    return finish(sign_steps(seed, message))


def verify(key: bytes | Table, message: bytes, signature: bytes) -> None:
    """Raises VerifyError 201 unless libsodium would accept; `key` is the public key or its table."""
    finish(verify_steps(key, message, signature))


def secret_steps(seed: bytes) -> "Generator[None, None, SecretKey]":
    """Returns the expanded key of a seed."""
    if len(seed) != 32:
        raise ValueError("a seed has 32 bytes")
    digest = yield from sha512.digest_steps(seed)
    scalar = int.from_bytes(digest[:32], "little") & (1 << 254) - 8 | 1 << 254
    base = yield from edwards.base_steps()
    point = yield from edwards.combine_steps((scalar, base))
    public = yield from edwards.encode_steps(point)
    return SecretKey(public, scalar, digest[32:])


def sign_steps(key: bytes | SecretKey, message: bytes) -> "Generator[None, None, bytes]":
    """Returns the signature by a seed or an expanded key (RFC 8032 5.1.6)."""
    if not isinstance(key, SecretKey):
        key = yield from secret_steps(key)
    digest = yield from sha512.digest_steps(key._prefix, message)
    nonce = int.from_bytes(digest, "little") % L
    base = yield from edwards.base_steps()
    point = yield from edwards.combine_steps((nonce, base))
    r = yield from edwards.encode_steps(point)
    digest = yield from sha512.digest_steps(r, key.public, message)
    s = (nonce + int.from_bytes(digest, "little") % L * key._scalar) % L
    return r + s.to_bytes(32, "little")


def build_table(raw: bytes) -> Table:
    """The table of a public key, in one piece. Raises VerifyError 201 for a key that libsodium refuses."""
    return finish(table_steps(raw))


def table_steps(raw: bytes) -> "Generator[None, None, Table]":
    """Returns the table of a public key. Raises VerifyError 201 for a key that libsodium refuses."""
    data = yield from key_comb_steps(raw)
    return Table(raw, data)


def verify_steps(key: bytes | Table, message: bytes, signature: bytes) -> "Generator[None, None, None]":
    """Raises VerifyError 201 unless s·B − h·A, written as bytes, is R. R needs no decoding: small order shows in its bytes."""
    if len(signature) != 64:
        raise VerifyError(201, "signature is not 64 bytes")
    r = signature[:32]
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        raise VerifyError(201, "signature scalar out of range")
    if edwards.small_order(int.from_bytes(r, "little") & (1 << 255) - 1):
        raise VerifyError(201, "signature point of small order")
    if not isinstance(key, Table):
        key = yield from table_steps(key)
    digest = yield from sha512.digest_steps(r, key.raw, message)
    base = yield from edwards.base_steps()
    point = yield from edwards.combine_steps((s, base), (int.from_bytes(digest, "little") % L, key.data))
    encoded = yield from edwards.encode_steps(point)
    if encoded != r:
        raise VerifyError(201, "signature does not match")


def key_comb_steps(raw: bytes) -> "Generator[None, None, bytearray]":
    from . import combs  # only now: a device forgets it afterwards, code is memory

    return (yield from combs.key_comb_steps(raw))
