"""`fsck`: opens a home's tiles, rows and blocks, re-verifies everything, recounts, and compares every derived table with a fresh one.

In: a home. Out: a Report. Never changes a file without `repair`, and then only derived tables: those of the ledger by its blocks, those of
the evidence store by tiles, rows and blocks, and only when nothing else is wrong.
"""

import contextlib
import sqlite3
import tempfile
from pathlib import Path

import aiosqlite

from server.evidence.fsck import EvidenceCheck
from server.evidence.fsck_derived import replace_derived
from server.evidence.fsck_report import Report
from server.evidence.fsck_tiles import check_tiles, read_published
from server.evidence.log import CHECKPOINT
from server.evidence.rows import MIGRATIONS, EvidenceStore, open_evidence_store, open_unchanged
from server.ledger.derived import differences, rewriting
from server.ledger.file import LedgerReader
from server.ledger.history import LedgerHistory, compare_ledger, replay_history
from server.ledger.write import MIGRATIONS as LEDGER_MIGRATIONS
from server.store.sqlite import Writer, open_database, read_only
from shared import note
from shared.errors import MeterproofError, VerifyError

LEDGER, EVIDENCE = "ledger.sqlite", "evidence.sqlite"
LOGS = ("ledger-log", "evidence-log")
# Store → its head before anything was acknowledged, and the tables that are filled with that head: all others are empty then.
_BEGUN = {
    LEDGER: ("height = 0 AND log_size = 0 AND checkpoint IS NULL", ("head", "state", "tree_page", "listed")),
    EVIDENCE: ("size = 0", ("head",)),
}


async def fsck(home: Path, repair: bool = False) -> Report:
    """Checks a home. Raises VerifyError 242 if its genesis names no log, 270 or 271 if a store is missing or a repair is refused; whatever
    else is wrong is in the report."""
    report = Report(served=was_served(home))
    if not report.served:
        return report
    report.first_start_cut = was_first_start_cut(home)
    if report.first_start_cut:
        return report
    history = _check_ledger(home, report)
    origin = history.genesis.logs[0][0] if history.genesis.logs else ""
    node_key = history.node_key(origin)
    with tempfile.TemporaryDirectory() as folder:
        fresh = await open_database(Path(folder) / "fresh.sqlite", MIGRATIONS)
        try:
            await fresh.execute("PRAGMA synchronous = OFF")  # thrown away at the end
            async with (open_evidence_store if repair else open_unchanged)(home / EVIDENCE) as store:
                if store is None:
                    report.derived_problems.append(f"{EVIDENCE}: its schema is older than this program's, so it was not checked")
                else:
                    await EvidenceCheck(home / "evidence-log", store, fresh, history, report).run(origin, node_key)
                if repair and store is not None:
                    await _repair(home, store, fresh, history, report)
                else:
                    report.derived_problems += history.derived.values()
        finally:
            await fresh.close()
    return report


def was_served(home: Path) -> bool:
    """Whether a backend ever got so far that there is something to check. Raises VerifyError if one of its two stores is gone."""
    ledger, evidence = (home / name for name in (LEDGER, EVIDENCE))
    if not ledger.exists():
        if evidence.exists() or any((home / log).exists() for log in LOGS):
            raise VerifyError(271, f"{LEDGER} is missing, but the home was served: restore it from a backup")
        return False
    if not evidence.exists():
        if (home / "evidence-log").exists() or _height(ledger) > 0:
            raise VerifyError(270, f"{EVIDENCE} is missing, but the home was served: restore it from a backup")
        return False
    return True


def was_first_start_cut(home: Path) -> bool:
    """Whether its first start ended before anything could be acknowledged: nothing published, no block, no statement. The next start goes
    on from there. False if that cannot be read: whatever is wrong is to be reported."""
    if any((home / log / name).exists() for log in LOGS for name in (CHECKPOINT, "tile")):
        return False
    try:
        return all(_is_only_begun(home / name, *begun) for name, begun in _BEGUN.items())
    except (MeterproofError, sqlite3.Error, UnicodeDecodeError):
        return False


def _is_only_begun(path: Path, first_head: str, with_head: tuple[str, ...]) -> bool:
    with contextlib.closing(read_only(path)) as conn:
        conn.execute("BEGIN")
        tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")}
        begun = [bool(right) for (right,) in conn.execute(f"SELECT {first_head} FROM head")] if "head" in tables else []  # noqa: S608
        empty = tables.difference(with_head) if begun else tables
        return all(begun) and all(conn.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() is None for name in empty)  # noqa: S608


def _height(path: Path) -> int:
    """Of the last block; 0 also for a file whose first start was cut short."""
    reader = LedgerReader(path)
    try:
        head = reader.head() if reader.has_table("head") else None
        return 0 if head is None else head.height
    finally:
        reader.close()


def _check_ledger(home: Path, report: Report) -> LedgerHistory:
    published = read_published(home / "ledger-log")  # before the snapshot: the backend may be running
    reader = LedgerReader(home / LEDGER)
    try:
        with reader.snapshot():
            history = replay_history((home / "genesis.cbor").read_bytes(), reader)
            node_key = history.node_key(history.genesis.logs[0][0]) if history.genesis.logs else b""
            compare_ledger(history, reader, published, node_key)
    finally:
        reader.close()
    report.blocks = history.blocks
    for problem in history.problems:
        report.problem(problem)
    _check_ledger_tiles(home / "ledger-log", published, report)
    return history


async def _repair(home: Path, store: EvidenceStore, fresh: aiosqlite.Connection, history: LedgerHistory, report: Report) -> None:
    """Of both stores what is wrong, if nothing but derived tables is. Raises VerifyError 270, 271, Unavailable 400."""
    if not (report.derived_problems or history.derived):
        return
    if report.problems:
        raise VerifyError(270, "not repaired: something is damaged that cannot be rebuilt; see the report without --repair")
    if history.derived:
        await _repair_ledger(home / LEDGER, history)
    if report.derived_problems:
        await replace_derived(store, fresh, report.log_size)
    report.derived_problems, report.repaired = [], True


async def _repair_ledger(path: Path, history: LedgerHistory) -> None:
    """Puts the replayed tables in place, all or nothing, and compares again. Raises VerifyError 271 if the file moved or stays wrong."""
    conn = await open_database(path, LEDGER_MIGRATIONS)
    try:
        async with Writer(conn) as writer:
            await writer.run(rewriting(history.store, history.head, history.derived, history.promised))
    finally:
        await conn.close()
    reader = LedgerReader(path)
    try:
        left = differences(history.store, history.head, reader)
    finally:
        reader.close()
    if left:
        raise VerifyError(271, "repaired, but still different: " + "; ".join(left.values()))


def _check_ledger_tiles(directory: Path, published: bytes | None, report: Report) -> None:
    """The published ledger log: its tiles must make its own checkpoint, which was compared with the blocks."""
    if published is None:
        return
    try:
        checkpoint = note.decode_checkpoint(note.decode_note(published).text)
    except MeterproofError:
        return  # reported already
    check_tiles(directory, checkpoint, report)
