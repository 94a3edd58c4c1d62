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
        height, time_s, txs = cbor.check_list(cbor.decode(data, BLOCK_BYTES_MAX), 3, 3)
        decoded = tuple(decode_tx(cbor.check_bytes(tx, 1, TX_BYTES_MAX)) for tx in cbor.check_list(txs, BLOCK_TXS_MAX, 1))
        return Block(cbor.check_int(height, 1), cbor.check_uint(time_s), decoded)
    except DecodeError as error:
        raise DecodeError(182, f"block: {error.text}") from error
