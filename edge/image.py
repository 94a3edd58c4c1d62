"""Which firmware runs: the hash over the image it runs from (SPEC 8).

In: the place of this module. Out: 32 bytes. Used once, at the start, and never holds more than one file's hash.
"""

import os
from hashlib import sha256

from shared.firmware import hash_files

CHUNK_BYTES = 512
DIRECTORY = 0x4000


def image_root(module_path: str) -> str:
    """The folder that holds edge/, from the path of a module in it."""
    folder = module_path.rsplit("/", 1)[0] if "/" in module_path else "."
    return folder[: -len("/edge")] or "/" if folder.endswith("/edge") else "."


def image_files(root: str) -> list[str]:
    """Paths of the image, relative to its root."""
    found: list[str] = []
    waiting = ["shared", "edge"]
    while waiting:
        folder = waiting.pop()
        for name in os.listdir(f"{root}/{folder}"):
            path = f"{folder}/{name}"
            if os.stat(f"{root}/{path}")[0] & 0xF000 == DIRECTORY:
                if name != "__pycache__" and path != "shared/verify":
                    waiting.append(path)
            elif name.endswith((".py", ".mpy")):
                found.append(path)
    return found


def file_hash(path: str) -> bytes:
    digest = sha256()
    buffer = bytearray(CHUNK_BYTES)
    view = memoryview(buffer)
    with open(path, "rb") as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return digest.digest()
            digest.update(view[:count])


def image_hash(root: str) -> bytes:
    """The firmware hash of the image at `root`."""
    return hash_files(image_files(root), lambda path: file_hash(f"{root}/{path}"))


def own_hash() -> bytes:
    """That of the running firmware."""
    return image_hash(image_root(__file__))
