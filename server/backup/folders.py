"""Folders that appear whole or not at all, and files that are hashed while they are written or read.

In: a path where nothing is, or a file with the size and hash it must have. Out: the folder under its name once everything in it is durable;
bytes. Never follows a link, never touches a folder that holds something, never reads more of a file than it may have.
"""

import contextlib
import fcntl
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

from server.evidence.tile_files import sync_directory
from server.failpoints import reach
from shared.errors import RuleError, Unavailable, VerifyError

from .manifest import FileEntry

CHUNK_BYTES = 1 << 20
PART = ".part"


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A private folder to fill; at the end it gets its name in one step. Raises RuleError 302 if something is there, Unavailable 400."""
    path = path.absolute()
    part = path.with_name(path.name + PART)
    with storage_errors():
        check_free(path)
        with _claimed(part):
            try:
                yield part
                sync_directory(part)
                reach("folder-filled")
                part.rename(path)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                raise
            sync_directory(path.parent)


@contextlib.contextmanager
def storage_errors() -> Iterator[None]:
    """What a disk refuses becomes Unavailable 400."""
    try:
        yield
    except OSError as error:
        raise Unavailable(400, f"{error.filename or 'a file'}: {error.strerror}") from error
    except sqlite3.OperationalError as error:
        raise Unavailable(400, f"a database cannot be copied: {error}") from error
    except sqlite3.DatabaseError as error:
        raise VerifyError(275, f"a database is damaged: {error}") from error


def check_free(path: Path) -> None:
    """Raises RuleError 302 unless nothing is there, or an empty folder."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise RuleError(302, f"{path} exists and is not an empty folder: nothing is ever overwritten")
    if not path.parent.is_dir():
        raise RuleError(303, f"there is no folder {path.parent}")


@contextlib.contextmanager
def _claimed(part: Path) -> Iterator[None]:
    """Ours alone and empty, whatever a killed predecessor left in it. Raises Unavailable 400 while another process fills it."""
    with contextlib.suppress(FileExistsError):
        part.mkdir(mode=0o700)
    handle = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(400, f"another process is filling {part}") from None
        if not os.path.samestat(os.fstat(handle), part.stat()):
            raise Unavailable(400, f"another process has just filled {part}")
        for left in part.iterdir():
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        os.fchmod(handle, 0o700)
        yield
    finally:
        os.close(handle)


def write_new(path: Path, chunks: Iterable[bytes]) -> FileEntry:
    """A new durable file of mode 0600 and what the manifest says of it."""
    digest, size_bytes = sha256(), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            size_bytes += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(handle)
    return FileEntry(path.name, size_bytes, digest.digest())


def read_plain(path: Path, most_bytes: int) -> Iterator[bytes]:
    """The chunks of a regular file. Raises VerifyError 275 for anything else, or one that is too long."""
    handle = _open_plain(path, most_bytes)
    try:
        left = most_bytes
        while left and (chunk := os.read(handle, min(CHUNK_BYTES, left))):
            left -= len(chunk)
            yield chunk
    finally:
        os.close(handle)


def _open_plain(path: Path, most_bytes: int) -> int:
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > most_bytes:  # before it is opened: a pipe would wait, a device may act
            raise VerifyError(275, f"{path.name} is no plain file of at most {most_bytes} bytes")
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise VerifyError(275, f"{path.name}: {error.strerror}") from error
    if not os.path.samestat(found, os.fstat(handle)):
        os.close(handle)
        raise VerifyError(275, f"{path.name} is being replaced")
    return handle


def read_listed(folder: Path, entry: FileEntry) -> Iterator[bytes]:
    """The chunks of a file as the manifest lists it; the last one comes only if all of it was right. Raises VerifyError 275."""
    digest, size_bytes, held = sha256(), 0, b""
    for chunk in read_plain(folder / entry.name, entry.size_bytes):
        digest.update(chunk)
        size_bytes += len(chunk)
        if held:
            yield held
        held = chunk
    if (size_bytes, digest.digest()) != (entry.size_bytes, entry.hash):
        raise VerifyError(275, f"{entry.name} is not the file that was backed up")
    if held:
        yield held


def listed(path: Path) -> FileEntry:
    """What the manifest says of a file that another program has written; makes it durable."""
    digest, size_bytes = sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += len(chunk)
        os.fsync(file.fileno())
    return FileEntry(path.name, size_bytes, digest.digest())
