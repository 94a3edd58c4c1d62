"""Derived tables: compared with what follows from the log, and replaced by it.

In: the live database and a fresh one that was built from tiles, rows and blocks. Out: differences, or the live tables made equal. Never
repairs while the log moves.
"""

import aiosqlite

from shared.errors import VerifyError

from .derive import DERIVED_TABLES
from .rows import EvidenceStore

_STORED = ("names", "logged", "chains", "lost", "findings")  # of the first two the view `statements` is made


async def compare_derived(live: aiosqlite.Connection, fresh: aiosqlite.Connection) -> list[str]:
    """One line for each derived table that is not what follows from the log."""
    found = []
    for table in DERIVED_TABLES:
        query = f"SELECT * FROM {table}"  # noqa: S608
        stored = {tuple(row) for row in await live.execute_fetchall(query)}
        rebuilt = {tuple(row) for row in await fresh.execute_fetchall(query)}
        if stored != rebuilt:
            found.append(f"table {table}: {len(rebuilt - stored)} rows missing or changed, {len(stored - rebuilt)} that do not follow")
    return found


async def replace_derived(store: EvidenceStore, fresh: aiosqlite.Connection, size: int) -> None:
    """Puts the rebuilt tables in place of the stored ones, all or nothing. Raises VerifyError 270 if the log moved meanwhile."""
    content = {table: [tuple(row) for row in await fresh.execute_fetchall(f"SELECT * FROM {table}")] for table in _STORED}  # noqa: S608

    async def work(conn: aiosqlite.Connection) -> None:
        for (now,) in await conn.execute_fetchall("SELECT size FROM head"):
            if now != size:
                raise VerifyError(270, "the log moved: stop the backend before a repair")
        for table, rows in content.items():
            await conn.execute(f"DELETE FROM {table}")  # noqa: S608
            if rows:
                marks = ", ".join("?" * len(rows[0]))
                await conn.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)  # noqa: S608

    await store.writer.run(work)
