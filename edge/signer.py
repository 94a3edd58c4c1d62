"""The device's own key, made at first boot, and the node's key that its acks are checked with.

In: a folder for the key, messages. Out: signatures and checks, in slices, so that reading and sending go on meanwhile.
Never shows a seed, never signs before a known answer came out right, never makes a second identity where one may have been.

Key tier 1: a software key proves "the same device as at enrolment" and no more. On MicroPython the arithmetic is big integers, which take
time by their value (shared/ed25519.py): whoever can measure the device's time or power closely may learn the key. On a gateway libsodium
signs.
Errors: Unavailable 430 (known answer wrong; key file unreadable, damaged or not writable).
"""

import asyncio
import binascii
import errno
import os

from shared import cose, ed25519, sign
from shared.errors import Unavailable, VerifyError

try:
    from nacl.signing import SigningKey as _SodiumKey
except ImportError:
    _SodiumKey = None

SEED_BYTES = 32
UEID_RANDOM = b"\x01"  # RFC 9711 type RAND: 16 random bytes follow
UEID_RANDOM_BYTES = 16
FILE_NAME = "device.key"
FILE_BYTES = SEED_BYTES + 1 + UEID_RANDOM_BYTES

# RFC 8032 7.1, TEST 2: a public test key, never a device's.
_KNOWN_SEED = binascii.unhexlify("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
_KNOWN_MESSAGE = b"\x72"
_KNOWN_SIGNATURE = binascii.unhexlify(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
)


def known_answer_test() -> None:
    """Raises Unavailable 430 when what signs and verifies here gets Ed25519 wrong: such a device must do neither."""
    signer = Signer(_KNOWN_SEED)
    if signer.sign_now(_KNOWN_MESSAGE) != _KNOWN_SIGNATURE:
        raise Unavailable(430, "the signer fails its known answer")
    raw = cose.decode_key(signer.cose_key).raw
    if not _accepts(raw, _KNOWN_MESSAGE) or _accepts(raw, _KNOWN_MESSAGE + b"\x00"):
        raise Unavailable(430, "the verifier fails its known answer")


def _accepts(raw: bytes, message: bytes) -> bool:
    try:
        sign.verify(cose.EDDSA, raw, message, _KNOWN_SIGNATURE)
    except VerifyError:
        return False
    return True


async def run_steps(steps: object) -> object:
    """The result of a generator of slices, giving way between them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        await asyncio.sleep(0)


class Signer:
    """`device` is the UEID; `cose_key`, `kid` and `alg` are public."""

    alg = cose.EDDSA

    def __init__(self, seed: bytes, device: bytes = b"") -> None:
        self.device = device
        self._sodium = _SodiumKey(seed) if _SodiumKey else None
        self._key = None if self._sodium else ed25519.finish(ed25519.secret_steps(seed))
        self.cose_key = cose.encode_key_ed25519(bytes(self._sodium.verify_key) if self._sodium else self._key.public)
        self.kid = cose.kid_of(self.cose_key)

    def __repr__(self) -> str:
        return "Signer(" + binascii.hexlify(self.kid).decode() + ")"

    async def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        if self._sodium:
            return self.sign_now(message)
        return await run_steps(ed25519.sign_steps(self._key, message))

    def sign_now(self, message: bytes) -> bytes:
        """The same in one piece, for where nothing else runs yet."""
        if self._sodium:
            return bytes(self._sodium.sign(message).signature)
        return ed25519.sign(self._key, message)


class NodeKey:
    """The public key of the one node this device believes; its comb table is made at the first use and kept."""

    def __init__(self, cose_key: bytes) -> None:
        self._key = cose.decode_key(cose_key)
        self._table = None

    def prepare(self) -> None:
        """Makes the table now. Raises VerifyError 201 for a key that can verify nothing."""
        if self._key.alg == cose.EDDSA and not _SodiumKey and self._table is None:
            self._table = ed25519.Table(self._key.raw)

    async def verify(self, message: bytes, signature: bytes) -> None:
        """Raises VerifyError 201, 202."""
        if self._key.alg != cose.EDDSA or _SodiumKey:
            sign.verify(self._key.alg, self._key.raw, message, signature)
            return
        if self._table is None:
            self._table = await run_steps(ed25519.table_steps(self._key.raw))
        await run_steps(ed25519.verify_steps(self._table, message, signature))


def open_signer(folder: str) -> Signer:
    """The device's key and UEID, made and written once. Raises Unavailable 430."""
    path = folder + "/" + FILE_NAME
    data = _read_key_file(path) or _make_key_file(path)
    seed, device = data[:SEED_BYTES], data[SEED_BYTES:]
    if len(data) != FILE_BYTES or device[:1] != UEID_RANDOM or seed in (bytes(SEED_BYTES), _KNOWN_SEED):
        raise Unavailable(430, "the key file is damaged")
    return Signer(seed, device)


def _read_key_file(path: str) -> bytes | None:
    """None only when there is no such file: any other fault, or an empty file, must not end in a new identity."""
    try:
        with open(path, "rb") as file:
            data = file.read(FILE_BYTES + 1)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise Unavailable(430, "the key file cannot be read")
    if not data:
        raise Unavailable(430, "the key file is empty")
    return data


def _make_key_file(path: str) -> bytes:
    """Writes a new key beside its place and moves it there: a power cut leaves a whole file or none."""
    data = os.urandom(SEED_BYTES) + UEID_RANDOM + os.urandom(UEID_RANDOM_BYTES)
    try:
        _remove(path + ".new")
        with _open_private(path + ".new") as file:
            file.write(data)
            file.flush()  # on MicroPython this is the sync
            if hasattr(os, "fsync"):
                os.fsync(file.fileno())
        os.rename(path + ".new", path)
        if hasattr(os, "fsync"):
            folder = os.open(path[: -len(FILE_NAME)], os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    except OSError:
        raise Unavailable(430, "the key file cannot be written")
    return data


def _remove(path: str) -> None:
    """What a power cut left of an earlier attempt; its permissions are not to be inherited."""
    try:
        os.remove(path)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def _open_private(path: str) -> object:
    """A new file for writing that only its owner may read, where there are users."""
    if hasattr(os, "fdopen"):
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    if hasattr(os, "system"):  # MicroPython on unix has no open() with a mode
        os.system("umask 077 && : > '" + path.replace("'", "'\\''") + "' 2>/dev/null")  # noqa: S605 - quoted, and the path is our own configuration
    return open(path, "wb")
