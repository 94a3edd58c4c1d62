"""C2SP tlog-tiles as files: names, entry bundles, durable writes, and what a crash may leave.

In: places in a log, entries, bytes. Out: paths, bytes, files. Never knows what an entry means.
"""

import os
from collections.abc import Sequence
from pathlib import Path

from shared.errors import DecodeError

WIDTH = 256
HASH_BYTES = 32
ENTRY_BYTES_MAX = 65535
ROUND_ENTRIES_MAX = 4096  # most entries one append may hold; bounds what a crash can leave beyond the head
ENTRIES = -1  # the "level" of entry bundles
LEVELS_MAX = 8


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]`, N in groups of three digits: 1234067 is x001/x234/067."""
    groups = [f"{index % 1000:03d}"]
    while index >= 1000:
        index //= 1000
        groups.insert(0, f"x{index % 1000:03d}")
    name = "/".join(groups)
    return f"tile/{'entries' if level == ENTRIES else level}/{name}" + (f".p/{width}" if width < WIDTH else "")


def encode_entries(entries: Sequence[bytes]) -> bytes:
    """An entry bundle: each entry after its length as big-endian uint16."""
    if any(len(entry) > ENTRY_BYTES_MAX for entry in entries):
        raise DecodeError(132, "entry longer than 65,535 bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def decode_entries(data: bytes, count: int) -> list[bytes]:
    """The `count` entries of a bundle. Raises DecodeError 132 if it holds more, fewer or a torn one."""
    entries: list[bytes] = []
    at = 0
    while at < len(data) and len(entries) <= count:
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if at + 2 > len(data) or end > len(data):
            raise DecodeError(132, "entry bundle ends early")
        entries.append(data[at + 2 : end])
        at = end
    if len(entries) != count:
        raise DecodeError(132, f"entry bundle of {len(entries)} entries or more, not {count}")
    return entries


def sync_directory(path: Path) -> None:
    """Makes the names in a directory durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_file(path: Path, data: bytes) -> None:
    """Replaces a file durably: temporary file, fsync, rename, fsync of the directory. A crash leaves the old or the new bytes, whole."""
    make_directory(path.parent)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_directory(path.parent)


def make_directory(path: Path) -> None:
    """mkdir -p whose new names are durable too."""
    missing = []
    while not path.is_dir():
        missing.append(path)
        path = path.parent
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        sync_directory(directory.parent)


def partial_widths(directory: Path, level: int, number: int) -> list[int]:
    """Widths of the partial files of a tile, ascending."""
    try:
        names = os.listdir(directory / (tile_path(level, number) + ".p"))
    except (FileNotFoundError, NotADirectoryError):  # also while it goes: the tile is full
        return []
    return sorted(int(name) for name in names if name.isdigit())


def cut_beyond(directory: Path, size: int) -> int:
    """Removes every file that reaches beyond the trusted size: no checkpoint that left this process ever covered them. Returns how many."""
    removed = 0
    for level in range(ENTRIES, LEVELS_MAX):
        total = size >> (8 * max(level, 0))
        for number in range(total // WIDTH, (total + ROUND_ENTRIES_MAX) // WIDTH + 2):
            reach = total - number * WIDTH
            doomed = [width for width in partial_widths(directory, level, number) if width > reach]
            if (directory / tile_path(level, number)).exists():
                doomed.append(WIDTH)
            for width in doomed:
                (directory / tile_path(level, number, width)).unlink()
                removed += 1
    return removed
