"""A decoder with a fault that only a fuzzer guided by coverage finds soon. In: bytes. Out: a target that is among no others."""

from shared.errors import DecodeError
from tests.fuzz.target import Target

LIMIT_BYTES = 64


def decode_planted(data: bytes) -> int:
    """Fails on three bytes in a row, each looked at only behind the right one before: by chance alone one input in 2**24."""
    if not 3 <= len(data) <= LIMIT_BYTES or data[0] != 0x17:
        raise DecodeError(100, "no")
    if data[1] != 0x9C:
        raise DecodeError(100, "not yet")
    if data[2] != 0x42:
        raise DecodeError(100, "nearly")
    return data[LIMIT_BYTES]


PLANTED = Target("planted", decode_planted, LIMIT_BYTES, [b"\x00" * 8], tree=False)
