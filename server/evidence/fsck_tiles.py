"""Checks a published log against its own entries: every hash tile byte by byte, and the root that was signed.

In: a log's directory and its checkpoint. Out: problems in the report. Never looks beyond the checkpoint's size.
"""

from collections.abc import Iterator
from pathlib import Path

from shared import merkle
from shared.errors import DecodeError, MeterproofError, VerifyError
from shared.note import Checkpoint

from .fsck_report import Report
from .log import CHECKPOINT
from .tiles import ENTRIES, WIDTH, decode_entries, tile_path


def read_published(directory: Path) -> bytes | None:
    """The checkpoint file, if it is there."""
    path = directory / CHECKPOINT
    return path.read_bytes() if path.is_file() else None


def check_tiles(directory: Path, head: Checkpoint, report: Report) -> None:
    """Recomputes every hash tile from the entry bundles, byte by byte, and the root that was signed."""
    frontier = merkle.Frontier()
    tiles: dict[int, list[bytes]] = {}
    try:
        for number in range((head.size + WIDTH - 1) // WIDTH):
            for entry in _bundle(directory, number, min(WIDTH, head.size - number * WIDTH)):
                for level, index, node in frontier.append(merkle.leaf_hash(entry)):
                    if level % 8 == 0:
                        hashes = tiles.setdefault(level // 8, [])
                        hashes.append(node)
                        if len(hashes) == WIDTH:
                            _check_tile(directory, level // 8, index // WIDTH, hashes)
                            hashes.clear()
        for level, hashes in tiles.items():
            if hashes:
                _check_tile(directory, level, (head.size >> (8 * level)) // WIDTH, hashes)
        if frontier.root() != head.root:
            raise VerifyError(270, "the entries do not make the root that was signed")
    except (MeterproofError, OSError) as error:
        report.problem(f"{directory.name}: {error}")


def _bundle(directory: Path, number: int, width: int) -> Iterator[bytes]:
    for candidate in dict.fromkeys((width, WIDTH)):
        path = directory / tile_path(ENTRIES, number, candidate)
        if path.exists():
            try:
                yield from decode_entries(path.read_bytes(), candidate)[:width]
            except DecodeError as error:
                raise VerifyError(270, f"{tile_path(ENTRIES, number, candidate)}: {error.text}") from error
            return
    raise VerifyError(270, f"{tile_path(ENTRIES, number, width)} is missing")


def _check_tile(directory: Path, level: int, number: int, hashes: list[bytes]) -> None:
    for candidate in dict.fromkeys((len(hashes), WIDTH)):
        path = directory / tile_path(level, number, candidate)
        if path.exists():
            if path.read_bytes()[: 32 * len(hashes)] != b"".join(hashes):
                raise VerifyError(270, f"{tile_path(level, number, candidate)} does not follow from the entries")
            return
    raise VerifyError(270, f"{tile_path(level, number, len(hashes))} is missing")
