"""Modbus TCP, reading holding registers (function 3) only: requests to bytes, bytes to words. Sans-I/O.

In: unit, address, count, and reply bytes in pieces of any size. Out: request bytes, register bytes. Never keeps more than one reply.

Errors: DecodeError 175 (not the reply to this request), Unavailable 441 (the meter answered with an exception).
"""

from shared.errors import DecodeError, Unavailable

READ_HOLDING = 3
WORDS_MAX = 125
HEAD_BYTES = 7
EXCEPTION = 0x80


def build_read(transaction: int, unit: int, address: int, count: int) -> bytes:
    """Request: MBAP header, function, first register, how many."""
    if not 0 <= unit <= 255 or not 1 <= count <= WORDS_MAX or not 0 <= address <= 0x10000 - count:
        raise DecodeError(109, "not a possible Modbus request")
    return b"".join(
        (
            transaction.to_bytes(2, "big"),
            b"\x00\x00\x00\x06",
            bytes([unit, READ_HOLDING]),
            address.to_bytes(2, "big"),
            count.to_bytes(2, "big"),
        )
    )


class ReplyReader:
    """Takes one reply in pieces; `feed` gives the register bytes once it is whole."""

    def __init__(self, transaction: int, unit: int, count: int) -> None:
        self._head = transaction.to_bytes(2, "big") + b"\x00\x00"
        self._unit = unit
        self._bytes = 2 * count
        self._data = bytearray()

    def feed(self, data: bytes) -> bytes | None:
        self._data += data
        held = self._data
        if len(held) > HEAD_BYTES + 2 + self._bytes:
            raise DecodeError(175, "bytes after the reply")
        if held[:4] != self._head[: len(held)]:
            raise DecodeError(175, "a reply to another request")
        if len(held) < HEAD_BYTES + 2:
            return None
        length = held[4] << 8 | held[5]
        if held[6] != self._unit:
            raise DecodeError(175, "a reply of another unit")
        if held[7] == READ_HOLDING | EXCEPTION and length == 3 and len(held) == HEAD_BYTES + 2:
            raise Unavailable(441, f"the meter refused with exception {held[8]}")
        if held[7] != READ_HOLDING or held[8] != self._bytes or length != 3 + self._bytes:
            raise DecodeError(175, "a reply of the wrong function or length")
        return bytes(held[HEAD_BYTES + 2 :]) if len(held) == HEAD_BYTES + 2 + self._bytes else None
