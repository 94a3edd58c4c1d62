"""SQLite as the backend uses it: WAL, full sync, numbered migrations, one writer task per store.

In: a path, a folder of NNN_name.sql files, jobs `async fn(conn)`. Out: connections; each job's result once it is durable.
Never commits half a job, never reports a result before its COMMIT, never opens a file that a newer version made.
"""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import Any, Self, TypeVar

import aiosqlite

from shared.errors import Unavailable

Result = TypeVar("Result")
Job = Callable[[aiosqlite.Connection], Awaitable[Any]]

BUSY_MS = 10_000
GROUP_MAX = 64
QUEUE_MAX = 4096
INSERT_ROWS = 64  # with twelve columns far below SQLite's limit of parameters
_MIGRATION = re.compile(r"([0-9]{3})_[a-z0-9_]+\.sql")


async def open_database(path: Path, migrations: Path) -> aiosqlite.Connection:
    """A read-write connection in autocommit mode, migrated to the newest schema. Raises Unavailable 400."""
    steps = read_migrations(migrations)
    conn = await _connect(str(path))
    try:
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"busy_timeout = {BUSY_MS}"):
            await conn.execute("PRAGMA " + pragma)
        await _migrate(conn, steps)
    except BaseException as error:
        await conn.close()  # its thread would keep the process alive
        if is_storage_error(error):
            raise Unavailable(400, f"cannot open {path.name}: {error}") from error
        raise
    return conn


async def open_reader(path: Path) -> aiosqlite.Connection:
    """A read-only connection: it sees only what is committed, also while the writer is inside a transaction."""
    conn = await _connect(f"{path.resolve().as_uri()}?mode=ro")
    await conn.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return conn


def read_only(path: Path) -> sqlite3.Connection:
    """The same without asyncio, for point look-ups that take microseconds."""
    try:
        conn = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None, cached_statements=256)
    except sqlite3.Error as error:
        raise Unavailable(400, f"cannot open {path.name}: {error}") from error
    conn.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    return conn


async def _connect(target: str) -> aiosqlite.Connection:
    uri = target.startswith("file:")
    try:
        sqlite3.connect(target, uri=uri).close()  # aiosqlite leaves a thread behind when it cannot open the file
    except sqlite3.Error as error:
        raise Unavailable(400, f"cannot open the database: {error}") from error
    return await aiosqlite.connect(target, isolation_level=None, uri=uri)


def read_migrations(folder: Path) -> list[str]:
    """SQL of the migrations in order: 001, 002, … without a hole. Raises ValueError for a hole: our own mistake."""
    names = sorted(entry.name for entry in folder.iterdir() if _MIGRATION.fullmatch(entry.name))
    for number, name in enumerate(names, 1):
        if int(name[:3]) != number:
            raise ValueError(f"migration {number:03} is missing or twice")
    return [(folder / name).read_text(encoding="utf-8") for name in names]


async def _migrate(conn: aiosqlite.Connection, steps: list[str]) -> None:
    try:
        version = await user_version(conn)
        if version > len(steps):
            raise Unavailable(400, f"the database has schema {version}, this program knows {len(steps)}")
        for number in range(version, len(steps)):
            await conn.executescript(f"BEGIN IMMEDIATE;\n{steps[number]}\n;PRAGMA user_version = {number + 1};\nCOMMIT;")
    except sqlite3.OperationalError as error:
        raise Unavailable(400, f"cannot migrate the database: {error}") from error


async def user_version(conn: aiosqlite.Connection) -> int:
    """Number of migrations already applied."""
    async with conn.execute("PRAGMA user_version") as cursor:
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


def is_storage_error(error: BaseException) -> bool:
    """Whether the store is at fault (full, locked, damaged), not the statement or its values."""
    ours = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.DataError, sqlite3.NotSupportedError)
    quotes_damage = isinstance(error, UnicodeDecodeError)  # SQLite's message may quote the text of a damaged schema
    return quotes_damage or (isinstance(error, sqlite3.DatabaseError) and not isinstance(error, ours))


async def fetch(conn: aiosqlite.Connection, query: str, values: Iterable[Any] = ()) -> list[Sequence[Any]]:
    """All rows of a query. Raises Unavailable 400 when the store cannot be read."""
    try:
        return list(await conn.execute_fetchall(query, tuple(values)))
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise _unavailable(error) if is_storage_error(error) else error from None


