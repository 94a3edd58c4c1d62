"""Merkle trees and logs on disk. In: an empty folder. Out: rows. Never measures a proof that it does not check."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from server.bench.clock import each, seconds
from server.bench.primitives import Primitives
from server.bench.rows import Row, row
from server.bench.scale import Scale
from server.evidence.tiles import TileReader, TileWriter
from shared import merkle

GROUP = "Merkle trees"
IDS = (
    "merkle_root_1m_s",
    "merkle_append_us",
    "inclusion_proof_ms",
    "inclusion_verify_us",
    "consistency_proof_ms",
    "consistency_verify_us",
)
ENTRY_BYTES = 400  # a statement
ROUND = 4096


def measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    return [root_row(scale, primitives), *log_rows(folder / "log", scale)]


def root_row(scale: Scale, primitives: Primitives) -> Row:
    """From leaf hashes, so the limit is one hash less than there are leaves."""
    leaves = [sha256(i.to_bytes(4, "big")).digest() for i in range(scale.leaves)]
    root_s = seconds(lambda: merkle.root(leaves), max(1, scale.repeats - 2))
    limit_s = primitives.sha256.median * (scale.leaves - 1)
    return row(IDS[0], GROUP, f"root of {scale.leaves:,} leaves", root_s, "s", limit=limit_s, goal=0.6, more=False)


def entries(low: int, high: int) -> list[bytes]:
    return [i.to_bytes(8, "big") * (ENTRY_BYTES // 8) for i in range(low, high)]


def log_rows(directory: Path, scale: Scale) -> list[Row]:
    """Proofs from tiles on disk, read anew each time, but from the system's page cache."""
    size = scale.log_entries
    writer = TileWriter(directory, 0)
    append_s = [append_seconds(writer, low, min(low + ROUND, size)) for low in range(0, size, ROUND)]
    root, reader = writer.root(), TileReader(directory, size)
    index, old = size * 2 // 3, size // 2 + 1

    def inclusion() -> list[bytes]:
        reader.forget()
        return merkle.stored_inclusion_path(index, size, reader.node)

    def consistency() -> list[bytes]:
        reader.forget()
        return reader.consistency_path(old, size)

    path, proof, leaf, old_root = inclusion(), consistency(), merkle.leaf_hash(entries(index, index + 1)[0]), reader.root(old)
    including = each(lambda: merkle.verify_inclusion(index, size, leaf, path, root), 500, scale.repeats)
    extending = each(lambda: merkle.verify_consistency(old, size, proof, old_root, root), 500, scale.repeats)
    return [
        Row(IDS[1], GROUP, f"append, {ROUND:,} flushed at once", sum(append_s) / size * 1e6, "µs", None, None, False),
        row(IDS[2], GROUP, f"inclusion proof of {size:,}", each(inclusion, 20, scale.repeats).scaled(1000), "ms", goal=5, more=False),
        row(IDS[3], GROUP, "inclusion proof verified", including.scaled(1e6), "µs", more=False),
        row(IDS[4], GROUP, "consistency proof", each(consistency, 20, scale.repeats).scaled(1000), "ms", more=False),
        row(IDS[5], GROUP, "consistency proof verified", extending.scaled(1e6), "µs", more=False),
    ]


def append_seconds(writer: TileWriter, low: int, high: int) -> float:
    made: Sequence[bytes] = entries(low, high)
    return seconds(lambda: writer.append(made), 1).median
