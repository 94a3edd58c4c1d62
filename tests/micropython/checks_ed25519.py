"""Ed25519 and SHA-512 of shared/ against answers of other implementations, under CPython and MicroPython.

In: JSON made by tests/shared/test_ed25519.py with hashlib and libsodium. Out: how many cases were checked.
Never compares our code with itself only.
"""

from binascii import hexlify, unhexlify

from shared import ed25519, sha512
from shared.errors import VerifyError


def slices(steps):
    """(result, number of slices) of a generator."""
    count = 0
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value, count
        count += 1


def accepts(key, message, signature) -> bool:
    try:
        ed25519.verify(key, message, signature)
    except VerifyError as error:
        assert error.code == 201
        return False
    return True


def check_sha512(cases) -> int:
    """Each case [message, digest]: in one part and in three, without hashlib."""
    for message_hex, digest_hex in cases:
        message = unhexlify(message_hex)
        digest, count = slices(sha512.portable_steps(message))
        assert digest == unhexlify(digest_hex), len(message)
        assert count == 4 * ((len(message) + 16) // 128 + 1), count
        third = len(message) // 3
        digest, _ = slices(sha512.digest_steps(message[:third], message[third : 2 * third], message[2 * third :]))
        assert digest == unhexlify(digest_hex), len(message)
    return len(cases)


def check_signing(cases) -> int:
    """Each case [seed, public key, message, signature], made by libsodium."""
    for case in cases:
        seed, public, message, signature = [unhexlify(part) for part in case]
        secret = ed25519.finish(ed25519.secret_steps(seed))
        assert secret.public == ed25519.public_key(seed) == public
        assert ed25519.sign(seed, message) == ed25519.sign(secret, message) == signature, len(message)
        assert hexlify(seed).decode() not in repr(secret) and str(secret._scalar) not in repr(secret)
        assert accepts(public, message, signature) and accepts(ed25519.build_table(public), message, signature)
        assert not accepts(public, message + b"\x00", signature)
    return len(cases)


def check_verdicts(cases) -> int:
    """Each case [public key, message, signature, libsodium's verdict], for the key and for its table."""
    for number, (raw_hex, message_hex, signature_hex, verdict) in enumerate(cases):
        raw, message, signature = unhexlify(raw_hex), unhexlify(message_hex), unhexlify(signature_hex)
        assert accepts(raw, message, signature) == verdict, number
        try:
            table = ed25519.finish(ed25519.table_steps(raw))
        except VerifyError as error:
            assert error.code == 201 and not verdict, number
            continue
        assert accepts(table, message, signature) == verdict, number
    return len(cases)


def check_slices(cases) -> int:
    """Signing and verifying give way: at least the given number of slices, so that none is long. Each case [name, slices]."""
    secret = ed25519.finish(ed25519.secret_steps(b"\x01" * 32))
    message = b"m" * 300
    signature = ed25519.sign(secret, message)
    table = ed25519.build_table(secret.public)
    steps = {
        "sign": lambda: ed25519.sign_steps(secret, message),
        "verify with a table": lambda: ed25519.verify_steps(table, message, signature),
        "verify": lambda: ed25519.verify_steps(secret.public, message, signature),
        "table": lambda: ed25519.table_steps(secret.public),
    }
    for name, least in cases:
        _, count = slices(steps[name]())
        assert count >= least, (name, count)
    return len(cases)
