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

from edge.memory import let_go
from shared import cose, sign
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
            steps = None  # MicroPython keeps a finished frame as long as its caller's, and with it the code of the slices
            let_go("ed25519", "shared")
            return end.value
        await asyncio.sleep(0)


def sign_steps(key: object, message: bytes) -> object:
    from shared import ed25519  # only now, and forgotten afterwards: code is memory

    return ed25519.sign_steps(key, message)


def verify_steps(table: object, message: bytes, signature: bytes) -> object:
    from shared import ed25519

    return ed25519.verify_steps(table, message, signature)


def expand(seed: bytes) -> object:
    from shared import ed25519

    return ed25519.finish(ed25519.secret_steps(seed))


class Signer:
    """`device` is the UEID; `cose_key`, `kid` and `alg` are public."""

    alg = cose.EDDSA

    def __init__(self, seed: bytes, device: bytes = b"") -> None:
        self.device = device
        self._sodium = _SodiumKey(seed) if _SodiumKey else None
        self._key = None if self._sodium else expand(seed)
        self.cose_key = cose.encode_key_ed25519(bytes(self._sodium.verify_key) if self._sodium else self._key.public)
        self.kid = cose.kid_of(self.cose_key)

    def __repr__(self) -> str:
        return "Signer(" + binascii.hexlify(self.kid).decode() + ")"

    async def sign(self, message: bytes) -> bytes:
        """64 bytes."""
        if self._sodium:
            return self.sign_now(message)
        return await run_steps(sign_steps(self._key, message))

    def sign_now(self, message: bytes) -> bytes:
        """The same in one piece, for where nothing else runs yet."""
        if self._sodium:
            return bytes(self._sodium.sign(message).signature)
        from shared import ed25519

        return ed25519.sign(self._key, message)


class NodeKey:
    """The public key of the one node this device believes, with its comb table where no libsodium does the work."""

    def __init__(self, key: cose.Key, table: object | None) -> None:
        self._key = key
        self._table = table

    async def verify(self, message: bytes, signature: bytes) -> None:
        """Raises VerifyError 201, 202."""
        if _SodiumKey:
            sign.verify(self._key.alg, self._key.raw, message, signature)
            return
        if self._table is None:
            raise VerifyError(202, "only Ed25519 can be checked here")
        await run_steps(verify_steps(self._table, message, signature))


def open_node(cose_key: bytes) -> NodeKey:
    """Raises DecodeError 112, VerifyError 201 for a key that can verify nothing."""
    key = cose.decode_key(cose_key)
    if _SodiumKey or key.alg != cose.EDDSA:
        return NodeKey(key, None)
    from shared import ed25519

    return NodeKey(key, ed25519.build_table(key.raw))


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
