"""Whatever is wrong with the ledger's file or its disk: a typed error for the caller; the loop goes on or ends with one, never silently."""

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from server.ledger import values
from server.ledger.engines import embedded
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.file import LedgerReader
from shared import cbor, state
from shared.errors import MeterproofError, Unavailable, VerifyError
from tests.ledger.crash_child import commit_points, point
from tests.ledger.test_crash import check_file
from tests.ledger.world import ADMIN, CHAIN, GENESIS, NODE, ORG, ORIGIN, TIME_S, VALIDATORS, build_tx

COUNT = 3
FILE = "ledger.sqlite"
Scenario = Callable[[EmbeddedLedger], Awaitable[None]]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("sound")
    asyncio.run(commit_points(str(home), COUNT))
    return home


@pytest.fixture
def home(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "home"))


def change(home: Path, *queries: str) -> None:
    with contextlib.closing(sqlite3.connect(home / FILE)) as conn, conn:
        for query in queries:
            assert conn.execute(query).rowcount >= 1


async def play(home: Path, scenario: Scenario) -> None:
    """A ledger with its loop beside a scenario. The error of either, not in a group."""
    ledger = await EmbeddedLedger.open(home, GENESIS, NODE, now_s=lambda: TIME_S)
    running = asyncio.create_task(ledger.run())
    try:
        await scenario(ledger)
    finally:
        await ledger.close()
        try:
            await running
        except* MeterproofError:
            pass


async def use(ledger: EmbeddedLedger) -> None:
    """Everything that can be asked of a ledger; each question may be refused, by an error of ours."""
    keys = [state.key_key(ADMIN.kid), state.PARAMS_KEY, b"\x00"]
    questions: list[Callable[[], Any]] = [
        lambda: ledger.key(ADMIN.kid),
        lambda: ledger.log(ORIGIN),
        lambda: ledger.org(ORG),
        lambda: ledger.batch(ORIGIN, 0),
        lambda: ledger.device(b"\x01" * 17),
        lambda: ledger.next_nonce(ADMIN.kid),
        lambda: ledger.validators(),
        lambda: ledger.page("point"),
        lambda: ledger.votes_due(ORIGIN, VALIDATORS["v1"].kid),
        lambda: ledger.receipt(bytes(32)),
        lambda: ledger.entry(1),
        lambda: ledger.checkpoint(),
        lambda: ledger.consistency_path(1, 3),
        lambda: ledger.prove(keys),
        lambda: list(ledger.blocks()),
    ]
    for ask in questions:
        with contextlib.suppress(MeterproofError):
            ask()
    with contextlib.suppress(MeterproofError):
        await ledger.submit(point(COUNT))


@pytest.mark.parametrize("part", range(8))
def test_overwritten_anywhere_only_typed_errors_come_out(sound: Path, tmp_path: Path, part: int) -> None:
    data = (sound / FILE).read_bytes()
    step = 1009  # a prime: places inside a page differ
    for number, at in enumerate(range(part * step, len(data), 8 * step)):
        home = tmp_path / str(number)
        shutil.copytree(sound, home)
        (home / FILE).write_bytes(data[:at] + b"\xa5" * 40 + data[at + 40 :])
        with contextlib.suppress(MeterproofError):
            asyncio.run(play(home, use))


@pytest.mark.parametrize("data", [b"", b"not a database, but a text of some length" * 40, b"SQLite format 3\x00" + bytes(4080)])
def test_another_file_in_its_place(home: Path, data: bytes) -> None:
    for name in (FILE, FILE + "-wal", FILE + "-shm"):
        (home / name).unlink(missing_ok=True)
    (home / FILE).write_bytes(data)
    with pytest.raises(MeterproofError):  # an empty file is a new ledger, but more than that is published
        asyncio.run(play(home, use))


