"""A committed ledger in SQLite: read at any time, written one block per transaction.

In: a path; staged blocks. Out: values, records, log nodes, entries, blocks. Never shows what is not committed, never writes half a block.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiosqlite

from shared import merkle
from shared.errors import Unavailable, VerifyError
from shared.state import STATE_KEY_BYTES_MAX, Receipt, decode_receipt

from ..failpoints import reach
from ..store.sqlite import read_only
from .core import Head, Staged
from .lists import LISTED_KINDS, Listed, list_changes

PAGE = 1000
MIGRATIONS = Path(__file__).parent / "migrations"
_HEAD = "SELECT height, time_s, app_hash, log_size, state_root FROM head"
_MOVE_HEAD = """UPDATE head SET height = ?, time_s = ?, app_hash = ?, log_size = ?, state_root = ?, checkpoint = ?
                WHERE height = ? AND app_hash = ?"""


class LedgerReader:
    """Reads a ledger file; the store of a LedgerCore and the source of fsck."""

    def __init__(self, path: Path) -> None:
        self._conn = read_only(path)

    def close(self) -> None:
        """Closes the file."""
        self._conn.close()

    def _one(self, sql: str, *parameters: object) -> Any:
        try:
            row = self._conn.execute(sql, parameters).fetchone()
        except sqlite3.OperationalError as error:
            raise Unavailable(400, f"the ledger cannot be read: {error}") from error
        return None if row is None else row[0] if len(row) == 1 else row

    def _all(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._conn.execute(sql, parameters).fetchall()
        except sqlite3.OperationalError as error:
            raise Unavailable(400, f"the ledger cannot be read: {error}") from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside belongs to one committed block."""
        self._conn.execute("BEGIN")
        try:
            yield
        finally:
            self._conn.execute("COMMIT")

    def head(self) -> Head | None:
        """Where the ledger stands; None before its genesis was written."""
        row = self._one(_HEAD)
        return None if row is None else Head(*row)

    def genesis(self) -> bytes | None:
        """Genesis bytes."""
        data: bytes | None = self._one("SELECT genesis FROM head")
        return data

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint of the committed log; None before the first block."""
        data: bytes | None = self._one("SELECT checkpoint FROM head")
        return data

    def get(self, key: bytes) -> bytes | None:
        """Value of a state key."""
        value: bytes | None = self._one("SELECT value FROM state WHERE key = ?", key)
        return value

    def page(self, prefix: bytes, after: bytes = b"", limit: int = PAGE) -> list[tuple[bytes, bytes]]:
        """(key, value) of the first state keys beyond `after` that start with `prefix`, in bytewise order."""
        end = prefix + b"\xff" * STATE_KEY_BYTES_MAX
        return self._all(
            "SELECT key, value FROM state WHERE key > ? AND key >= ? AND key <= ? ORDER BY key LIMIT ?", after, prefix, end, limit
        )

    def members(self, name: bytes, limit: int = PAGE, after: bytes = b"") -> list[bytes]:
        """The first members of a list (lists.py) beyond `after`, in bytewise order."""
        rows = self._all("SELECT member FROM listed WHERE list = ? AND member > ? ORDER BY member LIMIT ?", name, after, limit)
        return [member for (member,) in rows]

    def changed(self, prefix: bytes) -> dict[bytes, bytes]:
        """Nothing: this is what the last block left."""
        return {}

    def record(self, place: bytes) -> bytes | None:
        """A record of the state tree."""
        record: bytes | None = self._one("SELECT record FROM tree WHERE place = ?", place)
        return record

    def log_node(self, level: int, place: int) -> bytes:
        """Root of a complete subtree of the ledger log. Raises VerifyError 271 if it is gone."""
        node: bytes | None = self._one("SELECT hash FROM log_node WHERE level = ? AND place = ?", level, place)
        if node is None:
            raise VerifyError(271, f"the ledger log has lost a node of level {level}")
        return node

    def entry(self, place: int) -> bytes:
        """An entry of the ledger log. Raises VerifyError 210 outside it."""
        data: bytes | None = self._one("SELECT data FROM entry WHERE place = ?", place)
        if data is None:
            raise VerifyError(210, "index outside the ledger log")
        return data

    def entries(self, low: int, high: int) -> list[bytes]:
        """Entries low ≤ i < high."""
        rows = self._all("SELECT data FROM entry WHERE place >= ? AND place < ? ORDER BY place", low, high)
        return [data for (data,) in rows]

    def block(self, height: int) -> bytes | None:
        """Bytes of a block."""
        data: bytes | None = self._one("SELECT data FROM block WHERE height = ?", height)
        return data

    def blocks(self) -> Iterator[bytes]:
        """Every block's bytes in order, one in memory at a time."""
        height = 0
        while (row := self._one("SELECT height, data FROM block WHERE height > ? ORDER BY height LIMIT 1", height)) is not None:
            height, data = row
            yield data

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Whole tables, for fsck."""
        yield from self._conn.execute(query)

    def receipt(self, identity: bytes) -> Receipt | None:
        """The receipt of a transaction: the one that used up its nonce, if there is one."""
        sql = "SELECT data FROM receipt JOIN entry USING (place) WHERE identity = ? ORDER BY final DESC, place LIMIT 1"
        data = self._one(sql, identity)
        return None if data is None else decode_receipt(data)

    def consistency_path(self, size1: int, size2: int) -> list[bytes]:
        """Proof that the ledger log of size2 extends that of size1."""
        return merkle.stored_consistency_path(size1, size2, self.log_node)


def writing(staged: Staged, checkpoint: bytes | None, genesis: bytes) -> Callable[[aiosqlite.Connection], Any]:
    """The job that writes one staged block (or, at height 0, the genesis state) for a store Writer."""

    async def write(conn: aiosqlite.Connection) -> None:
        await _move_head(conn, staged, checkpoint, genesis)
        first = staged.before.log_size
        if staged.block is not None:
            await conn.execute("INSERT INTO block VALUES (?, ?)", (staged.head.height, staged.block))
        await conn.executemany("INSERT INTO entry VALUES (?, ?)", list(enumerate(staged.entries, first)))
        await conn.executemany("INSERT INTO log_node VALUES (?, ?, ?)", staged.log_nodes)
        receipts = [(outcome.receipt.identity, place, outcome.final) for place, outcome in enumerate(staged.outcomes, first)]
        await conn.executemany("INSERT INTO receipt VALUES (?, ?, ?)", receipts)
        await conn.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", sorted(staged.values.items()))
        await conn.executemany("INSERT OR REPLACE INTO tree VALUES (?, ?)", sorted(staged.records.items()))
        await _write_lists(conn, staged.listed)
        reach("ledger-before-commit")

    return write


async def _write_lists(conn: aiosqlite.Connection, listed: Listed) -> None:
    await conn.executemany("INSERT OR IGNORE INTO listed VALUES (?, ?)", sorted(at for at, there in listed.items() if there))
    await conn.executemany("DELETE FROM listed WHERE list = ? AND member = ?", sorted(at for at, there in listed.items() if not there))


def filling_lists(reader: LedgerReader) -> Callable[[aiosqlite.Connection], Any] | None:
    """The job that fills the lists of a file that was made before there were lists; None if they are there."""
    if not reader.members(b"", 1):
        return None

    async def write(conn: aiosqlite.Connection) -> None:
        for prefix in LISTED_KINDS:
            after = b""
            while page := reader.page(prefix, after):
                after = page[-1][0]
                await _write_lists(conn, list_changes(dict(page)))
        await conn.execute("DELETE FROM listed WHERE list = x''")

    return write


async def _move_head(conn: aiosqlite.Connection, staged: Staged, checkpoint: bytes | None, genesis: bytes) -> None:
    """Compare-and-swap of the one row that says where the ledger stands: another process may have the file too."""
    head, before = staged.head, staged.before
    row = (head.height, head.time_s, head.app_hash, head.log_size, head.state_root, checkpoint)
    if head.height == 0:
        cursor = await conn.execute("INSERT OR IGNORE INTO head VALUES (1, ?, ?, ?, ?, ?, ?, ?)", (genesis, *row))
    else:
        cursor = await conn.execute(_MOVE_HEAD, (*row, before.height, before.app_hash))
    if cursor.rowcount != 1:
        raise Unavailable(400, "another process writes to this ledger")
