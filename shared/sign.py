"""Signature verification by one rule on every machine (SPEC.md section 2).

In: algorithm, raw public key, message, signature of 64 bytes. Out: nothing, or VerifyError 201 (wrong), 202 (not supported here).
Ed25519 goes through libsodium (PyNaCl) where it is installed and follows our rule, else through `ed25519.py`; P-256 needs cryptography.
Never signs, never accepts what another implementation of the rule refuses.
"""

from .errors import VerifyError

EDDSA = -8
ES256 = -7

try:
    import nacl  # noqa: F401 - first, so that a small device does not load sodium.py only to fail

    from . import sodium as _sodium
except ImportError:
    _sodium = None  # type: ignore[assignment]


def verify(alg: int, raw: bytes, message: bytes, signature: bytes) -> None:
    """Raises VerifyError 201 unless the signature is right, 202 for an algorithm that cannot be checked here."""
    if alg == EDDSA:
        verify_ed25519(raw, message, signature)
    elif alg == ES256:
        verify_p256(raw, message, signature)
    else:
        raise VerifyError(202, "unknown signature algorithm")


def verify_ed25519(raw: bytes, message: bytes, signature: bytes) -> None:
    """EdDSA (alg −8): `raw` 32 bytes, signature R ‖ s."""
    if _sodium is not None:
        _sodium.verify(raw, message, signature)
    else:
        from . import ed25519  # only where it is used: a device has no room for what it does not need now

        ed25519.verify(raw, message, signature)


def verify_p256(raw: bytes, message: bytes, signature: bytes) -> None:
    """ES256 (alg −7): `raw` 64 bytes x ‖ y, signature r ‖ s, low s only."""
    try:
        from . import p256
    except ImportError:
        raise VerifyError(202, "ES256 cannot be checked here: the package cryptography is not installed")
    p256.verify(raw, message, signature)
