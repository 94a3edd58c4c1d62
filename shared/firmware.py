"""Firmware hash: one hash over every file of an image (SPEC 8).

In: (path, SHA-256 of the file) of each file. Out: 32 bytes. Never reads a file.

Errors: DecodeError 108.
"""

from hashlib import sha256

from . import cbor
from .errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

PATH_BYTES_MAX = 128


def firmware_hash(entries: list[tuple[str, bytes]]) -> bytes:
    """SHA-256 of the CBOR [[path, SHA-256]…], sorted bytewise by path. Raises DecodeError 108 for a path that is not relative, or twice."""
    digests = dict(entries)
    if len(digests) != len(entries):
        raise DecodeError(108, "a path twice in the firmware image")
    return hash_files(list(digests), lambda path: digests[path])


def hash_files(paths: list[str], digest_of: "Callable[[str], bytes]") -> bytes:
    """The same, one file after the other, for a device has no room for all digests. `digest_of(path)` gives one; sorts `paths`."""
    for path in paths:
        _check_path(path)
    paths.sort()  # UTF-8 sorts as code points do
    head = bytearray()
    cbor.write_head(head, 4, len(paths))
    whole = sha256(head)
    for path in paths:
        whole.update(cbor.encode([path, cbor.check_bytes(digest_of(path), 32)]))
    return whole.digest()


def _check_path(path: str) -> str:
    cbor.check_text(path, PATH_BYTES_MAX)
    for part in path.split("/"):
        if part in ("", ".", "..") or "\\" in part:
            raise DecodeError(108, "not a relative path with /")
    return path
