"""fsck: recounts what is there, finds every kind of damage, and repairs what can be rebuilt."""

import asyncio
import contextlib
import dataclasses
import shutil
import sqlite3
from pathlib import Path

import pytest

from server import fsck as fsck_module
from server.cli.tools import fsck_text
from server.evidence import rows as rows_module
from server.evidence.derive import DERIVED_TABLES
from server.evidence.fsck_report import Report, melt
from server.evidence.log import EvidenceLog
from server.evidence.rows import open_evidence_store
from server.fsck import fsck
from server.ledger import derived
from server.ledger.blocks import encode_block
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.file import LedgerReader
from server.ledger.replay import replay_blocks
from server.ledger.transactions import build_tx, decode_tx
from server.ledger.values import decode_key, decode_nonce
from server.ledger.write import MIGRATIONS as LEDGER_MIGRATIONS
from server.store.sqlite import open_database
from shared import ids, state
from shared.errors import Unavailable, VerifyError
from tests.evidence.backend import NODE
from tests.evidence.fleet import ORIGIN, Device
from tests.evidence.whole import ADMIN, CHAIN, genesis, open_whole


def check(home: Path, repair: bool = False) -> Report:
    return asyncio.run(fsck(home, repair))


def change(path: Path, query: str, *values: object) -> int:
    with contextlib.closing(sqlite3.connect(path)) as conn, conn:
        return conn.execute(query, values).rowcount


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two devices, a reordering, a gap, an equivocation, a late arrival of what was named lost, several batches."""

    async def story() -> None:
        meter, other, twin = Device("m1"), Device("m2"), Device("m2")
        twin.registers = [0, 0]
        async with open_whole(tmp_path, meter, other) as whole:
            a, b, c, d = (meter.readings(10) for _ in range(4))
            await whole.half.send(meter, a, d, c)
            await whole.anchor.anchor()
            await whole.half.send(meter, meter.gap((10, 10, b.identity, 1), (40, 5, None, 3)))
            meter.next_seq = 45
            meter.clock = 4
            await whole.half.send(meter, meter.readings(5), meter.time_repair())
            await whole.half.send(other, other.readings(8), twin.readings(8))
            await whole.anchor.anchor()

    asyncio.run(story())
    return tmp_path


def test_a_sound_home_is_counted_from_the_files(home: Path) -> None:
    report = check(home)
    assert report.ok, report.problems + report.derived_problems
    assert (report.statements, report.log_size, report.unanchored) == (8, 8, 0)
    assert (report.readings, report.gaps, report.lost, report.duplicates) == (51, 1, 15, 8)
    assert report.batches == 2 and report.blocks > 4
    meter = report.devices[ids.encode_id(ids.DEVICE, Device("m1").id)]
    assert meter == {"readings": 35, "lost": 15, "sequences": [[0, 10], [20, 20], [45, 5]], "missing": []}


def test_a_running_backend_can_be_checked(tmp_path: Path) -> None:
    async def story() -> Report:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings(4))
            await whole.anchor.anchor()
            await whole.half.send(meter, meter.readings(4))
            return await fsck(tmp_path)

    report = asyncio.run(story())
    assert report.ok and (report.log_size, report.unanchored, report.readings) == (2, 1, 8)


def files_of(home: Path, pattern: str) -> list[Path]:
    found = [path for path in home.glob(pattern) if path.is_file()]
    assert found
    return found


@pytest.mark.parametrize(
    "pattern",
    [
        "evidence-log/tile/entries/**/*",
        "evidence-log/tile/0/**/*",
        "evidence-log/checkpoint",
        "ledger-log/tile/**/*",
        "ledger-log/checkpoint",
    ],
)
def test_a_flipped_byte_in_a_file_is_found(home: Path, pattern: str) -> None:
    path = max(files_of(home, pattern), key=lambda path: (path.name.isdigit() and int(path.name), path.name))
    data = path.read_bytes()
    for at in (0, len(data) // 2, len(data) - 2):
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        assert check(home).problems, f"byte {at} of {path.name}"
    path.write_bytes(data)
    assert check(home).ok
    path.unlink()
    assert check(home).problems


@pytest.mark.parametrize(
    ("file", "query"),
    [
        ("evidence.sqlite", "UPDATE rows SET body = CAST(substr(body, 1, length(body) - 1) || x'01' AS BLOB) WHERE log_index = 1"),
        ("evidence.sqlite", "UPDATE rows SET salt = zeroblob(16) WHERE log_index = 1"),
        ("evidence.sqlite", "DELETE FROM rows WHERE log_index = 2"),
        ("evidence.sqlite", "DELETE FROM rows WHERE body IS NULL"),
        ("evidence.sqlite", "UPDATE channel_tables SET body = x'80'"),
        ("evidence.sqlite", "DELETE FROM channel_tables"),
        ("evidence.sqlite", "UPDATE head SET size = size - 1"),
        ("evidence.sqlite", "UPDATE head SET root = zeroblob(32)"),
        ("evidence.sqlite", "UPDATE head SET checkpoint = CAST(replace(CAST(checkpoint AS TEXT), '8', '7') AS BLOB)"),
        ("evidence.sqlite", "DELETE FROM head"),
        ("ledger.sqlite", "UPDATE block SET data = CAST(substr(data, 1, length(data) - 1) || x'01' AS BLOB) WHERE height = 3"),
        ("ledger.sqlite", "DELETE FROM block WHERE height = 2"),
        ("ledger.sqlite", "DELETE FROM block WHERE height = (SELECT max(height) FROM block)"),
        ("ledger.sqlite", "UPDATE head SET checkpoint = x'00'"),
        ("ledger.sqlite", "UPDATE head SET checkpoint = NULL"),
        ("ledger.sqlite", "UPDATE head SET checkpoint = 'text'"),
        ("ledger.sqlite", "UPDATE head SET genesis = CAST(genesis || x'00' AS BLOB)"),
        ("ledger.sqlite", "DELETE FROM head"),
        ("ledger.sqlite", "UPDATE block SET data = 'text' WHERE height = 2"),
        ("ledger.sqlite", "DELETE FROM block"),
    ],
)
def test_damage_in_a_store_is_found(home: Path, file: str, query: str) -> None:
    assert change(home / file, query) >= 1
    report = check(home)
    assert report.problems, query
    if report.derived_problems:
        with pytest.raises(VerifyError, match="not repaired"):
            check(home, repair=True)


LEDGER_DAMAGE = [
    ("head", "UPDATE head SET app_hash = zeroblob(32)"),
    ("head", "UPDATE head SET height = height + 1, log_size = 'many'"),
    ("head", "UPDATE head SET state_root = x''"),
    ("state", "UPDATE state SET value = x'00' WHERE key = (SELECT min(key) FROM state)"),
    ("state", "UPDATE state SET value = 'text' WHERE key = (SELECT max(key) FROM state)"),
    ("state", "DELETE FROM state"),
    ("tree_page", "DELETE FROM tree_page WHERE place = (SELECT max(place) FROM tree_page)"),
    ("tree_page", "INSERT INTO tree_page VALUES (x'0100ff', x'00')"),
    ("entry", "DELETE FROM entry WHERE place = 1"),
    ("entry", "UPDATE entry SET place = 1000 WHERE place = 1"),
    ("entry", "UPDATE entry SET data = 5 WHERE place = 1"),
    ("receipt", "UPDATE receipt SET place = 0 WHERE place = 2"),
    ("receipt", "UPDATE receipt SET final = 0 WHERE place = 0"),
    ("log_node", "UPDATE log_node SET hash = zeroblob(32) WHERE level = 0 AND place = 0"),
    ("log_node", "DELETE FROM log_node"),
    ("listed", "INSERT INTO listed VALUES (x'00', x'00')"),
    ("listed", "DELETE FROM listed"),
]


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table."""
    with contextlib.closing(sqlite3.connect(path)) as conn:
        names = [name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: sorted(conn.execute(f"SELECT * FROM {name}").fetchall()) for name in names}


