"""The ledger's derived tables: everything in its file but the blocks, the genesis and the signed checkpoint.

In: a ledger replayed from its blocks, the file. Out: what differs; a job that puts the replayed rows in place. Never writes unless the file
still is the one that was compared.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import aiosqlite

from shared.errors import MeterproofError, VerifyError

from .core import Head
from .file import SQLITE_ERRORS, LedgerReader, typed
from .replay import MemoryStore

Row = tuple[Any, ...]
HEAD = "head"
_SET_HEAD = "UPDATE head SET height = ?, time_s = ?, app_hash = ?, log_size = ?, state_root = ?"


@dataclass(frozen=True, slots=True)
class Table:
    """`content` of a replayed ledger, `rows` of it as they are stored, `holds`: whether a stored row is one of them."""

    columns: str
    content: Callable[[MemoryStore], Collection[Any]]
    rows: Callable[[MemoryStore], Iterable[Row]]
    holds: Callable[[MemoryStore, Row], bool]


def _has_entry(store: MemoryStore, row: Row) -> bool:
    place, data = row
    return isinstance(place, int) and 0 <= place < len(store.entries) and store.entries[place] == data


TABLES = {
    "state": Table("key, value", lambda s: s.values, lambda s: s.values.items(), lambda s, row: s.values.get(row[0]) == row[1]),
    "tree_page": Table(
        "place, cells", lambda s: s.tree_pages, lambda s: s.tree_pages.items(), lambda s, row: s.tree_pages.get(row[0]) == row[1]
    ),
    "entry": Table("place, data", lambda s: s.entries, lambda s: enumerate(s.entries), _has_entry),
    "receipt": Table(
        "identity, place, final",
        lambda s: s.receipts,
        lambda s: ((*at, final) for at, final in s.receipts.items()),
        lambda s, row: s.receipts.get(row[:2]) == row[2],
    ),
    "log_node": Table(
        "level, place, hash",
        lambda s: s.nodes,
        lambda s: ((*at, node) for at, node in s.nodes.items()),
        lambda s, row: s.nodes.get(row[:2]) == row[2],
    ),
    "listed": Table("list, member", lambda s: s.listed, lambda s: s.listed, lambda s, row: row in s.listed),
}


def differences(store: MemoryStore, head: Head, reader: LedgerReader) -> dict[str, str]:
    """Table → in what it is not the replayed one. The rows are read one by one: a ledger is large."""
    found = {}
    try:
        if reader.head() != head:
            found[HEAD] = f"head: it is not that of the blocks, which end at height {head.height}"
    except MeterproofError as error:
        found[HEAD] = f"head: {error.text}"
    for name, table in TABLES.items():
        try:
            text = _difference(store, table, reader.rows(f"SELECT {table.columns} FROM {name}"))  # noqa: S608
        except MeterproofError as error:
            text = error.text
        if text:
            found[name] = f"table {name}: {text}"
    return found


def _difference(store: MemoryStore, table: Table, rows: Iterator[Row]) -> str:
    stored = right = 0
    for row in rows:
        stored += 1
        right += table.holds(store, row)
    missing, extra = len(table.content(store)) - right, stored - right
    return f"{missing} rows missing or changed, {extra} that do not follow from the blocks" if missing or extra else ""


def rewriting(
    store: MemoryStore, head: Head, names: Iterable[str], expected: Sequence[bytes | None]
) -> Callable[[aiosqlite.Connection], Any]:
    """The job that makes these tables the replayed ones; `expected`: genesis and checkpoint that the replay was compared with."""

    async def write(conn: aiosqlite.Connection) -> None:
        try:
            if [tuple(row) for row in await conn.execute_fetchall("SELECT genesis, checkpoint FROM head")] != [tuple(expected)]:
                raise VerifyError(271, "the ledger moved: stop the backend before a repair")
            for name in names:
                await _rewrite(conn, name, store, head)
        except SQLITE_ERRORS as error:
            raise typed(error) from error

    return write


async def _rewrite(conn: aiosqlite.Connection, name: str, store: MemoryStore, head: Head) -> None:
    if name == HEAD:
        await conn.execute(_SET_HEAD, (head.height, head.time_s, head.app_hash, head.log_size, head.state_root))
        return
    table = TABLES[name]
    marks = ", ".join("?" for _ in table.columns.split(", "))
    await conn.execute(f"DELETE FROM {name}")  # noqa: S608
    await conn.executemany(f"INSERT INTO {name} ({table.columns}) VALUES ({marks})", table.rows(store))  # noqa: S608
