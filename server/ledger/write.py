"""Writes to a ledger's file: one block, or a whole set of derived rows, in one transaction.

In: staged blocks. Out: jobs for a store's Writer. Never writes half a block, never onto another block than the one it was made for.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiosqlite

from shared.errors import Unavailable

from ..failpoints import reach
from . import tree
from .core import Staged, tree_leaves
from .file import SQLITE_ERRORS, LedgerReader, typed
from .lists import LISTED_KINDS, Listed, list_changes

MIGRATIONS = Path(__file__).parent / "migrations"
TO_DO, LISTS, TREE_PAGES = b"", b"\x00", b"\x01"  # a list that migrations write into: what is to be made from the state
_MOVE_HEAD = """UPDATE head SET height = ?, time_s = ?, app_hash = ?, log_size = ?, state_root = ?, checkpoint = ?
                WHERE height = ? AND app_hash = ?"""


def writing(staged: Staged, checkpoint: bytes | None, genesis: bytes) -> Callable[[aiosqlite.Connection], Any]:
    """The job that writes one staged block (or, at height 0, the genesis state) for a store Writer."""

    async def write(conn: aiosqlite.Connection) -> None:
        try:
            await _write_rows(conn, staged, checkpoint, genesis)
        except SQLITE_ERRORS as error:
            raise typed(error) from error
        reach("ledger-before-commit")

    return write


async def _write_rows(conn: aiosqlite.Connection, staged: Staged, checkpoint: bytes | None, genesis: bytes) -> None:
    await _move_head(conn, staged, checkpoint, genesis)
    first = staged.before.log_size
    if staged.block is not None:
        await conn.execute("INSERT INTO block VALUES (?, ?)", (staged.head.height, staged.block))
    await conn.executemany("INSERT INTO entry VALUES (?, ?)", list(enumerate(staged.entries, first)))
    await conn.executemany("INSERT INTO log_node VALUES (?, ?, ?)", staged.log_nodes)
    receipts = [(outcome.receipt.identity, place, outcome.final) for place, outcome in enumerate(staged.outcomes, first)]
    await conn.executemany("INSERT INTO receipt VALUES (?, ?, ?)", receipts)
    await conn.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", sorted(staged.values.items()))
    await conn.executemany("INSERT OR REPLACE INTO tree_page VALUES (?, ?)", sorted(staged.tree_pages.items()))
    await _write_lists(conn, staged.listed)


async def _write_lists(conn: aiosqlite.Connection, listed: Listed) -> None:
    for there, query in ((True, "INSERT OR IGNORE INTO listed VALUES (?, ?)"), (False, "DELETE FROM listed WHERE list = ? AND member = ?")):
        if rows := sorted(at for at, now in listed.items() if now is there):
            await conn.executemany(query, rows)


def upgrading(reader: LedgerReader) -> Callable[[aiosqlite.Connection], Any] | None:
    """The job that gives a file of an earlier schema its lists and the pages of its tree, both from its state; None if it has them."""
    due = reader.members(TO_DO)
    if not due:
        return None

    async def write(conn: aiosqlite.Connection) -> None:
        if LISTS in due:
            for prefix in LISTED_KINDS:
                for part in _parts(reader, prefix):
                    await _write_lists(conn, list_changes(part))
        if TREE_PAGES in due:
            pages: dict[bytes, bytes] = {}
            for part in _parts(reader, b""):
                pages |= tree.update(pages.get, tree_leaves(part))[1]
            await conn.executemany("INSERT OR REPLACE INTO tree_page VALUES (?, ?)", pages.items())
        await conn.execute("DELETE FROM listed WHERE list = ?", (TO_DO,))

    return write


def _parts(reader: LedgerReader, prefix: bytes) -> Iterator[dict[bytes, bytes]]:
    """All values of keys that start so."""
    after = b""
    while rows := reader.page(prefix, after):
        after = rows[-1][0]
        yield dict(rows)


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