@pytest.mark.parametrize(("table", "query"), LEDGER_DAMAGE)
def test_a_derived_table_of_the_ledger_is_rebuilt_from_its_blocks(home: Path, table: str, query: str) -> None:
    path = home / "ledger.sqlite"
    before = content(path)
    assert change(path, query) >= 1
    report = check(home)
    assert not report.problems and len(report.derived_problems) == 1 and table in report.derived_problems[0]
    assert content(path) != before, "without --repair nothing is changed"
    repaired = check(home, repair=True)
    assert repaired.ok and repaired.repaired and content(path) == before
    assert check(home).ok


def test_every_derived_table_of_both_stores_at_once_and_the_node_goes_on(home: Path) -> None:
    path = home / "ledger.sqlite"
    before = content(path)
    for table in ("state", "tree_page", "entry", "receipt", "log_node", "listed"):
        assert change(path, f"DELETE FROM {table}") >= 1
    assert change(path, "UPDATE head SET height = 0, log_size = 0, app_hash = x'', state_root = x''") == 1
    assert change(home / "evidence.sqlite", "DELETE FROM logged") >= 1
    assert len(check(home).derived_problems) == 8
    assert check(home, repair=True).ok and content(path) == before

    async def story() -> None:
        meter = Device("m1")
        async with open_whole(home, meter) as whole:
            meter.next_seq = 50
            await whole.half.send(meter, meter.readings(5))
            await whole.anchor.anchor()
            assert whole.ledger.log(whole.half.log.origin).batches == 3

    asyncio.run(story())
    assert check(home).ok


