"""Tiles: names and bytes as C2SP says, proofs from stored nodes, immutability, and what a crash leaves beyond the head."""

import random
from pathlib import Path

import pytest

from server.evidence import tile_files as tiles
from server.evidence.tile_files import ENTRIES, cut_beyond, decode_entries, encode_entries, tile_path, write_file
from server.evidence.tiles import TileReader, TileWriter
from shared import merkle
from shared.errors import DecodeError, VerifyError


def entries_of(low: int, high: int) -> list[bytes]:
    return [b"entry %d" % i for i in range(low, high)]


@pytest.mark.parametrize(
    ("level", "index", "width", "path"),
    [
        (0, 1234067, 256, "tile/0/x001/x234/067"),
        (0, 0, 256, "tile/0/000"),
        (1, 999, 112, "tile/1/999.p/112"),
        (2, 1000, 1, "tile/2/x001/000.p/1"),
        (ENTRIES, 67, 256, "tile/entries/067"),
        (ENTRIES, 1234067, 8, "tile/entries/x001/x234/067.p/8"),
    ],
)
def test_paths_are_those_of_the_specification(level: int, index: int, width: int, path: str) -> None:
    assert tile_path(level, index, width) == path


def test_a_growing_log_agrees_with_the_tree_in_memory(tmp_path: Path) -> None:
    chance, everything, checked = random.Random(3), [], set()
    writer = TileWriter(tmp_path)
    while len(everything) < 70_000:
        new = entries_of(len(everything), len(everything) + chance.choice([1, 2, 255, 256, 257, 4000]))
        writer.append(new)
        everything += new
        if chance.random() < 0.2:
            writer.tidy()
        if chance.random() < 0.1:
            writer = TileWriter(tmp_path, len(everything))
    hashes = [merkle.leaf_hash(entry) for entry in everything]
    size, reader = len(everything), TileReader(tmp_path, len(everything))
    assert writer.root() == reader.root() == merkle.root(hashes)
    for index in (0, 255, 256, 65_535, 65_536, size - 1):
        assert reader.entry(index) == everything[index]
        merkle.verify_inclusion(index, size, hashes[index], reader.inclusion_path(index, size), writer.root())
        checked.add(index)
    for old in (1, 256, 777, 65_536, size):
        merkle.verify_consistency(old, size, reader.consistency_path(old, size), reader.root(old), writer.root())
    assert list(reader.entries(250, 600)) == everything[250:600] and len(checked) == 6


def test_tile_bytes_are_hashes_and_length_prefixed_entries(tmp_path: Path) -> None:
    TileWriter(tmp_path).append(entries_of(0, 257))
    hashes = [merkle.leaf_hash(entry) for entry in entries_of(0, 257)]
    assert (tmp_path / "tile/0/000").read_bytes() == b"".join(hashes[:256])
    assert (tmp_path / "tile/0/001.p/1").read_bytes() == hashes[256]
    assert (tmp_path / "tile/1/000.p/1").read_bytes() == merkle.root(hashes[:256])
    assert (tmp_path / "tile/entries/001.p/1").read_bytes() == b"\x00\x09entry 256"


def test_reading_at_an_earlier_size_works_from_wider_tiles(tmp_path: Path) -> None:
    writer = TileWriter(tmp_path)
    writer.append(entries_of(0, 300))
    writer.tidy()
    early = TileReader(tmp_path, 10)
    assert early.root() == merkle.root([merkle.leaf_hash(entry) for entry in entries_of(0, 10)])
    assert early.entry(9) == b"entry 9"
    with pytest.raises(VerifyError, match="210"):
        early.entry(10)


def test_a_tile_is_never_written_again_with_other_bytes(tmp_path: Path) -> None:
    TileWriter(tmp_path).append(entries_of(0, 3))
    path = tmp_path / "tile/0/000.p/4"
    writer = TileWriter(tmp_path, 3)
    path.write_bytes(bytes(128))
    with pytest.raises(VerifyError, match="270"):
        writer.append([b"another"])
    assert path.read_bytes() == bytes(128)


def test_what_lies_beyond_the_head_is_removed_and_may_become_something_else(tmp_path: Path) -> None:
    writer = TileWriter(tmp_path)
    writer.append(entries_of(0, 250))
    root = writer.root()
    writer.append(entries_of(250, 4000))
    assert cut_beyond(tmp_path, 4000) == 0
    again = TileWriter(tmp_path, 250)
    assert again.root() == root
    again.append([b"other"] * 10)
    assert TileReader(tmp_path, 260).entry(255) == b"other"
    assert again.root() == merkle.root([merkle.leaf_hash(e) for e in [*entries_of(0, 250), *[b"other"] * 10]])


def test_tidy_removes_only_partial_tiles_that_are_full_now(tmp_path: Path) -> None:
    writer = TileWriter(tmp_path)
    for low in range(0, 260, 65):
        writer.append(entries_of(low, low + 65))
    assert tiles.partial_widths(tmp_path, 0, 0) == [65, 130, 195]
    writer.tidy()
    assert tiles.partial_widths(tmp_path, 0, 0) == [] and tiles.partial_widths(tmp_path, 0, 1) == [4]
    assert TileWriter(tmp_path, 260).root() == writer.root()


def test_missing_and_torn_files_are_errors(tmp_path: Path) -> None:
    TileWriter(tmp_path).append(entries_of(0, 5))
    (tmp_path / "tile/0/000.p/5").write_bytes(bytes(5 * 32 - 1))
    with pytest.raises(DecodeError, match="132"):
        TileReader(tmp_path, 5).node(0, 0)
    (tmp_path / "tile/0/000.p/5").unlink()
    with pytest.raises(VerifyError, match="270"):
        TileReader(tmp_path, 5).node(0, 0)
    with pytest.raises(VerifyError, match="210"):
        TileReader(tmp_path, 5).node(0, 5)
    with pytest.raises(VerifyError, match="210"):
        list(TileReader(tmp_path, 5).entries(0, 6))


@pytest.mark.parametrize(
    ("data", "count"),
    [(b"\x00", 1), (b"\x00\x02a", 1), (b"\x00\x01a\x00", 1), (b"\x00\x01a", 2), (b"\x00\x01a\x00\x01b", 1), (b"", 1)],
)
def test_a_torn_or_wrong_entry_bundle_is_refused(data: bytes, count: int) -> None:
    with pytest.raises(DecodeError, match="132"):
        decode_entries(data, count)


def test_entries_have_a_longest_length(tmp_path: Path) -> None:
    longest = bytes(65_535)
    assert decode_entries(encode_entries([longest, b""]), 2) == [longest, b""]
    writer = TileWriter(tmp_path)
    with pytest.raises(DecodeError, match="132"):
        writer.append([b"fits", bytes(65_536)])
    assert writer.size == 0
    with pytest.raises(ValueError, match="round"):
        writer.append([b""] * (tiles.ROUND_ENTRIES_MAX + 1))


def test_write_file_replaces_whole_files(tmp_path: Path) -> None:
    for data in (b"one", b"two"):
        write_file(tmp_path / "a/b/checkpoint", data)
        assert (tmp_path / "a/b/checkpoint").read_bytes() == data
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["checkpoint"]
