"""ECDSA on P-256 with SHA-256 (ES256) through cryptography, on machines that have it; importing it elsewhere raises ImportError.

In: raw public key x ‖ y, message, signature r ‖ s. Out: nothing, or VerifyError 201.
Never accepts a second signature (r, n − s) beside (r, s).
"""

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from .errors import VerifyError

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def verify(raw: bytes, message: bytes, signature: bytes) -> None:
    """Raises VerifyError 201 unless the signature is right, in range and has the low s."""
    if len(signature) != 64:
        raise VerifyError(201, "signature is not 64 bytes")
    if int.from_bytes(signature[32:], "big") > N // 2:
        raise VerifyError(201, "signature has the high s")
    verify_any_s(raw, message, signature)


def verify_any_s(raw: bytes, message: bytes, signature: bytes) -> None:
    """The primitive without the low-s rule: r and s in 1..n−1. Only for vectors from outside."""
    if len(signature) != 64 or len(raw) != 64:
        raise VerifyError(201, "public key or signature is not 64 bytes")
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if not 0 < r < N or not 0 < s < N:
        raise VerifyError(201, "signature out of range")
    try:
        key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + raw)
        key.verify(encode_dss_signature(r, s), message, ECDSA(SHA256()))
    except (InvalidSignature, ValueError):  # ValueError: the point is not on the curve
        raise VerifyError(201, "signature does not match")
