"""Append-only logs as C2SP tlog-tiles: hash tiles of 256 nodes and entry bundles, immutable files under one directory.

In: entries of at most 65,535 bytes and the size the trusted head names. Out: durable files, entries, nodes for proofs. Never rewrites a
tile with other bytes; never keeps, after a crash, what lies beyond the trusted size.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from shared import merkle
from shared.errors import DecodeError, VerifyError

from .tile_files import (
    ENTRIES,
    HASH_BYTES,
    LEVELS_MAX,
    ROUND_ENTRIES_MAX,
    WIDTH,
    cut_beyond,
    decode_entries,
    encode_entries,
    make_directory,
    partial_widths,
    sync_directory,
    tile_path,
    write_file,
)

__all__ = ["ENTRIES", "ROUND_ENTRIES_MAX", "WIDTH", "TileReader", "TileWriter", "decode_entries", "tile_path", "write_file"]

_CACHED_TILES = 64


class TileReader:
    """Reads entries and nodes of the first `size` entries; the owner of the log raises `size` when the head moves."""

    def __init__(self, directory: Path, size: int = 0) -> None:
        self.directory = directory
        self.size = size
        self._cache: dict[tuple[int, int, int], bytes] = {}

    def entry(self, index: int) -> bytes:
        """The entry at `index`. Raises VerifyError 210 outside the log, 270 if its bundle is gone, DecodeError 132 if it is torn."""
        if not 0 <= index < self.size:
            raise VerifyError(210, "index outside the log")
        return self.bundle(index // WIDTH)[index % WIDTH]

    def entries(self, low: int, high: int) -> Iterator[bytes]:
        """Entries low ≤ i < high in order, one bundle in memory at a time."""
        if not 0 <= low <= high <= self.size:
            raise VerifyError(210, "range outside the log")
        for number in range(low // WIDTH, (high + WIDTH - 1) // WIDTH):
            start = number * WIDTH
            yield from self.bundle(number)[max(low - start, 0) : high - start]

    def bundle(self, number: int) -> list[bytes]:
        """Every entry of bundle `number` that is within the log."""
        data, width = self._load(ENTRIES, number, self.width_of(0, number))
        return decode_entries(data, width)[: self.width_of(0, number)]

    def node(self, level: int, index: int) -> bytes:
        """Root of the complete subtree of 2^level leaves number `index`, as merkle.stored_* ask for it."""
        tile_level, inner = divmod(level, 8)
        first = index << inner
        tile, at = divmod(first, WIDTH)
        count = 1 << inner
        if at + count > self.width_of(tile_level, tile):
            raise VerifyError(210, "node outside the log")
        data, _ = self._load(tile_level, tile, at + count)
        hashes = [data[i * HASH_BYTES : (i + 1) * HASH_BYTES] for i in range(at, at + count)]
        return merkle.root(hashes)

    def width_of(self, level: int, number: int) -> int:
        """How many nodes of hash tile (or entries of bundle, with level 0) `number` are within the log."""
        return max(0, min(WIDTH, (self.size >> (8 * level)) - number * WIDTH))

    def root(self, size: int | None = None) -> bytes:
        """Root of the first `size` entries, from the hash tiles."""
        return merkle.tree_root(self.size if size is None else size, self.node)

    def inclusion_path(self, index: int, size: int) -> list[bytes]:
        """Path of entry `index` in the log of `size`, leaf to root."""
        return merkle.stored_inclusion_path(index, size, self.node)

    def consistency_path(self, size1: int, size2: int) -> list[bytes]:
        """Proof that the log of size2 extends that of size1; empty when size1 is 0 or they are equal."""
        return merkle.stored_consistency_path(size1, size2, self.node)

    def forget(self) -> None:
        """Drops what is remembered of files: after an error they were cut back."""
        self._cache.clear()

    def _load(self, level: int, number: int, least: int) -> tuple[bytes, int]:
        """(bytes, width) of a file holding at least `least` nodes: the full tile, else the narrowest partial that reaches far enough."""
        for width in self._widths(level, number, least):
            key = (level, number, width)
            data = self._cache.get(key)
            if data is None:
                try:
                    data = (self.directory / tile_path(level, number, width)).read_bytes()
                except FileNotFoundError:
                    continue
                if level != ENTRIES and len(data) != width * HASH_BYTES:
                    raise DecodeError(132, f"{tile_path(level, number, width)} has {len(data)} bytes")
                if len(self._cache) >= _CACHED_TILES:
                    self._cache.pop(next(iter(self._cache)))
                self._cache[key] = data
            return data, width
        raise VerifyError(270, f"{tile_path(level, number)} is gone")

    def _widths(self, level: int, number: int, least: int) -> Iterator[int]:
        if least < WIDTH:
            exact = self.width_of(0 if level == ENTRIES else level, number)
            if exact < WIDTH:
                yield exact
        yield WIDTH
        yield from (width for width in partial_widths(self.directory, level, number) if width >= least)


class TileWriter:
    """Appends to a log; opening it at the trusted size first removes whatever a crash left beyond. Blocking: call it in a thread."""

    def __init__(self, directory: Path, size: int = 0) -> None:
        self.directory = directory
        make_directory(directory)
        cut_beyond(directory, size)
        self.reader = TileReader(directory, size)
        nodes = [self.reader.node(level, index) for level, index in _frontier_places(size)]
        self.frontier = merkle.Frontier(size, nodes)
        self._entries: list[bytes] = self.reader.bundle(size // WIDTH) if size % WIDTH else []
        self._tiles: list[list[bytes]] = [self._open_tile(level) for level in range(LEVELS_MAX)]
        self._dirty: dict[int, list[tuple[int, list[bytes]]]] = {}
        self._full: list[tuple[int, int]] = [(level, (size >> 8 * max(level, 0)) // WIDTH - 1) for level in range(ENTRIES, LEVELS_MAX)]

    @property
    def size(self) -> int:
        """Entries appended, durable or about to be."""
        return self.frontier.size

    def root(self) -> bytes:
        """Root over everything appended."""
        return self.frontier.root()

    def append(self, entries: Sequence[bytes]) -> None:
        """Adds entries; when it returns, bundles and hash tiles are durable. At most ROUND_ENTRIES_MAX at a time."""
        self.write_entries(entries)
        self.write_tiles()

    def write_entries(self, entries: Sequence[bytes]) -> None:
        """First half of append: the entry bundles."""
        if len(entries) > ROUND_ENTRIES_MAX:
            raise ValueError("too many entries for one round")
        encode_entries(entries)  # refuse an entry that is too long before anything changes
        number = self.frontier.size // WIDTH
        files: list[tuple[str, bytes]] = []
        for entry in entries:
            self._entries.append(entry)
            self._note(self.frontier.append(merkle.leaf_hash(entry)))
            if len(self._entries) == WIDTH:
                files.append((tile_path(ENTRIES, number), encode_entries(self._entries)))
                self._full.append((ENTRIES, number))
                self._entries = []
                number += 1
        if entries and self._entries:
            files.append((tile_path(ENTRIES, number, len(self._entries)), encode_entries(self._entries)))
        self._store(files)

    def write_tiles(self) -> None:
        """Second half of append: the hash tiles that changed."""
        files = []
        for level, tiles in self._dirty.items():
            for number, hashes in tiles:
                files.append((tile_path(level, number, len(hashes)), b"".join(hashes)))
                if len(hashes) == WIDTH:
                    self._full.append((level, number))
        self._dirty = {}
        self._store(files)
        self.reader.size = self.frontier.size

    def tidy(self) -> None:
        """Removes partial files of tiles that are full and committed; readers fall back to the full one."""
        for level, number in self._full:
            for width in partial_widths(self.directory, level, number) if number >= 0 else []:
                (self.directory / tile_path(level, number, width)).unlink()
            with suppress(OSError):  # an empty folder takes as much room as a dozen entries
                (self.directory / (tile_path(level, number) + ".p")).rmdir()
        self._full = []

    def _open_tile(self, level: int) -> list[bytes]:
        number, width = divmod(self.reader.size >> (8 * level), WIDTH)
        return [self.reader.node(8 * level, number * WIDTH + i) for i in range(width)]

    def _note(self, made: list[tuple[int, int, bytes]]) -> None:
        """Puts the nodes that a leaf completed into their tiles, and the tiles among those to write."""
        for level, index, node in made:
            if level % 8:
                continue
            tile_level, number = level // 8, index // WIDTH
            hashes = self._tiles[tile_level]
            hashes.append(node)
            tiles = self._dirty.setdefault(tile_level, [])
            if not tiles or tiles[-1][0] != number:
                tiles.append((number, hashes))
            if len(hashes) == WIDTH:
                self._tiles[tile_level] = []

    def _store(self, files: list[tuple[str, bytes]]) -> None:
        """Writes immutable files, then syncs every folder that got one."""
        folders: dict[Path, None] = {}
        for name, data in files:
            path = self.directory / name
            if path.exists():
                if path.read_bytes() != data:
                    raise VerifyError(270, f"{name} exists with other bytes")
                continue
            make_directory(path.parent)
            temporary = path.with_name(path.name + ".tmp")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            folders[path.parent] = None
        for folder in folders:
            sync_directory(folder)


def _frontier_places(size: int) -> list[tuple[int, int]]:
    """(level, index) of the complete subtrees that make up a log of `size`, largest first."""
    places, done = [], 0
    for level in range(size.bit_length() - 1, -1, -1):
        if size >> level & 1:
            places.append((level, done >> level))
            done += 1 << level
    return places
