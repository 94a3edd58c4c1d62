"""Private keys of nodes, validators and people: made, kept in files of mode 0600, and used for signing.

In: a path, or 32 bytes of seed. Out: a SigningKey. Never shows a seed in a repr, message or log; never loads a file that others can read or
a key that is known from a test vector.
"""

import os
import stat
from hashlib import sha256
from pathlib import Path

import nacl.exceptions
import nacl.signing
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from shared import cose
from shared.errors import DecodeError, RuleError, Unavailable

SEED_BYTES = 32
FILE_BYTES_MAX = 256
_FORMAT = "meterproof-key/1"
_ALG_NAMES = {cose.EDDSA: "ed25519", cose.ES256: "p256"}
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
# SHA-256 of the seeds of RFC 8032 7.1 tests 1, 2, 3, 1024 and SHA(abc): public, so nobody's.
_KNOWN_SEED_HASHES = frozenset(
    sha256(bytes.fromhex(seed)).digest()
    for seed in (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "f5e5767cf153319517630f226876b86c8160cc583bc013744c6bf255f5cc0ee5",
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
    )
)


class SigningKey:
    """One private key; `raw` is the public key as in shared/cose."""

    __slots__ = ("alg", "cose_key", "kid", "raw", "_seed", "_signing")

    def __init__(self, alg: int, seed: bytes) -> None:
        if alg not in _ALG_NAMES or len(seed) != SEED_BYTES:
            raise DecodeError(112, "a private key is 32 bytes, Ed25519 or P-256")
        self.alg = alg
        self._seed = seed
        self._signing: nacl.signing.SigningKey | ec.EllipticCurvePrivateKey
        if alg == cose.EDDSA:
            self._signing = nacl.signing.SigningKey(seed)
            self.raw = bytes(self._signing.verify_key)
            self.cose_key = cose.encode_key_ed25519(self.raw)
        else:
            self._signing, self.raw = _p256(seed)
            self.cose_key = cose.encode_key_p256(self.raw)
        self.kid = cose.kid_of(self.cose_key)

    @classmethod
    def generate(cls, alg: int = cose.EDDSA) -> "SigningKey":
        """A new key from the system's randomness."""
        return cls(alg, os.urandom(SEED_BYTES))

    @classmethod
    def from_seed(cls, seed: bytes, alg: int = cose.EDDSA) -> "SigningKey":
        """The key of a 32-byte seed."""
        return cls(alg, seed)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "SigningKey":
        """The key in a file. Raises Unavailable 430 if unreadable or readable by others, DecodeError 112, RuleError 351 for a known key."""
        alg, seed = _parse(_read_private(Path(path)))
        if is_known_seed(seed):
            raise RuleError(351, f"{path}: this key is known from a test or default: make a new one")
        return cls(alg, seed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a new file of mode 0600, durably. Raises RuleError 302 if it exists: keys are never overwritten."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            raise RuleError(302, f"{path}: exists already; keys are never overwritten") from None
        except OSError as error:
            raise Unavailable(400, f"{path}: cannot be written: {error.strerror}") from None
        with os.fdopen(handle, "w") as file:
            os.fchmod(handle, 0o600)  # whatever the umask
            file.write(f"{_FORMAT} {_ALG_NAMES[self.alg]} {self._seed.hex()}\n")
            file.flush()
            os.fsync(handle)

    def sign(self, message: bytes) -> bytes:
        """64 bytes; ES256 with low s, as SPEC section 2 asks."""
        if isinstance(self._signing, nacl.signing.SigningKey):
            return self._signing.sign(message).signature
        r, s = decode_dss_signature(self._signing.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + min(s, _P256_ORDER - s).to_bytes(32, "big")

    def __repr__(self) -> str:
        return f"SigningKey({_ALG_NAMES[self.alg]}, kid={self.kid.hex()})"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")


def sign_object(key: SigningKey, content_type: str, payload: bytes) -> bytes:
    """A COSE_Sign1 of `payload` by `key` (SPEC section 2)."""
    return cose.build_sign1(key.alg, content_type, key.kid, payload, key.sign)


def is_known_seed(seed: bytes) -> bool:
    """Whether a seed is from a public vector or a pattern nobody draws by chance: one byte repeated, or counting up."""
    counting = all(seed[i] == (seed[0] + i) % 256 for i in range(len(seed)))
    return len(set(seed)) <= 2 or counting or sha256(seed).digest() in _KNOWN_SEED_HASHES


def _p256(seed: bytes) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    scalar = int.from_bytes(seed, "big") % (_P256_ORDER - 1) + 1
    private = ec.derive_private_key(scalar, ec.SECP256R1())
    numbers = private.public_key().public_numbers()
    return private, numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def _read_private(path: Path) -> str:
    try:
        with path.open("rb") as file:
            if stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                raise Unavailable(430, f"{path}: others can read this key file; use chmod 600")
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise Unavailable(430, f"{path}: key cannot be read: {error.strerror}") from None
    if len(data) > FILE_BYTES_MAX or not data.isascii():
        raise DecodeError(112, f"{path}: not a meterproof key file")
    return data.decode("ascii")


def _parse(text: str) -> tuple[int, bytes]:
    parts = text.split()
    algs = {name: alg for alg, name in _ALG_NAMES.items()}
    if len(parts) != 3 or parts[0] != _FORMAT or parts[1] not in algs or len(parts[2]) != 2 * SEED_BYTES:
        raise DecodeError(112, "not a meterproof key file")
    try:
        return algs[parts[1]], bytes.fromhex(parts[2])
    except ValueError:
        raise DecodeError(112, "not a meterproof key file") from None
