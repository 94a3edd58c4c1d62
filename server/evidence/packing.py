"""Rows as they lie on disk: the CBOR of a bundle's columns, deflated where they repeat themselves: noise costs time and gives little back.

In: CBOR of a list, or what lies on disk. Out: the other. Never unpacks to more than an envelope may hold.
"""

import zlib

from shared.bundle import ENVELOPE_BYTES_MAX
from shared.errors import DecodeError

_PACKED = b"\x00"  # no CBOR of a list begins with it: rows stored as they came stay readable
_WINDOW_BITS, _MEMORY = 10, 1  # a kilobyte back: more costs more to set up than a bundle's columns give back
_LOOK_BYTES, _LOOK_STEP, _DISTINCT_MAX = (
    512,
    4,
    24,
)  # so many values among every fourth byte: about 10 µs of work; noise has 40 and takes 30


def pack_rows(body: bytes) -> bytes:
    """Deflated behind a mark, or as it is."""
    if len(set(body[:_LOOK_BYTES:_LOOK_STEP])) > _DISTINCT_MAX:
        return body
    deflate = zlib.compressobj(1, zlib.DEFLATED, -_WINDOW_BITS, _MEMORY)
    packed = _PACKED + deflate.compress(body) + deflate.flush()
    return packed if len(packed) < len(body) else body


def unpack_rows(data: bytes) -> bytes:
    """The CBOR. Raises DecodeError 122 for what cannot be unpacked."""
    if data[:1] != _PACKED:
        return data
    inflate = zlib.decompressobj(-_WINDOW_BITS)
    try:
        body = inflate.decompress(data[1:], ENVELOPE_BYTES_MAX)
    except zlib.error as error:
        raise DecodeError(122, f"stored rows cannot be unpacked: {error}") from None
    if not inflate.eof or inflate.unused_data:
        raise DecodeError(122, "stored rows are torn, or longer than any envelope")
    return body