@pytest.mark.parametrize(
    "query",
    [
        "UPDATE head SET height = 'three'",
        "UPDATE head SET state_root = 5",
        "UPDATE head SET log_size = 1",
        "UPDATE head SET app_hash = zeroblob(32)",
        "UPDATE state SET value = 'text'",
        "UPDATE tree_page SET cells = 7 WHERE place = x'0000'",
        "DELETE FROM log_node WHERE level = 1",
        "DELETE FROM state WHERE key = x'81" + cbor.encode("params").hex() + "'",
    ],
)
def test_damage_that_is_seen_at_the_start(home: Path, query: str) -> None:
    change(home, query)
    with pytest.raises(VerifyError, match=r"271|242"):
        asyncio.run(play(home, use))


def test_reads_of_broken_rows_are_271(home: Path) -> None:
    change(
        home,
        "UPDATE block SET data = 'text' WHERE height = 2",
        "UPDATE entry SET data = x'00' WHERE place = 0",
        "UPDATE entry SET data = 9 WHERE place = 2",
    )
    reader = LedgerReader(home / FILE)
    ((first,),) = list(reader.rows("SELECT identity FROM receipt WHERE place = 0"))
    for read in (
        lambda: list(reader.blocks()),
        lambda: reader.receipt(first),
        lambda: reader.entry(2),
        lambda: reader.entries(0, 5),
    ):
        with pytest.raises(VerifyError, match="271"):
            read()
    reader.close()
    with pytest.raises(Unavailable, match="400"):
        reader.head()
    with pytest.raises(Unavailable, match="400"):
        list(reader.rows("SELECT 1"))


class Fails:
    """A connection that raises `error` at the nth write; `kept`: after having done it."""

    def __init__(self, conn: Any, begins: str, error: Exception, kept: bool) -> None:
        self._conn, self._begins, self._error, self._kept = conn, begins, error, kept
        self.left = 1

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._conn, name)
        if name not in ("execute", "executemany"):
            return real

        async def write(sql: str, *args: Any) -> Any:
            if sql.startswith(self._begins) and self.left:
                self.left -= 1
                if self._kept:
                    await real(sql, *args)
                raise self._error
            return await real(sql, *args)

        return write


ERRORS = [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("database disk image is malformed")]


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("begins", ["BEGIN", "COMMIT"])
def test_a_failed_transaction_is_told_and_the_next_one_works(home: Path, begins: str, error: Exception) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        ledger._writer._conn = Fails(ledger._conn, begins, error, kept=False)
        with pytest.raises(Unavailable):
            await ledger.submit(point(COUNT))
        assert ledger.height == COUNT and ledger._reader.head() == ledger._core.head
        assert (await ledger.submit(point(COUNT))).height == COUNT + 1

    asyncio.run(play(home, scenario))
    check_file(home)


@pytest.mark.parametrize("error", ERRORS)
def test_a_commit_that_is_reported_failed_but_was_kept_is_a_commit(home: Path, error: Exception) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        ledger._writer._conn = Fails(ledger._conn, "COMMIT", error, kept=True)
        receipt = await ledger.submit(point(COUNT))
        assert (receipt.height, ledger.height) == (COUNT + 1, COUNT + 1) and ledger.receipt(receipt.identity) == receipt
        assert (await ledger.submit(point(COUNT + 1))).height == COUNT + 2

    asyncio.run(play(home, scenario))
    check_file(home)


def test_as_long_as_nobody_can_tell_nothing_is_built_on_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        real, readable = ledger._reader.head, [False, False]

        def head() -> Any:
            if readable and not readable.pop():
                raise Unavailable(400, "disk I/O error")
            return real()

        monkeypatch.setattr(ledger._reader, "head", head)
        ledger._writer._conn = Fails(ledger._conn, "COMMIT", ERRORS[0], kept=True)
        for _ in range(2):
            with pytest.raises(Unavailable):
                await ledger.submit(build_tx(ADMIN, CHAIN, ORG, ledger.next_nonce(ADMIN.kid), "point.create", {1: "x", 2: None, 3: "UTC"}))
            assert ledger.height == COUNT
        with pytest.raises(MeterproofError, match="300"):
            await ledger.submit(point(COUNT))
        assert (await ledger.submit(point(COUNT + 1))).height == COUNT + 2

    asyncio.run(play(home, scenario))
    check_file(home)


