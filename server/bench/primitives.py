"""What the machine can do without us: the bare operations that every limit is made of, measured in the same run.

In: an empty folder. Out: Primitives, and rows of them. Never calls our own code where a library is what counts.
"""

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from io import FileIO
from pathlib import Path

import cbor2
from nacl.signing import SigningKey

from server.bench.clock import Figure, each, seconds
from server.bench.rows import Row, row
from server.bench.scale import Scale

GROUP = "bare primitives of this run"
NODE_BYTES = 65  # 0x01 and two hashes
MESSAGE_BYTES = 290  # what a device signs
READINGS = 60
REGISTERS = 4
IDS = ("primitive_ed25519_verify_per_s", "primitive_sha256_65_per_s", "primitive_cbor2_rows_per_s", "primitive_append_ms")


@dataclass(frozen=True)
class Primitives:
    """Seconds of one: Ed25519 verification by libsodium, SHA-256 of 65 bytes, cbor2 decoding of 60 rows in columns, flushed append."""

    verify: Figure
    sha256: Figure
    decode: Figure
    append: Figure


def measure(folder: Path, scale: Scale) -> Primitives:
    repeats = max(3, scale.repeats)
    node, columns = secrets.token_bytes(NODE_BYTES), cbor2.dumps(some_columns())
    with (folder / "append").open("wb", buffering=0) as file:
        return Primitives(
            verify=each(one_verification(), 500, repeats),
            sha256=hashing(node, repeats),
            decode=each(lambda: cbor2.loads(columns), 2000, repeats),
            append=each(lambda: append(file, bytes(1024)), 20, repeats),
        )


def rows(found: Primitives) -> list[Row]:
    return [
        row(IDS[0], GROUP, "Ed25519 verify, PyNaCl", found.verify.per_second(), "/s"),
        row(IDS[1], GROUP, f"SHA-256 of {NODE_BYTES} B, hashlib", found.sha256.per_second(), "/s"),
        row(IDS[2], GROUP, "cbor2 decode of columns", found.decode.per_second(READINGS), "readings/s"),
        row(IDS[3], GROUP, "append of 1 KiB, flushed to disk", found.append.scaled(1000), "ms", more=False),
    ]


def one_verification() -> Callable[[], object]:
    key, message = SigningKey.generate(), secrets.token_bytes(MESSAGE_BYTES)
    signature, public = key.sign(message).signature, key.verify_key
    return lambda: public.verify(message, signature)


def hashing(node: bytes, repeats: int) -> Figure:
    """Without a call of ours around it: at half a microsecond that would count."""
    count = 50_000

    def many() -> None:
        for _ in range(count):
            sha256(node).digest()

    return seconds(many, repeats).scaled(1 / count)


def append(file: FileIO, data: bytes) -> None:
    file.write(data)
    os.fsync(file.fileno())


def some_columns() -> list[object]:
    """Rows as a bundle carries them: 59 time steps that are all equal, four columns of which one stands still, statuses all 0."""
    moving = [[1_000_000 * k, *(37 + (i * k) % 11 for i in range(READINGS - 1))] for k in range(1, REGISTERS)]
    return [60, [*moving, 0], 0]
