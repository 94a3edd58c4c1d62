"""Logs as large as years make them: proofs, appends and restarts, beside the same of small ones.

In: an empty folder. Out: rows. Never measures a log that is not whole: its hash tiles are those of its leaves, and a proof is checked.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from server.bench.clock import Figure, each, figure, seconds
from server.bench.node import BenchDevice, open_node
from server.bench.primitives import Primitives
from server.bench.proofs import ROUND, entries
from server.bench.rows import Row, row
from server.bench.scale import Scale
from server.config import load_config
from server.evidence.log import EvidenceLog
from server.evidence.rows import open_evidence_store
from server.evidence.tile_files import ENTRIES, WIDTH, encode_entries, tile_path
from server.evidence.tiles import TileReader, TileWriter
from server.keystore import SigningKey
from shared import merkle

GROUP = "large logs"
IDS = ("inclusion_proof_10m_ms", "merkle_append_10m_us", "merkle_append_growth", "restart_evidence_ms", "restart_evidence_growth")
SMALL_ENTRIES, SMALL_STATEMENTS = 10_000, 1_000
APPEND_ROUNDS = 12
PROOFS = 50
DEVICES = 16
OPENINGS = 4  # of some milliseconds each: one repetition says little


def measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    return [*tree_rows(folder, scale), *restart_rows(folder, scale)]


# --- trees


def tree_rows(folder: Path, scale: Scale) -> list[Row]:
    """Proofs and appends at `scale.large_leaves`; the small log of the comparison holds SMALL_ENTRIES."""
    size = scale.large_leaves
    write_log(folder / "large", size)
    proving = prove(TileReader(folder / "large", size), size, scale.repeats)
    small = TileWriter(folder / "small")
    for low in range(0, SMALL_ENTRIES, ROUND):
        small.append(entries(low, min(low + ROUND, SMALL_ENTRIES)))
    before, after = append_seconds(small), append_seconds(TileWriter(folder / "large", size))
    growth = after.median / before.median
    return [
        row(IDS[0], GROUP, f"inclusion proof from {size:,}", proving.scaled(1000), "ms", goal=5, more=False),
        row(IDS[1], GROUP, f"append to {size:,}, {ROUND:,} flushed at once", after.scaled(1e6 / ROUND), "µs", more=False),
        Row(IDS[2], GROUP, f"the same, of that at {SMALL_ENTRIES:,}", growth, "×", None, 2, False),
    ]


def leaf(index: int) -> bytes:
    """An entry of the large log: eight bytes, for statements would fill gigabytes and no proof reads them."""
    return index.to_bytes(8, "big")


def write_log(directory: Path, size: int) -> None:
    """Every hash tile of a log, and the entry bundle that an append goes on with."""
    level, hashes = 0, (merkle.leaf_hash(leaf(index)) for index in range(size))  # type: int, Iterator[bytes]
    while True:
        above = list(write_level(directory, level, hashes))
        if not above:
            break
        level, hashes = level + 1, iter(above)
    if size % WIDTH:
        bundle = [leaf(index) for index in range(size - size % WIDTH, size)]
        write_plain(directory / tile_path(ENTRIES, size // WIDTH, len(bundle)), encode_entries(bundle))


def write_level(directory: Path, level: int, hashes: Iterator[bytes]) -> Iterator[bytes]:
    """Writes one level's tiles and gives the root of each full one."""
    number, tile = 0, []  # type: int, list[bytes]
    for node in hashes:
        tile.append(node)
        if len(tile) == WIDTH:
            write_plain(directory / tile_path(level, number), b"".join(tile))
            yield merkle.root(tile)
            number, tile = number + 1, []
    if tile:
        write_plain(directory / tile_path(level, number, len(tile)), b"".join(tile))


def write_plain(path: Path, data: bytes) -> None:
    """Not durably: it is thrown away, and measured is what comes later."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def prove(reader: TileReader, size: int, repeats: int) -> Figure:
    """Seconds for one proof, its tiles read anew each time, but from the system's page cache; places spread over the log."""
    root = reader.root()
    places = iter(range(0, size, max(1, size // (PROOFS * repeats))))

    def one() -> None:
        place = next(places)
        reader.forget()
        path = reader.inclusion_path(place, size)
        merkle.verify_inclusion(place, size, merkle.leaf_hash(leaf(place)), path, root)

    return each(one, PROOFS, repeats)


def append_seconds(writer: TileWriter) -> Figure:
    """Of a round of ROUND entries as long as statements, durable."""
    rounds = [entries(writer.size + number * ROUND, writer.size + (number + 1) * ROUND) for number in range(APPEND_ROUNDS)]
    return figure([seconds(lambda made=made: writer.append(made), 1).median for made in rounds])  # type: ignore[misc]


# --- restarts


def restart_rows(folder: Path, scale: Scale) -> list[Row]:
    """The evidence half opened again after a clean end, up to where it takes statements."""
    small, large = (asyncio.run(_restart(folder / f"{count} statements", count, scale.repeats)) for count in _counts(scale))
    text = f"evidence half started again, {scale.large_statements:,} statements"
    return [
        row(IDS[3], GROUP, text, large.scaled(1000), "ms", more=False),
        Row(IDS[4], GROUP, f"the same, best of each, of that with {SMALL_STATEMENTS:,}", large.low / small.low, "×", None, 2, False),
    ]


def _counts(scale: Scale) -> tuple[int, int]:
    return SMALL_STATEMENTS, scale.large_statements


async def _restart(home: Path, statements: int, repeats: int) -> Figure:
    devices = [BenchDevice() for _ in range(DEVICES)]
    async with open_node(home) as node:
        await node.enroll(devices)
        for low in range(0, statements, ROUND):
            chosen = [devices[index % DEVICES] for index in range(low, min(low + ROUND, statements))]
            await node.take([(node.topic(device), device.envelope(1)) for device in chosen])
    return figure([await _open_seconds(home, statements) for _ in range(OPENINGS * repeats)])


async def _open_seconds(home: Path, statements: int) -> float:
    config = load_config(home)
    key = SigningKey.load(config.key_path("node"))
    start = asyncio.get_running_loop().time()
    async with open_evidence_store(home / "evidence.sqlite") as store:
        log = await EvidenceLog.open(home / "evidence-log", store, config.origin, key)
        took = asyncio.get_running_loop().time() - start
        assert log.head.size == statements, "another log than was written"
    return took