def test_a_contradiction_in_the_tables_ends_the_ledger_loudly(home: Path) -> None:
    with contextlib.closing(sqlite3.connect(home / FILE)) as conn, conn:
        conn.execute("INSERT INTO block VALUES (?, x'00')", (COUNT + 1,))

    async def main() -> None:
        ledger = await EmbeddedLedger.open(home, GENESIS, NODE, now_s=lambda: TIME_S)
        running = asyncio.create_task(ledger.run())
        with pytest.raises(Unavailable):
            await ledger.submit(point(COUNT))
        with pytest.raises(ExceptionGroup) as caught:
            await running
        (error,) = caught.value.exceptions
        assert isinstance(error, VerifyError) and error.code == 271
        with pytest.raises(Unavailable):
            await ledger.submit(point(COUNT))
        await ledger.close()

    asyncio.run(main())


def test_a_state_that_cannot_be_read_for_a_moment_refuses_one_block(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        real, errors = ledger._core.apply_block, iter([Unavailable(400, "disk I/O error")])

        def apply_block(*args: Any) -> Any:
            for error in errors:
                raise error
            return real(*args)

        monkeypatch.setattr(ledger._core, "apply_block", apply_block)
        with pytest.raises(Unavailable):
            await ledger.submit(point(COUNT))
        assert (await ledger.submit(point(COUNT))).height == COUNT + 1

    asyncio.run(play(home, scenario))


def test_a_publisher_that_cannot_read_tries_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PUBLISH_RETRY_S", 0.01)

    async def scenario(ledger: EmbeddedLedger) -> None:
        real, errors = ledger._reader.entries, iter([Unavailable(400, "disk I/O error")] * 2)

        def entries(low: int, high: int) -> list[bytes]:
            for error in errors:
                raise error
            return real(low, high)

        monkeypatch.setattr(ledger._reader, "entries", entries)
        await ledger.submit(point(COUNT))
        async with asyncio.timeout(5):
            while ledger.published_size < ledger.log_size:
                await asyncio.sleep(0.01)

    asyncio.run(play(home, scenario))


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xff\xfe"])
def test_a_damaged_published_checkpoint_is_published_anew(home: Path, data: bytes) -> None:
    path = home / "ledger-log" / "checkpoint"
    before = path.read_bytes()
    path.write_bytes(data)

    async def scenario(ledger: EmbeddedLedger) -> None:
        async with asyncio.timeout(5):
            while ledger.published_size < ledger.log_size:
                await asyncio.sleep(0.01)

    asyncio.run(play(home, scenario))
    assert path.read_bytes() == before


def test_a_folder_that_cannot_be_used_is_told(home: Path) -> None:
    shutil.rmtree(home / "ledger-log")
    (home / "ledger-log").write_bytes(b"a file")
    with pytest.raises(Unavailable, match="400"):
        asyncio.run(play(home, use))


WRONG = [None, True, -1, 1, "x", b"x", [], {}, [1], {1: 1}]


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("org", {1: "x", 2: 0}),
        ("key", {1: b"o", 2: b"k", 3: ["admin"], 4: "x", 5: 0, 6: None}),
        ("point", {1: b"o", 2: "x", 3: None, 4: "UTC", 5: 1}),
        ("firmware", {1: b"o", 2: "x", 3: "1", 4: 1, 5: None}),
        ("log", {1: b"o", 2: b"k", 3: 0, 4: b"r", 5: 0}),
        ("nonce", 3),
        ("validators", [[b"k" * 16, 1]]),
    ],
)
def test_every_field_of_another_type_is_corruption(name: str, good: Any) -> None:
    decode = getattr(values, "decode_" + name)
    decode(cbor.encode(good))
    fields = list(good) if isinstance(good, dict) else [None]
    for field in fields:
        for wrong in WRONG:
            if field is not None and type(wrong) is type(good[field]) or field is None and type(wrong) is type(good):
                continue
            if field is not None and isinstance(good[field], type(None)) and type(wrong) in (int, bytes):
                continue  # a height or a parent instead of none
            changed = wrong if field is None else {**good, field: wrong}
            with pytest.raises(VerifyError, match="271"):
                decode(cbor.encode(changed))
