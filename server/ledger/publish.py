"""The ledger log for everybody to read: C2SP tiles and a checkpoint in a folder.

In: committed entries and their signed checkpoint. Out: files. Never publishes a checkpoint before its tiles, never what is not committed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from shared import note
from shared.errors import DecodeError, Unavailable, VerifyError
from shared.note import Checkpoint

from ..evidence.tiles import ROUND_ENTRIES_MAX as ROUND_ENTRIES_MAX
from ..evidence.tiles import TileWriter, write_file
from ..failpoints import reach

CHECKPOINT = "checkpoint"


class Publisher(Protocol):
    """Where a ledger publishes its log. The methods block: they are called in a thread."""

    @property
    def size(self) -> int:
        """Entries under the published checkpoint."""

    @property
    def appended(self) -> int:
        """Entries handed over so far: the next one has this index."""

    def append(self, entries: Sequence[bytes]) -> None:
        """Takes at most ROUND_ENTRIES_MAX more entries."""

    def publish(self, checkpoint: bytes) -> None:
        """Publishes a checkpoint over exactly what was appended."""


class TilePublisher:
    """Tiles in one folder. What is published follows from the checkpoint file there, so after a crash it goes on from it."""

    @classmethod
    def open(cls, directory: Path) -> Self:
        """Raises Unavailable 400 if the folder cannot be read or made."""
        try:
            return cls(directory)
        except OSError as error:
            raise Unavailable(400, f"the published ledger log: {error.strerror}") from error

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._size = self._published()
        self._tiles: TileWriter | None = TileWriter(directory, self._size)

    @property
    def size(self) -> int:
        """Entries under the published checkpoint."""
        return self._size

    @property
    def appended(self) -> int:
        """Entries in tiles."""
        return self._size if self._tiles is None else self._tiles.size

    def append(self, entries: Sequence[bytes]) -> None:
        """Writes tiles durably. After an OSError it begins again at the published size: what a failed write left is unknown."""
        tiles, self._tiles = self._tiles or TileWriter(self._directory, self._size), None
        tiles.append(entries)
        self._tiles = tiles

    def publish(self, checkpoint: bytes) -> None:
        """Raises VerifyError 271 if the entries do not lead to the checkpoint: then it is not published."""
        tiles = self._tiles or TileWriter(self._directory, self._size)
        claimed = _read(checkpoint)
        if (claimed.size, claimed.root) != (tiles.size, tiles.root()):
            raise VerifyError(271, "the ledger's entries do not make its checkpoint")
        reach("ledger-tiles-written")
        write_file(self._directory / CHECKPOINT, checkpoint)
        self._tiles, self._size = tiles, tiles.size
        tiles.tidy()

    def _published(self) -> int:
        """0 for a checkpoint that is missing or damaged: the committed log is published in its place."""
        try:
            return int(_read((self._directory / CHECKPOINT).read_bytes()).size)
        except (FileNotFoundError, DecodeError):
            return 0


def _read(checkpoint: bytes) -> Checkpoint:
    return note.decode_checkpoint(note.decode_note(checkpoint).text)
