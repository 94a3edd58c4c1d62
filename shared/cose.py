"""COSE_Sign1 (RFC 9052) in the one form of SPEC.md section 2, and COSE_Key public keys.

In: payload bytes and a signing function, or signed bytes. Out: signed bytes, or their parts with the identity. Never signs by itself and
never accepts an unprotected header.
"""

from collections import namedtuple
from hashlib import sha256

from . import cbor, sign
from .errors import DecodeError, VerifyError

TYPE_CHECKING = False  # there is no typing on MicroPython
if TYPE_CHECKING:
    from collections.abc import Callable

EDDSA = -8
ES256 = -7
CT_READINGS = "application/vnd.meterproof.readings"
CT_GAP = "application/vnd.meterproof.gap"
CT_TIME_REPAIR = "application/vnd.meterproof.time-repair"
CT_EAT = "application/eat+cwt"
CT_ACK = "application/vnd.meterproof.ack"
CT_REFUSAL = "application/vnd.meterproof.refusal"
CT_CHALLENGE = "application/vnd.meterproof.challenge"
CT_TX = "application/vnd.meterproof.tx"
CT_ACCESS = "application/vnd.meterproof.access"
KID_BYTES = 16

Key = namedtuple("Key", ("alg", "raw", "data"))
"""alg: −8 or −7; raw: 32 bytes x (Ed25519) or 64 bytes x‖y (P-256); data: the COSE_Key."""

Signed = namedtuple("Signed", ("alg", "content_type", "kid", "payload", "signature", "signed", "identity", "data"))
"""A decoded COSE_Sign1, not yet verified; `signed` is the Sig_structure, `identity` its SHA-256."""


def encode_key_ed25519(x: bytes) -> bytes:
    """COSE_Key of a raw 32-byte Ed25519 public key."""
    return cbor.encode({1: 1, -1: 6, -2: cbor.check_bytes(x, 32)})


def encode_key_p256(xy: bytes) -> bytes:
    """COSE_Key of a P-256 public key given as 64 bytes x‖y."""
    cbor.check_bytes(xy, 64)
    return cbor.encode({1: 2, -1: 1, -2: xy[:32], -3: xy[32:]})


def decode_key(data: bytes) -> Key:
    """A public key from its COSE_Key. Raises DecodeError 112 for another type, curve or an extra field."""
    fields = cbor.decode(data, 128)
    if not isinstance(fields, dict):
        raise DecodeError(112, "a public key is a map")
    try:
        # check_int, because `true` equals 1 and would be a second encoding of the same key.
        kind = cbor.check_int(fields.get(1))
        if kind == 1:
            cbor.check_map(fields, (1, -1, -2))
            if cbor.check_int(fields[-1]) == 6:
                return Key(EDDSA, cbor.check_bytes(fields[-2], 32), data)
        elif kind == 2:
            cbor.check_map(fields, (1, -1, -2, -3))
            if cbor.check_int(fields[-1]) == 1:
                return Key(ES256, cbor.check_bytes(fields[-2], 32) + cbor.check_bytes(fields[-3], 32), data)
    except DecodeError as error:
        raise DecodeError(112, "public key: " + error.text)
    raise DecodeError(112, "not an Ed25519 or P-256 public key")


def kid_of(cose_key: bytes) -> bytes:
    """Key id: first 16 bytes of the RFC 9679 thumbprint."""
    return sha256(cose_key).digest()[:KID_BYTES]


def build_protected(alg: int, content_type: str, kid: bytes) -> bytes:
    """The protected header."""
    return cbor.encode({1: alg, 3: content_type, 4: kid})


def sig_structure(protected: bytes, payload: bytes) -> bytes:
    """What is signed: RFC 9052 4.4 without external data."""
    return cbor.encode(["Signature1", protected, b"", payload])


def assemble_sign1(protected: bytes, payload: bytes, signature: bytes) -> bytes:
    """The signed object from its parts."""
    return cbor.encode(cbor.Tagged(18, [protected, {}, payload, cbor.check_bytes(signature, 64)]))


def build_sign1(alg: int, content_type: str, kid: bytes, payload: bytes, signing: "Callable[[bytes], bytes]") -> bytes:
    """A signed object; `signing(message) -> 64 bytes`."""
    protected = build_protected(alg, content_type, kid)
    return assemble_sign1(protected, payload, signing(sig_structure(protected, payload)))


def decode_sign1(data: bytes, content_types: tuple[str, ...], limit: int = cbor.LIMIT_BYTES) -> Signed:
    """The parts of a signed object of one of the content types; the signature is not verified here. Raises DecodeError 1xx."""
    outer = cbor.decode(data, limit)
    if not isinstance(outer, cbor.Tagged) or not isinstance(outer.value, list) or len(outer.value) != 4:
        raise DecodeError(110, "not a tagged COSE_Sign1")
    protected, unprotected, payload, signature = outer.value
    if unprotected != {} or not isinstance(protected, bytes) or not isinstance(payload, bytes):
        raise DecodeError(110, "unprotected header must be empty, payload attached")
    if not isinstance(signature, bytes) or len(signature) != 64:
        raise DecodeError(110, "signature must be 64 bytes")
    alg, content_type, kid = _read_header(cbor.decode(protected, 256))
    if content_type not in content_types:
        raise DecodeError(111, "a signed object of another kind")
    signed = sig_structure(protected, payload)
    return Signed(alg, content_type, kid, payload, signature, signed, sha256(signed).digest(), data)


def _read_header(value: object) -> tuple[int, str, bytes]:
    try:
        header = cbor.check_map(value, (1, 3, 4))
        alg, content_type, kid = cbor.check_int(header[1]), cbor.check_text(header[3], 64), cbor.check_bytes(header[4], KID_BYTES)
    except DecodeError as error:
        raise DecodeError(110, "protected header: " + error.text)
    if alg not in (EDDSA, ES256):
        raise DecodeError(110, "algorithm is neither EdDSA nor ES256")
    return alg, content_type, kid


def verify_sign1(signed: Signed, cose_key: bytes) -> None:
    """Raises VerifyError 200 if it names another key or algorithm, 201 if the signature is wrong."""
    key = decode_key(cose_key)
    if signed.kid != kid_of(cose_key) or signed.alg != key.alg:
        raise VerifyError(200, "signed by another key")
    sign.verify(key.alg, key.raw, signed.signed, signed.signature)