def test_a_table_that_is_gone_is_reported_and_a_repair_says_why_not(home: Path) -> None:
    change(home / "ledger.sqlite", "DROP TABLE tree_page")
    assert "no such table" in check(home).derived_problems[0]
    with pytest.raises(Unavailable, match="no such table"):
        check(home, repair=True)


def test_a_repair_is_all_or_nothing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / "ledger.sqlite"
    change(path, "DELETE FROM state")
    change(path, "DELETE FROM listed")
    damaged = content(path)
    real = derived._rewrite

    async def fails_at_the_second(conn: object, name: str, *rest: object) -> None:
        if name == "listed":
            raise sqlite3.OperationalError("database or disk is full")
        await real(conn, name, *rest)

    monkeypatch.setattr(derived, "_rewrite", fails_at_the_second)
    with pytest.raises(Unavailable):
        check(home, repair=True)
    assert content(path) == damaged


def test_a_ledger_that_moved_since_it_was_compared_is_not_repaired(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    change(home / "ledger.sqlite", "DELETE FROM listed")
    real = fsck_module.rewriting

    def moved(*args: object) -> object:
        change(home / "ledger.sqlite", "UPDATE head SET checkpoint = x'00'")
        return real(*args)

    monkeypatch.setattr(fsck_module, "rewriting", moved)
    with pytest.raises(VerifyError, match="moved"):
        check(home, repair=True)


def test_a_block_more_than_was_signed_is_not_rebuilt_into_tables(home: Path) -> None:
    """A block that replays well, put there by somebody without the node's key."""
    reader = LedgerReader(home / "ledger.sqlite")
    head = replay_blocks(genesis(), reader.blocks()).head
    org = decode_key(reader.get(state.key_key(ADMIN.kid))).org
    tx = build_tx(ADMIN, CHAIN, org, decode_nonce(reader.get(state.nonce_key(ADMIN.kid))), "point.create", {1: "x", 2: None, 3: "UTC"})
    reader.close()
    block = encode_block(head.height + 1, head.time_s, [decode_tx(tx)])
    change(home / "ledger.sqlite", "INSERT INTO block VALUES (?, ?)", head.height + 1, block)
    report = check(home)
    assert any("checkpoint" in problem for problem in report.problems)
    with pytest.raises(VerifyError, match="not repaired"):
        check(home, repair=True)


def test_a_home_that_was_never_served_has_nothing_to_check(tmp_path: Path) -> None:
    (tmp_path / "genesis.cbor").write_bytes(genesis())
    for repair in (False, True):
        report = check(tmp_path, repair)
        assert report.ok and not report.served and report.blocks == 0
    assert [path.name for path in tmp_path.iterdir()] == ["genesis.cbor"], "nothing is made"


def test_a_first_start_that_was_cut_short_has_nothing_to_check_either(tmp_path: Path) -> None:
    (tmp_path / "genesis.cbor").write_bytes(genesis())
    (tmp_path / "ledger.sqlite").write_bytes(b"")
    assert not check(tmp_path).served
    (tmp_path / "ledger.sqlite").unlink()

    async def begin() -> None:
        await (await EmbeddedLedger.open(tmp_path, genesis(), NODE)).close()

    asyncio.run(begin())
    assert not check(tmp_path).served and not (tmp_path / "evidence.sqlite").exists()


async def begin_until(home: Path, stage: int) -> None:
    """A first start, step by step as main.py goes; ends before step `stage`."""
    (home / "genesis.cbor").write_bytes(genesis())
    if stage == 0:
        await (await open_database(home / "ledger.sqlite", LEDGER_MIGRATIONS)).close()
    else:
        await (await EmbeddedLedger.open(home, genesis(), NODE)).close()
    if stage < 2:
        (home / "evidence.sqlite").write_bytes(b"")
        return
    async with open_evidence_store(home / "evidence.sqlite") as store:
        if stage >= 3:
            await EvidenceLog.open(home / "evidence-log", store, ORIGIN, NODE)
    if stage == 3:  # the head was written, its publication was not
        shutil.rmtree(home / "evidence-log")


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_a_first_start_cut_short_at_any_step_is_no_damage(tmp_path: Path, stage: int) -> None:
    asyncio.run(begin_until(tmp_path, stage))
    for repair in (False, True):
        report = check(tmp_path, repair)
        assert report.ok and report.served and report.first_start_cut
        text = fsck_text(dataclasses.asdict(report), report.ok)
        assert "first start" in text and "problem" not in text
    asyncio.run(begin_until(tmp_path, 4))
    report = check(tmp_path)
    assert report.ok and not report.first_start_cut, "the next start goes on from it"


@pytest.mark.parametrize(
    ("file", "query"),
    [
        ("evidence.sqlite", "DELETE FROM head"),
        ("ledger.sqlite", "DELETE FROM head"),
        ("ledger.sqlite", "UPDATE head SET checkpoint = x'00'"),
    ],
)
def test_what_was_published_is_never_taken_for_a_first_start(tmp_path: Path, file: str, query: str) -> None:
    asyncio.run(begin_until(tmp_path, 4))
    change(tmp_path / file, query)
    report = check(tmp_path)
    assert not report.first_start_cut and report.problems


@pytest.mark.parametrize(
    ("file", "query"),
    [
        ("evidence.sqlite", "INSERT INTO rows VALUES (0, 1, 1, 1, NULL, NULL)"),
        ("evidence.sqlite", "INSERT INTO quarantine (received_s, topic, code, reason, bytes, body) VALUES (1, 't', 1, 'r', 1, x'00')"),
        ("evidence.sqlite", "UPDATE head SET size = 1"),
        ("ledger.sqlite", "INSERT INTO block VALUES (1, x'00')"),
        ("ledger.sqlite", "UPDATE head SET height = 1"),
        ("ledger.sqlite", "UPDATE head SET checkpoint = x'00'"),
        ("ledger.sqlite", "DELETE FROM head"),
    ],
)
def test_anything_more_than_a_first_head_is_checked_whole(tmp_path: Path, file: str, query: str) -> None:
    asyncio.run(begin_until(tmp_path, 3))
    change(tmp_path / file, query)
    report = check(tmp_path)
    assert not report.first_start_cut and report.problems


@pytest.mark.parametrize(("name", "code"), [("ledger.sqlite", "271"), ("evidence.sqlite", "270")])
def test_a_store_that_is_gone_from_a_served_home_is_no_fresh_home(home: Path, name: str, code: str) -> None:
    (home / name).unlink()
    with pytest.raises(VerifyError, match=code):
        check(home)
    shutil.rmtree(home / "evidence-log")
    with pytest.raises(VerifyError, match=code):
        check(home)
    assert not (home / name).exists()


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM logged WHERE log_index = 3",
        "UPDATE logged SET last_s = last_s + 1 WHERE log_index = 0",
        "UPDATE logged SET device = 0 WHERE log_index = 1",
        "UPDATE logged SET kind = 7 WHERE log_index = 1",
        "UPDATE names SET name = x'00' WHERE id = 2",
        "DELETE FROM names WHERE id = (SELECT channel_table FROM logged WHERE log_index = 0)",
        "UPDATE chains SET next_seq = next_seq + 1",
        "UPDATE chains SET state = x'80'",
        "DELETE FROM lost WHERE place = 0",
        "UPDATE findings SET kind = 'lost' WHERE kind = 'equivocation'",
        "INSERT INTO findings VALUES (0, 0, x'00', 'register-backward', 'never happened')",
    ],
)
def test_a_tampered_derived_table_is_found_and_repaired(home: Path, query: str) -> None:
    assert change(home / "evidence.sqlite", query) >= 1
    report = check(home)
    assert not report.problems and len(report.derived_problems) == 1 and not report.ok
    repaired = check(home, repair=True)
    assert repaired.ok and repaired.repaired
    assert check(home).ok and not check(home).repaired


