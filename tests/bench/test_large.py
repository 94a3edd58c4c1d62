"""The large log of the bench is the log that appending would have made."""

from pathlib import Path

import pytest

from server.bench import large
from server.evidence.tiles import TileReader, TileWriter
from shared import merkle
from shared.errors import MeterproofError


def appended(directory: Path, size: int) -> TileWriter:
    writer = TileWriter(directory)
    for low in range(0, size, 4096):
        writer.append([large.leaf(index) for index in range(low, min(low + 4096, size))])
        writer.tidy()
    return writer


@pytest.mark.parametrize("size", [1, 255, 256, 257, 65_536, 66_100])
def test_its_tiles_are_those_of_appending(tmp_path: Path, size: int) -> None:
    real = appended(tmp_path / "real", size)
    large.write_log(tmp_path / "made", size)
    made = {path.relative_to(tmp_path / "made"): path.read_bytes() for path in (tmp_path / "made").rglob("*") if path.is_file()}
    hash_tiles = [name for name in made if name.parts[1] != "entries"]
    assert len(hash_tiles) == sum(-(-(size >> 8 * level) // 256) for level in range(3))
    assert all((tmp_path / "real" / name).read_bytes() == data for name, data in made.items())
    assert TileReader(tmp_path / "made", size).root() == real.root()


def test_it_can_be_appended_to(tmp_path: Path) -> None:
    large.write_log(tmp_path / "made", 700)
    writer = TileWriter(tmp_path / "made", 700)
    writer.append([large.leaf(700)])
    assert writer.root() == merkle.root([merkle.leaf_hash(large.leaf(index)) for index in range(701)])


def test_a_proof_that_is_wrong_is_no_measurement(tmp_path: Path) -> None:
    large.write_log(tmp_path / "made", 600)
    tile = tmp_path / "made/tile/0/000"
    data = bytearray(tile.read_bytes())
    data[40] ^= 1
    tile.write_bytes(data)
    with pytest.raises(MeterproofError):
        large.prove(TileReader(tmp_path / "made", 600), 600, 1)
