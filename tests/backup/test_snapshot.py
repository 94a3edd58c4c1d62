"""Three stores of one instant, while somebody writes to them as fast as SQLite lets him."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.backup import snapshot
from server.backup.snapshot import open_instant
from shared.errors import Unavailable

TABLES = {
    "ledger": "CREATE TABLE head (height INTEGER, log_size INTEGER, app_hash BLOB, genesis BLOB, checkpoint BLOB)",
    "evidence": "CREATE TABLE head (origin TEXT, size INTEGER, root BLOB, checkpoint BLOB)",
    "registry": "CREATE TABLE head (number INTEGER)",
}
FIRST = {"ledger": "VALUES (0, 0, x'', x'', NULL)", "evidence": "VALUES ('o', 0, x'', x'')", "registry": "VALUES (0)"}
STEPS = {"ledger": "UPDATE head SET height = ?", "evidence": "UPDATE head SET size = ?", "registry": "UPDATE head SET number = ?"}


class Clockwork:
    """Counts up in one store after the other: at any instant ledger ≥ evidence ≥ registry ≥ ledger − 1."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._ending = threading.Event()
        for name, table in TABLES.items():
            with contextlib.closing(self.connect(name)) as conn:
                conn.execute("PRAGMA journal_mode = WAL")
                conn.execute(table)
                conn.execute(f"INSERT INTO head {FIRST[name]}")

    def connect(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(self._home / f"{name}.sqlite", isolation_level=None)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._count)
        thread.start()
        try:
            yield
        finally:
            self._ending.set()
            thread.join()

    def _count(self) -> None:
        stores = {name: self.connect(name) for name in STEPS}
        for conn in stores.values():
            conn.execute("PRAGMA synchronous = OFF")
        number = 0
        while not self._ending.is_set():
            number += 1
            for name, step in STEPS.items():
                stores[name].execute(step, (number,))
                self._ending.wait(0.0001)
        for conn in stores.values():
            conn.close()


def read_number(path: Path, query: str) -> int:
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return int(conn.execute(query).fetchone()[0])


def test_copies_are_of_one_instant(tmp_path: Path) -> None:
    """So many that without the check some would mix two instants."""
    clockwork, seen, path = Clockwork(tmp_path), set(), tmp_path / "copy"
    with clockwork.running():
        for _ in range(400):
            with open_instant(tmp_path) as instant:
                instant.copy("registry.sqlite", path)
            registry = read_number(path, "SELECT number FROM head")
            path.unlink()
            assert instant.height >= instant.evidence.size >= registry >= instant.height - 1, (instant.height, registry)
            seen.add(instant.height)
    assert len(seen) > 50


def test_copies_are_of_the_instant_whose_heads_are_told(tmp_path: Path) -> None:
    clockwork = Clockwork(tmp_path)
    with clockwork.running():
        for number in range(10):
            with open_instant(tmp_path) as instant:
                time.sleep(0.01)  # the stores go on
                for name in ("ledger", "evidence"):
                    instant.copy(f"{name}.sqlite", tmp_path / f"{name} {number}")
            assert read_number(tmp_path / f"ledger {number}", "SELECT height FROM head") == instant.height
            assert read_number(tmp_path / f"evidence {number}", "SELECT size FROM head") == instant.evidence.size


def test_stores_that_never_hold_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody writes each time after the moments were opened and before they are compared."""
    clockwork = Clockwork(tmp_path)
    opened, real, number = clockwork.connect("evidence"), snapshot._one, 0
    opened.execute("PRAGMA synchronous = OFF")

    def written_before(conn: sqlite3.Connection, query: str) -> object:
        nonlocal number
        number += 1
        opened.execute(STEPS["evidence"], (number,))
        return real(conn, query)

    monkeypatch.setattr(snapshot, "_one", written_before)
    with pytest.raises(Unavailable, match="400"), open_instant(tmp_path):
        pass
    assert number == 4 * snapshot.TRIES_MAX
    opened.close()


def test_a_copy_needs_nothing_beside_it(tmp_path: Path) -> None:
    Clockwork(tmp_path)
    with open_instant(tmp_path) as instant:
        instant.copy("ledger.sqlite", tmp_path / "copy")
    assert read_number(tmp_path / "copy", "SELECT height FROM head") == 0
    assert [path.name for path in tmp_path.glob("copy*")] == ["copy"]
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
