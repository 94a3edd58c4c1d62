"""A committed ledger in SQLite, read at any time.

In: a path. Out: values, tree pages, log nodes, entries, blocks; whatever SQLite says, as one of our errors. Never shows what is not
committed.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shared import merkle
from shared.errors import DecodeError, MeterproofError, Unavailable, VerifyError
from shared.state import STATE_KEY_BYTES_MAX, Receipt, decode_receipt

from ..store.sqlite import read_only
from .core import Head

PAGE = 1000
SQLITE_ERRORS = (sqlite3.Error, UnicodeDecodeError)  # a message may quote the text of a damaged schema
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_HEAD = "SELECT height, time_s, app_hash, log_size, state_root FROM head"


def typed(error: Exception) -> MeterproofError:
    """What SQLite says, in one of our families: damage and contradiction are 271, everything else may pass."""
    damaged = isinstance(error, (sqlite3.IntegrityError, UnicodeDecodeError)) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    return VerifyError(271, f"the ledger's file is damaged: {error}") if damaged else Unavailable(400, f"the ledger's file: {error}")


def _bytes(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise VerifyError(271, "the ledger's file holds something else where bytes should be")
    return value


class LedgerReader:
    """Reads a ledger file; the store of a LedgerCore and the source of fsck."""

    def __init__(self, path: Path) -> None:
        self._conn = read_only(path)

    def close(self) -> None:
        """Closes the file."""
        self._conn.close()

    def _row(self, sql: str, *parameters: object) -> Any:
        try:
            return self._conn.execute(sql, parameters).fetchone()
        except SQLITE_ERRORS as error:
            raise typed(error) from error

    def _blob(self, sql: str, *parameters: object) -> bytes | None:
        row = self._row(sql, *parameters)
        return None if row is None or row[0] is None else _bytes(row[0])

    def _all(self, sql: str, *parameters: object) -> list[Any]:
        try:
            return self._conn.execute(sql, parameters).fetchall()
        except SQLITE_ERRORS as error:
            raise typed(error) from error

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Everything read inside belongs to one committed block."""
        self._row("BEGIN")
        try:
            yield
        finally:
            self._row("COMMIT")

    def has_table(self, name: str) -> bool:
        """Whether the file has it: not a file whose first start was cut short, nor one from another time."""
        return self._row("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", name) is not None

    def head(self) -> Head | None:
        """Where the ledger stands; None before its genesis was written."""
        row = self._row(_HEAD)
        if row is not None and [type(value) for value in row] != [int, int, bytes, int, bytes]:
            raise VerifyError(271, "the stored head is broken")
        return None if row is None else Head(*row)

    def genesis(self) -> bytes | None:
        """Genesis bytes."""
        return self._blob("SELECT genesis FROM head")

    def checkpoint(self) -> bytes | None:
        """The signed checkpoint of the committed log; None before the first block."""
        return self._blob("SELECT checkpoint FROM head")

    def get(self, key: bytes) -> bytes | None:
        """Value of a state key."""
        return self._blob("SELECT value FROM state WHERE key = ?", key)

    def page(self, prefix: bytes, after: bytes = b"", limit: int = PAGE) -> list[tuple[bytes, bytes]]:
        """(key, value) of the first state keys beyond `after` that start with `prefix`, in bytewise order."""
        end = prefix + b"\xff" * STATE_KEY_BYTES_MAX
        query = "SELECT key, value FROM state WHERE key > ? AND key >= ? AND key <= ? ORDER BY key LIMIT ?"
        return [(_bytes(key), _bytes(value)) for key, value in self._all(query, after, prefix, end, limit)]

    def members(self, name: bytes, limit: int = PAGE, after: bytes = b"") -> list[bytes]:
        """The first members of a list (lists.py) beyond `after`, in bytewise order."""
        rows = self._all("SELECT member FROM listed WHERE list = ? AND member > ? ORDER BY member LIMIT ?", name, after, limit)
        return [_bytes(member) for (member,) in rows]

    def changed(self, prefix: bytes) -> dict[bytes, bytes]:
        """Nothing: this is what the last block left."""
        return {}

    def tree_page(self, place: bytes) -> bytes | None:
        """A page of the state tree."""
        return self._blob("SELECT cells FROM tree_page WHERE place = ?", place)

    def log_node(self, level: int, place: int) -> bytes:
        """Root of a complete subtree of the ledger log. Raises VerifyError 271 if it is gone."""
        node = self._blob("SELECT hash FROM log_node WHERE level = ? AND place = ?", level, place)
        if node is None:
            raise VerifyError(271, f"the ledger log has lost a node of level {level}")
        return node

    def entry(self, place: int) -> bytes:
        """An entry of the ledger log. Raises VerifyError 210 outside it."""
        data = self._blob("SELECT data FROM entry WHERE place = ?", place)
        if data is None:
            raise VerifyError(210, "index outside the ledger log")
        return data

    def entries(self, low: int, high: int) -> list[bytes]:
        """Entries low ≤ i < high."""
        rows = self._all("SELECT data FROM entry WHERE place >= ? AND place < ? ORDER BY place", low, high)
        return [_bytes(data) for (data,) in rows]

    def block(self, height: int) -> bytes | None:
        """Bytes of a block."""
        return self._blob("SELECT data FROM block WHERE height = ?", height)

    def blocks(self) -> Iterator[bytes]:
        """Every block's bytes in order, one in memory at a time."""
        height = 0
        while (row := self._row("SELECT height, data FROM block WHERE height > ? ORDER BY height LIMIT 1", height)) is not None:
            height, data = row
            yield _bytes(data)

    def rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Whole tables, for fsck."""
        try:
            yield from self._conn.execute(query)
        except SQLITE_ERRORS as error:
            raise typed(error) from error

    def receipt(self, identity: bytes) -> Receipt | None:
        """The receipt of a transaction: the one that used up its nonce, if there is one."""
        sql = "SELECT data FROM receipt JOIN entry USING (place) WHERE identity = ? ORDER BY final DESC, place LIMIT 1"
        data = self._blob(sql, identity)
        try:
            return None if data is None else decode_receipt(data)
        except DecodeError as error:
            raise VerifyError(271, f"the ledger log holds a broken receipt: {error.text}") from error

    def consistency_path(self, size1: int, size2: int) -> list[bytes]:
        """Proof that the ledger log of size2 extends that of size1."""
        return merkle.stored_consistency_path(size1, size2, self.log_node)
