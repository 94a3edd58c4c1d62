"""The SQLite stores: migrations, one writer, group commit, nothing half done."""

import asyncio
import sqlite3
from pathlib import Path

import aiosqlite
import pytest

from server.store.sqlite import INSERT_ROWS, Writer, fetch, insert, open_database, open_reader, read_migrations, read_only, user_version
from shared.errors import RuleError, Unavailable

FIRST = "CREATE TABLE item (name TEXT PRIMARY KEY, size INTEGER NOT NULL);"


def migrations(tmp_path: Path, *steps: str) -> Path:
    folder = tmp_path / "migrations"
    folder.mkdir(exist_ok=True)
    for number, step in enumerate(steps, 1):
        (folder / f"{number:03}_step.sql").write_text(step)
    return folder


async def add(conn: aiosqlite.Connection, name: str, size: int | None = 1) -> str:
    await conn.execute("INSERT INTO item VALUES (?, ?)", (name, size))
    return name.upper()


def names(path: Path) -> list[str]:
    with sqlite3.connect(path) as conn:
        found = [name for (name,) in conn.execute("SELECT name FROM item ORDER BY name")]
    conn.close()
    return found


def with_writer(tmp_path: Path, scenario, **limits: int) -> Path:
    """Runs a scenario(conn, writer) on a new database and gives its path."""
    path = tmp_path / "store.sqlite"

    async def run() -> None:
        conn = await open_database(path, migrations(tmp_path, FIRST))
        try:
            async with Writer(conn, **limits) as writer:
                await scenario(conn, writer)
        finally:
            await conn.close()

    asyncio.run(run())
    return path


async def reopen(path: Path, folder: Path) -> int:
    conn = await open_database(path, folder)
    try:
        return await user_version(conn)
    finally:
        await conn.close()


# --- opening