async def insert(conn: aiosqlite.Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    """Whole rows into a table, many in one statement: each statement is a change of threads."""
    if not rows:
        return
    row = "(" + ", ".join("?" * len(rows[0])) + ")"
    for start in range(0, len(rows), INSERT_ROWS):
        part = rows[start : start + INSERT_ROWS]
        await conn.execute(f"INSERT INTO {table} VALUES {', '.join([row] * len(part))}", tuple(chain.from_iterable(part)))  # noqa: S608


class Writer:
    """The one task that writes to a store; jobs that wait together share one COMMIT, each in its own savepoint.

    A job that raises undoes only itself and gets its exception. Storage errors become Unavailable 400, and the next group begins afresh:
    there may be room again.
    """

    def __init__(self, conn: aiosqlite.Connection, group_max: int = GROUP_MAX, queue_max: int = QUEUE_MAX) -> None:
        self._conn = conn
        self._group_max = group_max
        self._jobs: asyncio.Queue[tuple[Job, asyncio.Future[Any]] | None] = asyncio.Queue(queue_max)
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def run(self, work: Callable[[aiosqlite.Connection], Awaitable[Result]]) -> Result:
        """Result of `work(conn)` after its transaction is durable. Raises Unavailable 400, or 420 when too many wait."""
        if self._closed:
            raise Unavailable(400, "the store is closed")
        if self._jobs.full():
            raise Unavailable(420, "too many writes wait")
        if self._task is None:
            self._task = asyncio.create_task(self._work(), name="store-writer")
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._jobs.put_nowait((work, future))
        return await future

    async def close(self) -> None:
        """Finishes what waits, then ends the task; the connection stays open."""
        self._closed = True
        if self._task is not None:
            await self._jobs.put(None)
            await self._task
            self._task = None

    async def _work(self) -> None:
        group: list[tuple[Job, asyncio.Future[Any]]] = []
        try:
            while (first := await self._jobs.get()) is not None:
                group = [first]
                last = self._take_waiting(group)
                await self._commit_group(group)
                group = []
                if last:
                    return
        finally:
            self._closed = True
            while not self._jobs.empty():
                if (job := self._jobs.get_nowait()) is not None:
                    group.append(job)
            _refuse(group, Unavailable(400, "the store was closed"))

    def _take_waiting(self, group: list[tuple[Job, asyncio.Future[Any]]]) -> bool:
        """Adds the jobs that wait already; true when the end was asked for."""
        while len(group) < self._group_max and not self._jobs.empty():
            job = self._jobs.get_nowait()
            if job is None:
                return True
            group.append(job)
        return False

    async def _commit_group(self, group: list[tuple[Job, asyncio.Future[Any]]]) -> None:
        done: list[tuple[asyncio.Future[Any], Any]] = []
        try:
            if self._conn.in_transaction:  # an earlier ROLLBACK failed too
                await self._conn.execute("ROLLBACK")
            await self._conn.execute("BEGIN IMMEDIATE")
            for work, future in group:
                if not future.done():  # a caller that went away before its turn wants nothing written
                    await self._run_one(work, future, done)
            await self._conn.execute("COMMIT")
        except (sqlite3.Error, UnicodeDecodeError) as error:
            await self._roll_back()
            _refuse(group, _unavailable(error))
            return
        for future, result in done:
            if not future.done():
                future.set_result(result)

    async def _run_one(self, work: Job, future: asyncio.Future[Any], done: list[tuple[asyncio.Future[Any], Any]]) -> None:
        await self._conn.execute("SAVEPOINT job")
        task = asyncio.ensure_future(work(self._conn))
        await asyncio.wait({task})  # a task of its own: whatever it raises goes to its caller, not to this loop
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if error is None:
            await self._conn.execute("RELEASE job")
            done.append((future, task.result()))
            return
        if not self._conn.in_transaction:  # SQLite undid the whole transaction by itself (disk full, I/O)
            raise error if isinstance(error, (sqlite3.Error, UnicodeDecodeError)) else sqlite3.OperationalError("transaction lost")
        await self._conn.execute("ROLLBACK TO job")
        await self._conn.execute("RELEASE job")
        _refuse([(work, future)], _unavailable(error) if is_storage_error(error) else error)

    async def _roll_back(self) -> None:
        if self._conn.in_transaction:
            with suppress(sqlite3.Error, UnicodeDecodeError):
                await self._conn.execute("ROLLBACK")


def _unavailable(error: BaseException) -> Unavailable:
    refused = Unavailable(400, f"the store cannot do it now: {error}")
    refused.__cause__ = error
    return refused


def _refuse(group: list[tuple[Job, asyncio.Future[Any]]], error: BaseException) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
