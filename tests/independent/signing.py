"""Keys and signed objects of SPEC.md section 2, on PyNaCl and cryptography.

In: labels, payloads. Out: keys, COSE_Sign1, identities. Never random: seeds come from the label, ES256 signs by RFC 6979.
"""

from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from nacl.signing import SigningKey

from tests.independent.cbor_out import cbor
from tests.independent.values import Tag, fill

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
MEDIA = {
    "readings": "application/vnd.meterproof.readings",
    "gap": "application/vnd.meterproof.gap",
    "time-repair": "application/vnd.meterproof.time-repair",
    "eat": "application/eat+cwt",
    "ack": "application/vnd.meterproof.ack",
    "refusal": "application/vnd.meterproof.refusal",
    "challenge": "application/vnd.meterproof.challenge",
    "tx": "application/vnd.meterproof.tx",
    "access": "application/vnd.meterproof.access",
}


class EdKey:
    """An Ed25519 key whose seed is made from its label."""

    alg = -8

    def __init__(self, label: str, seed: bytes | None = None) -> None:
        self.seed = seed or fill("seed of " + label, 32)
        self._key = SigningKey(self.seed)
        self.raw = bytes(self._key.verify_key)
        self.cose_key = cbor({1: 1, -1: 6, -2: self.raw})
        self.kid = thumbprint(self.cose_key)

    def sign(self, message: bytes) -> bytes:
        return self._key.sign(message).signature


class P256Key:
    """A P-256 key whose scalar is made from its label; signs with low s."""

    alg = -7

    def __init__(self, label: str) -> None:
        scalar = int.from_bytes(fill("scalar of " + label, 32), "big") % (P256_ORDER - 1) + 1
        self._key = ec.derive_private_key(scalar, ec.SECP256R1())
        numbers = self._key.public_key().public_numbers()
        self.raw = numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")
        self.cose_key = cbor({1: 2, -1: 1, -2: self.raw[:32], -3: self.raw[32:]})
        self.kid = thumbprint(self.cose_key)

    def sign(self, message: bytes) -> bytes:
        r, s = decode_dss_signature(self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + min(s, P256_ORDER - s).to_bytes(32, "big")


def thumbprint(cose_key: bytes) -> bytes:
    """Key id."""
    return sha256(cose_key).digest()[:16]


def protected_header(alg: int, media: str, kid: bytes) -> bytes:
    return cbor({1: alg, 3: media, 4: kid})


def to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure."""
    return cbor(["Signature1", protected, b"", payload])


def sign1(key: EdKey | P256Key, kind: str, payload: bytes) -> bytes:
    """A signed object; `kind` is a key of MEDIA."""
    protected = protected_header(key.alg, MEDIA[kind], key.kid)
    return cbor(Tag(18, [protected, {}, payload, key.sign(to_be_signed(protected, payload))]))


def identity_of(key: EdKey | P256Key, kind: str, payload: bytes) -> bytes:
    """Identity of what `sign1` makes of the same arguments."""
    return sha256(to_be_signed(protected_header(key.alg, MEDIA[kind], key.kid), payload)).digest()
