"""Blocks as bytes (SPEC section 10): what a ledger is replayed from.

In: height, time, transactions; or bytes. Out: bytes; or a Block of decoded transactions. Never applies anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared import cbor
from shared.errors import DecodeError

from .transactions import TX_BYTES_MAX, Tx, decode_tx

BLOCK_TXS_MAX = 4096
BLOCK_BYTES_MAX = 22_020_096  # CometBFT's default


@dataclass(frozen=True, slots=True)
class Block:
    height: int
    time_s: int
    txs: tuple[Tx, ...]


def encode_block(height: int, time_s: int, txs: Sequence[Tx]) -> bytes:
    """Block bytes."""
    return cbor.encode([height, time_s, [tx.data for tx in txs]])


def decode_block(data: bytes) -> Block:
    """A block; every transaction in it can be decoded, or it is none. Raises DecodeError 182."""
    try:
        _check_skeleton(data)
        height, time_s, txs = cbor.check_list(cbor.decode(data, BLOCK_BYTES_MAX), 3, 3)
        decoded = tuple(decode_tx(cbor.check_bytes(tx, 1, TX_BYTES_MAX)) for tx in cbor.check_list(txs, BLOCK_TXS_MAX, 1))
        return Block(cbor.check_int(height, 1), cbor.check_uint(time_s), decoded)
    except DecodeError as error:
        raise DecodeError(182, f"block: {error.text}") from error


def _check_skeleton(data: bytes) -> None:
    """Three items, the last one a list of strings, and not too many: looked at before anything is decoded, or a block full of empty lists
    would become a gigabyte. Raises DecodeError."""
    if len(data) > BLOCK_BYTES_MAX:
        raise DecodeError(106, f"longer than {BLOCK_BYTES_MAX} bytes")
    at, numbers = 0, []
    for wanted in (4, 0, 0, 4):
        major, number, at = cbor.read_head(data, at)
        if major != wanted:
            raise DecodeError(108, "not a height, a time and a list")
        numbers.append(number)
    if numbers[0] != 3 or numbers[3] > BLOCK_TXS_MAX:
        raise DecodeError(108, f"not three items, or more than {BLOCK_TXS_MAX} transactions")
    for _ in range(numbers[3]):
        major, length, at = cbor.read_head(data, at)
        if major != 2 or length > TX_BYTES_MAX:
            raise DecodeError(108, "a transaction is no string of allowed length")
        at += length
    if at != len(data):
        raise DecodeError(101, "cut off, or bytes after the end")
