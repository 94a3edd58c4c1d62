"""The trusted head and the rows of a log in SQL: the jobs of its commit order.

In: a connection inside the writer's transaction, heads, rows. Out: changed tables. Never moves a head that is not the one the caller knows.
"""

import time
from collections.abc import Sequence
from typing import Any

import aiosqlite

from server.failpoints import reach
from server.store.sqlite import insert
from shared.errors import VerifyError

from .derive import Derived, write_derived
from .rows import Head


async def swap_head(conn: aiosqlite.Connection, old: Head, new: Head, rows: Sequence[Sequence[Any]], derived: Derived) -> None:
    """The commit point: the only place where the head moves, and only from the head this process knows. `rows`: what came beside."""
    query = "UPDATE head SET size = ?, root = ?, checkpoint = ? WHERE origin = ? AND size = ? AND root = ?"
    cursor = await conn.execute(query, (new.size, new.root, new.checkpoint, old.origin, old.size, old.root))
    if cursor.rowcount != 1:
        raise VerifyError(270, "the head was moved by someone else")
    await conn.execute("INSERT INTO checkpoints VALUES (?, ?)", (new.size, time.time_ns() // 1_000_000))
    await insert(conn, "rows", rows)
    await write_derived(conn, derived)
    reach("head-before-commit")


async def begin_head(conn: aiosqlite.Connection, head: Head) -> None:
    """The first head of a new log."""
    await conn.execute("INSERT INTO head VALUES (1, ?, ?, ?, ?)", (head.origin, head.size, head.root, head.checkpoint))


async def cut_rows(conn: aiosqlite.Connection, size: int) -> None:
    """Forgets rows that the head never reached: an earlier version wrote them before it moved."""
    await conn.execute("DELETE FROM rows WHERE log_index >= ?", (size,))