def test_every_derived_table_can_be_lost(home: Path) -> None:
    for table in ("names", "logged", "chains", "lost", "findings"):
        assert change(home / "evidence.sqlite", f"DELETE FROM {table}") >= 1
    assert len(check(home).derived_problems) == len(DERIVED_TABLES)
    assert check(home, repair=True).ok

    async def story() -> None:
        meter = Device("m1")
        async with open_whole(home, meter) as whole:
            assert (await whole.half.log.ack_of(meter.id)).next_seq == 50

    asyncio.run(story())


def test_another_genesis_is_found(home: Path) -> None:
    data = (home / "genesis.cbor").read_bytes()
    (home / "genesis.cbor").write_bytes(data.replace(b"Test", b"Tess"))
    assert check(home).problems


def test_melt_keeps_what_is_covered() -> None:
    assert melt([(5, 7), (0, 2), (2, 3), (6, 9)]) == [(0, 3), (5, 9)]
    assert melt([]) == []


@pytest.fixture
def newer_program(home: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose evidence store has a migration more."""
    folder = tmp_path_factory.mktemp("migrations")
    known = [shutil.copy(path, folder) for path in rows_module.MIGRATIONS.glob("*.sql")]
    (folder / f"{len(known) + 1:03d}_more.sql").write_text("CREATE TABLE more (one INTEGER);")
    for module in (rows_module, fsck_module):
        monkeypatch.setattr(module, "MIGRATIONS", folder)


@pytest.mark.usefixtures("newer_program")
def test_an_older_schema_is_said_and_changed_by_a_repair_only(home: Path) -> None:
    before = (home / "evidence.sqlite").read_bytes()
    report = check(home)
    assert not report.ok and not report.problems and report.blocks > 4
    assert ["older" in problem for problem in report.derived_problems] == [True]
    assert "fsck --repair" in fsck_text(dataclasses.asdict(report), report.ok)
    assert (home / "evidence.sqlite").read_bytes() == before and "more" not in content(home / "evidence.sqlite")
    assert check(home, repair=True).ok and "more" in content(home / "evidence.sqlite")
    assert check(home).ok and check(home).statements == 8


def test_a_newer_schema_is_left_to_a_newer_program(home: Path) -> None:
    change(home / "evidence.sqlite", "PRAGMA user_version = 9")
    for repair in (False, True):
        with pytest.raises(Unavailable, match="schema 9"):
            check(home, repair)


def test_a_check_changes_no_byte(home: Path) -> None:
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    change(home / "evidence.sqlite", "DELETE FROM findings")
    before[home / "evidence.sqlite"] = (home / "evidence.sqlite").read_bytes()
    assert check(home).derived_problems
    assert {path: path.read_bytes() for path in before} == before


def test_a_file_that_is_no_store_is_a_typed_error(home: Path) -> None:
    (home / "evidence.sqlite").write_bytes(b"no database at all, whatever it is" * 100)
    for repair in (False, True):
        with pytest.raises(Unavailable, match="not a database"):
            check(home, repair)