def test_a_database_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        for pragma, expected in (("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)):
            async with conn.execute("PRAGMA " + pragma) as cursor:
                assert (await cursor.fetchone())[0] == expected

    with_writer(tmp_path, scenario)


def test_migrations_run_once_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    assert asyncio.run(reopen(path, migrations(tmp_path, FIRST))) == 1
    assert asyncio.run(reopen(path, migrations(tmp_path, FIRST))) == 1
    assert asyncio.run(reopen(path, migrations(tmp_path, FIRST, "INSERT INTO item VALUES ('x', 1);"))) == 2
    assert names(path) == ["x"]


def test_a_failing_migration_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    with pytest.raises(Unavailable) as caught:
        asyncio.run(reopen(path, migrations(tmp_path, FIRST, "CREATE TABLE other (a); CREATE TABLE item (a);")))
    assert caught.value.code == 400
    assert asyncio.run(reopen(path, migrations(tmp_path, FIRST, "CREATE TABLE other (a);"))) == 2


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.sqlite"
    asyncio.run(reopen(path, migrations(tmp_path, FIRST, "CREATE TABLE other (a);")))
    (tmp_path / "migrations" / "002_step.sql").unlink()
    with pytest.raises(Unavailable):
        asyncio.run(reopen(path, tmp_path / "migrations"))


def test_a_hole_in_the_numbers_is_our_mistake(tmp_path: Path) -> None:
    folder = migrations(tmp_path, FIRST)
    (folder / "003_late.sql").write_text("")
    (folder / "notes.sql").write_text("ignored")
    with pytest.raises(ValueError, match="002"):
        read_migrations(folder)


def test_what_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        asyncio.run(reopen(tmp_path / "no" / "store.sqlite", migrations(tmp_path, FIRST)))
    with pytest.raises(Unavailable):
        read_only(tmp_path / "none.sqlite")


# --- writing


def test_a_job_gives_its_result_once_it_is_durable(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        assert await writer.run(lambda conn: add(conn, "a")) == "A"
        assert names(tmp_path / "store.sqlite") == ["a"]

    with_writer(tmp_path, scenario)


def test_waiting_jobs_share_a_commit_and_fail_alone(tmp_path: Path) -> None:
    commits: list[str] = []

    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        await conn.set_trace_callback(lambda sql: commits.append(sql) if sql == "COMMIT" else None)

        async def refuse(conn: aiosqlite.Connection) -> None:
            await add(conn, "half")
            raise RuleError(306, "no")

        jobs = [lambda conn, n=n: add(conn, f"job {n}") for n in range(5)]
        jobs[2:2] = [refuse, lambda conn: add(conn, "job 0")]
        results = await asyncio.gather(*(writer.run(job) for job in jobs), return_exceptions=True)
        assert [str(r) for r in results if isinstance(r, str)] == [f"JOB {n}" for n in range(5)]
        assert isinstance(results[2], RuleError) and isinstance(results[3], sqlite3.IntegrityError)

    path = with_writer(tmp_path, scenario)
    assert names(path) == [f"job {n}" for n in range(5)]
    assert len(commits) == 1


def test_storage_errors_are_unavailable_and_the_writer_goes_on(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        with pytest.raises(Unavailable) as caught:
            await writer.run(lambda conn: conn.execute("INSERT INTO nowhere VALUES (1)"))
        assert caught.value.code == 400
        await writer.run(lambda conn: add(conn, "after"))

    assert names(with_writer(tmp_path, scenario)) == ["after"]


def test_a_full_disk_loses_the_group_and_no_more(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        await writer.run(lambda conn: add(conn, "before"))
        async with conn.execute("PRAGMA page_count") as cursor:
            (pages,) = await cursor.fetchone()
        await conn.execute(f"PRAGMA max_page_count = {pages}")
        big = "x" * 100_000
        results = await asyncio.gather(
            writer.run(lambda conn: add(conn, "small")), writer.run(lambda conn: add(conn, big)), return_exceptions=True
        )
        assert isinstance(results[1], Unavailable)
        await conn.execute("PRAGMA max_page_count = 100000")
        stored = names(tmp_path / "store.sqlite")
        assert ("small" in stored) == (results[0] == "SMALL")
        await writer.run(lambda conn: add(conn, "after"))
        assert "after" in names(tmp_path / "store.sqlite")

    with_writer(tmp_path, scenario)


def test_a_commit_that_fails_answers_nobody_with_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        execute = conn.execute

        def failing(sql: str, *args: object):
            if sql == "COMMIT":
                return execute("INSERT INTO nowhere VALUES (1)")
            return execute(sql, *args)

        monkeypatch.setattr(conn, "execute", failing)
        results = await asyncio.gather(*(writer.run(lambda conn, n=n: add(conn, n)) for n in "ab"), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable, Unavailable]
        monkeypatch.undo()
        await writer.run(lambda conn: add(conn, "c"))

    assert names(with_writer(tmp_path, scenario)) == ["c"]


def test_a_reader_sees_only_what_is_committed(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        reader, plain = await open_reader(tmp_path / "store.sqlite"), read_only(tmp_path / "store.sqlite")

        async def look(conn: aiosqlite.Connection) -> None:
            await add(conn, "a")
            async with reader.execute("SELECT count(*) FROM item") as cursor:
                assert await cursor.fetchone() == (0,)
            assert plain.execute("SELECT count(*) FROM item").fetchone() == (0,)

        await writer.run(look)
        assert plain.execute("SELECT count(*) FROM item").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError):
            plain.execute("DELETE FROM item")
        plain.close()
        await reader.close()

    with_writer(tmp_path, scenario)


def test_the_queue_has_an_end(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        jobs = [asyncio.create_task(writer.run(lambda conn, n=n: add(conn, str(n)))) for n in range(5)]
        results = await asyncio.gather(*jobs, return_exceptions=True)
        refused = [result for result in results if isinstance(result, Unavailable)]
        assert len(refused) == 3 and {error.code for error in refused} == {420}

    assert len(names(with_writer(tmp_path, scenario, queue_max=2))) == 2


def test_a_caller_that_left_before_its_turn_gets_nothing_written(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        task = asyncio.create_task(writer.run(lambda conn: add(conn, "left")))
        other = asyncio.create_task(writer.run(lambda conn: add(conn, "stayed")))
        await asyncio.sleep(0)
        task.cancel()
        assert await other == "STAYED"

    assert names(with_writer(tmp_path, scenario)) == ["stayed"]


def test_closing_finishes_what_waits_and_takes_no_more(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        tasks = [asyncio.create_task(writer.run(lambda conn, n=n: add(conn, str(n)))) for n in range(3)]
        await asyncio.sleep(0)
        await writer.close()
        assert await asyncio.gather(*tasks) == ["0", "1", "2"]
        with pytest.raises(Unavailable):
            await writer.run(lambda conn: add(conn, "late"))

    assert names(with_writer(tmp_path, scenario)) == ["0", "1", "2"]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("database disk image is malformed")])
@pytest.mark.parametrize("at", ["BEGIN IMMEDIATE", "SAVEPOINT job", "RELEASE job", "COMMIT", "ROLLBACK"])
def test_the_writer_outlives_a_disk_that_fails_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, error: Exception) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        execute = conn.execute

        def failing(sql: str, *args: object) -> object:
            if sql == at or (at == "ROLLBACK" and sql == "COMMIT"):
                raise error
            return execute(sql, *args)

        monkeypatch.setattr(conn, "execute", failing)
        for _ in range(2):
            results = await asyncio.gather(*(writer.run(lambda conn, n=n: add(conn, n)) for n in "ab"), return_exceptions=True)
            assert [(type(result), result.code) for result in results] == [(Unavailable, 400)] * 2
        monkeypatch.undo()
        await writer.run(lambda conn: add(conn, "c"))

    assert names(with_writer(tmp_path, scenario)) == ["c"]


@pytest.mark.parametrize("count", [0, 1, INSERT_ROWS - 1, INSERT_ROWS, INSERT_ROWS + 1, 3 * INSERT_ROWS])
def test_many_rows_go_in_with_few_statements_or_not_at_all(tmp_path: Path, count: int) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        rows = [(f"{i:04}", i) for i in range(count)]
        await writer.run(lambda conn: insert(conn, "item", rows))
        with pytest.raises(sqlite3.IntegrityError):
            await writer.run(lambda conn: insert(conn, "item", [*((f"x{i}", i) for i in range(count)), ("twice", 1), ("twice", 2)]))

    assert names(with_writer(tmp_path, scenario)) == [f"{i:04}" for i in range(count)]


def test_reading_a_damaged_store_is_unavailable_and_our_own_mistakes_are_not(tmp_path: Path) -> None:
    async def scenario(conn: aiosqlite.Connection, writer: Writer) -> None:
        await writer.run(lambda conn: add(conn, "a"))
        assert list(await fetch(conn, "SELECT name FROM item WHERE size = ?", [1])) == [("a",)]
        with pytest.raises(Unavailable, match="400"):
            await fetch(conn, "SELECT 1 FROM nowhere")
        with pytest.raises(sqlite3.ProgrammingError):
            await fetch(conn, "SELECT name FROM item WHERE size = ?", [])

    with_writer(tmp_path, scenario)
    path = tmp_path / "damaged.sqlite"
    path.write_bytes(b"no database, but long enough to be taken for one" * 100)

    async def damaged() -> None:
        reader = await open_reader(path)
        try:
            await fetch(reader, "SELECT 1 FROM item")
        finally:
            await reader.close()

    with pytest.raises(Unavailable, match="400"):
        asyncio.run(damaged())
