"""The backend's disk: every write of SQLite and of files passes here, and may fail, lie about it, or be the last one before a crash.

In: calls of sqlite3 and os by the backend's code. Out: the same, or the fault whose turn it is; after a crash, a new home with what the
disk held. Never touches what is not in a home of this simulation.

A killed process loses nothing it has written. A machine that loses power also loses, at random, what was not synced: contents of files
without fsync, names without fsync of their folder (SQLite's own files are trusted to be what SQLite promises).
"""

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.simulation.faults import Trace

ERRORS = ("write-lost", "write-kept")
CRASHES = ("crash-lost", "crash-kept", "power-loss")
SQLITE = (".sqlite", ".sqlite-wal", ".sqlite-shm")
WRITES = ("INSERT", "UPDATE", "DELETE", "REPLACE", "COMMIT", "CREATE")
_DIRECTORY = object()
Do = Callable[[], Any]


class Killed(BaseException):
    """The process died here: nothing it does from now on reaches the disk."""


class Store:
    """Home after home: `home` is where the living backend works. `on_crash()`: it died; `on_commit(file)`: after each commit."""

    def __init__(self, folder: Path, rng: random.Random, trace: Trace, kinds: list[str], mean_gap: int) -> None:
        self._folder = folder
        self._rng = rng
        self._trace = trace
        self._kinds = kinds
        self._mean_gap = mean_gap
        self._left = self._draw()
        self._number = 0
        self.home = folder / "home-0"
        self.dead = False
        self.full = False
        self.calm = False
        self.writes = 0
        self._copying = False
        self.synchronous: dict[str, str] = {}
        self.on_crash: Callable[[], None] = lambda: None
        self.on_commit: Callable[[str], None] = lambda file: None
        self._connections: list[sqlite3.Connection] = []
        self._synced: dict[int, bytes] = {}
        self._durable: dict[str, dict[str, Any]] = {}

    def _draw(self) -> int:
        return 1 + int(self._rng.expovariate(1 / self._mean_gap))

    def owns(self, path: object) -> bool:
        """Whether a path lies in the home of a backend of this simulation, living or dead."""
        return not self._copying and str(path).startswith(str(self._folder) + "/home-")

    def is_current(self, path: object) -> bool:
        return f"{path}/".startswith(f"{self.home}/")

    # --- one write

    def write(self, path: str, what: str, do: Do, fail: Do, keepable: bool = True) -> Any:
        """Does it, or what the fault whose turn it is says. `fail` raises the error that this kind of write would."""
        if self.dead or not self.is_current(path):
            raise Killed
        self.writes += 1
        if self.full:
            return fail()
        self._left -= 1
        if self._left > 0 or self.calm or not self._kinds:
            return do()
        self._left = self._draw()
        kind = self._rng.choice(self._kinds)
        self._trace.fault(kind, f"{what} {path[len(str(self.home)) + 1 :]}")
        if kind == "write-lost" or (kind == "write-kept" and not keepable):
            return fail()
        if kind == "write-kept":
            do()
            return fail()
        if kind == "crash-kept" or (kind == "power-loss" and self._rng.random() < 0.5):
            do()
        self.crash(power=kind == "power-loss")
        raise Killed

    # --- death and what is left

    def crash(self, power: bool = False) -> None:
        """The process dies now; what it had written becomes a new home."""
        self.dead = True
        self._number += 1
        new = self._folder / f"home-{self._number}"
        self._copying = True
        if power:
            self._copy_durable(new)
        else:
            shutil.copytree(self.home, new, ignore=shutil.ignore_patterns("*-shm"))
        self._copying = False
        self._old, self.home = self.home, new
        self.on_crash()

    def bury(self) -> None:
        """After the dead process is gone: closes its files, deletes its home, and lets a new one work."""
        for conn in self._connections:
            conn.close()
        self._connections = []
        shutil.rmtree(self._old)
        self.dead = False
        self.adopt()

    def close(self) -> None:
        """At the end of a run."""
        for conn in self._connections:
            conn.close()

    def adopt(self) -> None:
        """What lies in the home now is all durable."""
        self._synced, self._durable = {}, {}
        for folder, _, files in os.walk(self.home):
            for file in files:
                if not file.endswith(SQLITE):
                    path = Path(folder, file)
                    self._synced[path.stat().st_ino] = path.read_bytes()
            self._durable[folder] = self._names(folder)

    def _names(self, folder: str) -> dict[str, Any]:
        """Name → the content synced under it, None for one never synced."""
        with os.scandir(folder) as entries:
            return {e.name: _DIRECTORY if e.is_dir() else self._synced.get(e.inode()) for e in entries if not e.name.endswith(SQLITE)}

    def _copy_durable(self, new: Path) -> None:
        for pattern in ("*.sqlite", "*.sqlite-wal"):
            for path in self.home.glob(pattern):
                new.mkdir(exist_ok=True)
                shutil.copy(path, new)
        self._copy_folder(self.home, new)

    def _copy_folder(self, old: Path, new: Path) -> None:
        """Each name as it was durable or as it is now, each content as it was synced or a part of what it is now."""
        new.mkdir(exist_ok=True)
        before = self._durable.get(str(old), {})
        now = self._names(str(old)) if old.is_dir() else {}
        for name in sorted(before.keys() | now.keys()):
            if name in before and name in now and before[name] is now[name] and now[name] is not None:
                kept = now[name]
            elif self._rng.random() < 0.5:
                if name not in before:
                    continue
                kept = before[name]
            else:
                if name not in now:
                    continue
                kept = now[name]
            if kept is _DIRECTORY:
                self._copy_folder(old / name, new / name)
            else:
                (new / name).write_bytes(self._torn(old / name) if kept is None else kept)
                (new / name).chmod(0o600)

    def _torn(self, path: Path) -> bytes:
        data = path.read_bytes() if path.is_file() else b""
        return data[: self._rng.choice((0, len(data), self._rng.randrange(len(data) + 1)))]

    # --- files

    def fsync(self, handle: int, real: Callable[[int], None]) -> None:
        path = os.readlink(f"/proc/self/fd/{handle}")
        if not self.owns(path):
            real(handle)
            return

        def do() -> None:
            if os.path.isdir(path):
                self._durable[path] = self._names(path)
            else:
                self._synced[os.fstat(handle).st_ino] = Path(path).read_bytes()

        self.write(path, "fsync", do, _no_space if self.full else _io_error)

    def file_call(self, name: str, path: object, real: Do) -> Any:
        """os.replace, os.unlink, os.mkdir."""
        if not self.owns(path):
            return real()
        return self.write(str(path), name, real, _no_space if self.full else _io_error)

    # --- SQLite

    def connect(self, target: Any, real: Callable[..., sqlite3.Connection], **kwargs: Any) -> sqlite3.Connection:
        path = str(target).removeprefix("file://").split("?")[0]
        if not self.owns(path):
            return real(target, **kwargs)
        if self.dead or not self.is_current(path):
            raise Killed
        conn = real(target, factory=Connection, **kwargs)
        conn.store, conn.path, conn.reads_only = self, path, "mode=ro" in str(target)
        self._connections.append(conn)
        return conn

    def sql(self, conn: "Connection", text: str, do: Do) -> Any:
        """One statement."""
        word = text.split(None, 1)[0].upper()
        if word == "PRAGMA" and "synchronous" in text:
            self.synchronous[Path(conn.path).name] = text.split("=")[-1].strip().upper()
        if conn.reads_only or word not in WRITES:
            if self.dead or not self.is_current(conn.path):
                raise Killed
            return do()
        was_inside = conn.in_transaction

        def done() -> Any:
            result = do()
            if was_inside and not conn.in_transaction:
                self.on_commit(Path(conn.path).name)
            return result

        def fail() -> None:
            if conn.in_transaction and self._rng.random() < 0.5:  # SQLite undoes the whole transaction after some errors
                sqlite3.Connection.execute(conn, "ROLLBACK")
            raise sqlite3.OperationalError("database or disk is full" if self.full else "disk I/O error")

        return self.write(conn.path, word.lower(), done, fail, keepable=word == "COMMIT")


class Connection(sqlite3.Connection):
    """A connection whose statements pass the store."""

    store: Store
    path: str
    reads_only: bool

    def execute(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return self.store.sql(self, sql, lambda: super(Connection, self).execute(sql, *args))

    def executemany(self, sql: str, *args: Any) -> sqlite3.Cursor:
        return self.store.sql(self, sql, lambda: super(Connection, self).executemany(sql, *args))

    def executescript(self, sql: str) -> sqlite3.Cursor:
        return self.store.sql(self, "CREATE", lambda: super(Connection, self).executescript(sql))


def _io_error() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def _no_space() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
