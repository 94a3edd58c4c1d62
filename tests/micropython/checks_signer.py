"""The device's signer in a folder of its own, under both interpreters.

In: {"folder": …}, a folder that exists and is empty, or what each check names.
Out: how many things were checked; AssertionError otherwise. Never prints a key.
"""

import asyncio
import errno
import os
from binascii import hexlify

from edge import signer
from shared import cose, ed25519
from shared.errors import Unavailable, VerifyError


def unfit(function, *arguments) -> bool:
    try:
        function(*arguments)
    except Unavailable as error:
        return error.code == 430
    return False


def write(path, data) -> None:
    with open(path, "wb") as file:
        file.write(data)


def read(path) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def check_signer(given) -> int:
    folder = given["folder"]
    path = folder + "/" + signer.FILE_NAME
    signer.known_answer_test()
    return check_first_boot(folder, path) + check_damage(folder, path) + asyncio.run(check_signing(signer.open_signer(folder)))


def check_identity(given) -> int:
    """The key file in the folder gives this identity."""
    own = signer.open_signer(given["folder"])
    assert (hexlify(own.device), hexlify(own.kid)) == (given["device"].encode(), given["kid"].encode())
    return 1


def check_first_boot(folder, path) -> int:
    assert unfit(signer.open_signer, folder + "/missing")
    write(path + ".new", b"left by a power cut, readable by all")
    own = signer.open_signer(folder)
    assert os.listdir(folder) == [signer.FILE_NAME]
    assert os.stat(path)[0] & 0o777 == 0o600
    again = signer.open_signer(folder)
    assert (own.device, own.cose_key, own.kid) == (again.device, again.cose_key, again.kid)
    assert len(own.device) == 17 and own.device[0] == 1 and own.alg == cose.EDDSA and own.kid == cose.kid_of(own.cose_key)
    return 6


def check_damage(folder, path) -> int:
    """A key file that is not whole stops the device; it never makes a second identity, and leaves the file for a person to see."""
    good = read(path)
    known = signer._KNOWN_SEED
    lengths = (b"", good[:1], good[:32], good[:48], good + b"\x00")
    damaged = lengths + (bytes(32) + good[32:], known + good[32:], good[:32] + b"\x02" + good[33:])
    for data in damaged:
        write(path, data)
        assert unfit(signer.open_signer, folder), len(data)
        assert read(path) == data
    os.remove(path)
    os.mkdir(path)  # there, and no file: not the same as missing
    assert unfit(signer.open_signer, folder)
    os.rmdir(path)
    write(path, good)
    return len(damaged) + 1


async def check_signing(own) -> int:
    """Signatures are right, two at once do not mix, the node's key refuses what is wrong, and other work goes on meanwhile."""
    raw = cose.decode_key(own.cose_key).raw
    one, two = await asyncio.gather(own.sign(b"one"), own.sign(b"two" * 100))
    ed25519.verify(raw, b"one", one)
    ed25519.verify(raw, b"two" * 100, two)
    assert own.sign_now(b"one") == one
    node = signer.open_node(own.cose_key)
    for _ in (0, 1):  # the second time with the table already made
        await node.verify(b"one", one)
        for message, signature in ((b"one!", one), (b"one", two), (b"one", one[:63]), (b"one", one[:32] + bytes(32))):
            assert await refuses(node, message, signature)
    return 12


async def refuses(node, message, signature) -> bool:
    try:
        await node.verify(message, signature)
    except VerifyError as error:
        return error.code == 201
    return False


async def count_meanwhile(coroutine) -> int:
    """How often another task ran while the coroutine did."""
    turns = [0]

    async def other() -> None:
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await coroutine
    task.cancel()
    return turns[0]


def check_gives_way(given) -> int:
    """For the portable code: another task runs at least so often during one signature and one check."""
    own = signer.Signer(b"\x07" * 32)
    signature = own.sign_now(b"m" * 300)
    node = signer.open_node(own.cose_key)
    assert asyncio.run(count_meanwhile(own.sign(b"m" * 300))) >= given["sign"]
    assert asyncio.run(count_meanwhile(node.verify(b"m" * 300, signature))) >= given["verify"]
    return 2


def check_cut_first_boot(given) -> int:
    """The supply fails before the rename: no key file, no identity; the next boot makes one."""
    folder = given["folder"]
    real = signer.os

    class Cut:
        def __getattr__(self, name):
            if name == "rename":
                raise OSError(errno.EIO)
            return getattr(real, name)

    signer.os = Cut()
    try:
        assert unfit(signer.open_signer, folder)
    finally:
        signer.os = real
    assert os.listdir(folder) == [signer.FILE_NAME + ".new"]
    signer.open_signer(folder)
    assert os.listdir(folder) == [signer.FILE_NAME]
    return 3
