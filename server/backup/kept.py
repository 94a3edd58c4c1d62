"""The newest heads of both logs kept outside the home, so that an old copy of the whole home is found out.

In: settings that name a directory on another disk. Out: what puts each checkpoint there before anybody sees it, or the error that says why
this home may not start. Never begins a directory that should hold heads already: it may be a disk that is not mounted.
"""

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from server.config import Config
from server.evidence.log import Keep
from server.evidence.tile_files import write_file
from server.ledger.genesis import Genesis
from server.ledger.publish import TilePublisher
from shared import note
from shared.errors import Unavailable, VerifyError

from .folders import storage_errors
from .logs import Held, Seen, check_not_beyond, open_held
from .manifest import node_vkeys

FILES = ("evidence.checkpoint", "ledger.checkpoint")


class KeptHead:
    """One file; called with a checkpoint it replaces it durably. Raises OSError if the file is not there any more."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __call__(self, checkpoint: bytes) -> None:
        if not self.path.is_file():
            raise OSError(errno.ENOENT, f"{self.path} is gone: is its disk mounted?")
        write_file(self.path, checkpoint)


class KeptPublisher(TilePublisher):
    """The published ledger log whose checkpoints are kept elsewhere first."""

    def __init__(self, directory: Path, keep: Keep) -> None:
        super().__init__(directory)
        self._keep = keep

    def publish(self, checkpoint: bytes) -> None:
        self._keep(checkpoint)
        super().publish(checkpoint)


@dataclass(frozen=True, slots=True)
class Kept:
    """What each log gives its checkpoints to; None where nothing is configured."""

    evidence: Keep | None = None
    ledger: Keep | None = None

    def publisher(self, directory: Path) -> TilePublisher | None:
        """Where the ledger log is published, unless it is as usual. Raises Unavailable 400."""
        with storage_errors():
            return None if self.ledger is None else KeptPublisher(directory, self.ledger)


def open_kept(config: Config, genesis: Genesis) -> Kept:
    """Raises VerifyError 274 if this home is older than a head kept, or of another history; 273 if none is kept of a log that has entries;
    Unavailable 400."""
    if config.heads_directory is None:
        return Kept()
    vkeys = node_vkeys(genesis, config.origin)
    seen = read_kept(config, vkeys)
    paths = [config.heads_directory / name for name in FILES]
    with open_held(config, vkeys[1].name) as held, storage_errors():
        for log in held:
            check_not_beyond(log, seen)
        for log, path in zip(held, paths, strict=True):
            _begin(log, path)
    evidence, ledger = (KeptHead(path) for path in paths)
    return Kept(evidence, ledger)


def read_kept(config: Config, vkeys: Sequence[note.Vkey]) -> list[Seen]:
    """The heads kept now. Raises Unavailable 400 if there is no such directory or a file cannot be read; DecodeError, VerifyError 240."""
    if config.heads_directory is None:
        return []
    if not config.heads_directory.is_dir():
        raise Unavailable(400, f"heads.directory {config.heads_directory} is not there: is its disk mounted?")
    seen = []
    for vkey, path in zip(vkeys, (config.heads_directory / name for name in FILES), strict=True):
        with storage_errors():
            data = path.read_bytes() if path.exists() else b""
        if data:
            head, _ = note.open_checkpoint(data, [vkey])
            if head.origin != vkey.name:
                raise VerifyError(240, f"{path} is the head of another log")
            seen.append(Seen(str(path), head.origin, head.size, head.root))
    return seen


def _begin(log: Held, path: Path) -> None:
    """An empty file for an empty log; for a log with entries a file must be there, put there by a person if need be."""
    if path.exists():
        return
    if log.size:
        folder = "evidence-log" if path.name == FILES[0] else "ledger-log"
        how = f"if heads shall be kept there from now on, copy HOME/{folder}/checkpoint to it"
        raise VerifyError(273, f"{path} holds no head of a log with {log.size} entries: is its disk mounted? {how}")
    write_file(path, b"")
