"""Ed25519 through libsodium (PyNaCl), on machines that have it; importing it elsewhere raises ImportError.

In: raw public key, message, signature. Out: nothing, or VerifyError 201. Importing asks the library two edge cases first, and
is an ImportError when its acceptance rule is not the one of SPEC.md section 2 (a later libsodium may change its mind).
Never accepts by another rule.
"""

from binascii import unhexlify

from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError

from .errors import VerifyError

# Cases 3 and 4 of ed25519-speccheck: points of mixed order. The first holds without the cofactor, the second only with it.
_MUST_ACCEPT = (
    "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
    "9bd9f44f4dcc75bd531b56b2cd280b0bb38fc1cd6d1230e14861d861de092e79",
    "9046a64750444938de19f227bb80485e92b83fdb4b6506c160484c016cc1852f87909e14428a7a1d62e9f22f3d3ad7802db02eb2e688b6c52fcd6648a98bd009",
)
_MUST_REFUSE = (
    "cdb267ce40c5cd45306fa5d2f29731459387dbf9eb933b7bd5aed9a765b88d4d",
    "e47d62c63f830dc7a6851a0b1f33ae4bb2f507fb6cffec4011eaccd55b53f56c",
    "160a1cb0dc9c0258cd0a7d23e94d8fa878bcb1925f2c64246b2dee1796bed5125ec6bc982a269b723e0668e540911a9a6a58921d6925e434ab10aa7940551a09",
)


def verify(raw: bytes, message: bytes, signature: bytes) -> None:
    """Raises VerifyError 201 unless libsodium accepts."""
    if len(raw) != 32 or len(signature) != 64:
        raise VerifyError(201, "public key or signature of wrong length")
    try:
        crypto_sign_open(signature + message, raw)
    except CryptoError:
        raise VerifyError(201, "signature does not match")


def _accepts(case: tuple[str, str, str]) -> bool:
    raw, message, signature = case
    try:
        verify(unhexlify(raw), unhexlify(message), unhexlify(signature))
    except VerifyError:
        return False
    return True


if not _accepts(_MUST_ACCEPT) or _accepts(_MUST_REFUSE):
    raise ImportError("this libsodium verifies by another rule")
