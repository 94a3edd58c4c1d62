"""`fsck`: opens a home's tiles, rows and blocks, re-verifies everything, recounts, and compares every derived table with a fresh one.

In: a home. Out: a Report. Never changes a file without `repair`, and then only the derived tables of the evidence store.
"""

import tempfile
from pathlib import Path

from server.evidence.fsck import EvidenceCheck
from server.evidence.fsck_derived import replace_derived
from server.evidence.fsck_report import Report
from server.evidence.fsck_tiles import check_tiles, read_published
from server.evidence.rows import MIGRATIONS, open_evidence_store
from server.ledger.file import LedgerReader
from server.ledger.history import LedgerHistory, compare_ledger, replay_history
from server.store.sqlite import open_database
from shared import note
from shared.errors import MeterproofError, VerifyError


async def fsck(home: Path, repair: bool = False) -> Report:
    """Checks a home. Raises VerifyError 242 if its genesis names no log; whatever else is wrong is in the report."""
    report = Report()
    history = _check_ledger(home, report)
    origin = history.genesis.logs[0][0] if history.genesis.logs else ""
    node_key = history.node_key(origin)
    with tempfile.TemporaryDirectory() as folder:
        fresh = await open_database(Path(folder) / "fresh.sqlite", MIGRATIONS)
        try:
            await fresh.execute("PRAGMA synchronous = OFF")  # thrown away at the end
            async with open_evidence_store(home / "evidence.sqlite") as store:
                await EvidenceCheck(home / "evidence-log", store, fresh, history, report).run(origin, node_key)
                if repair and report.derived_problems:
                    if report.problems:
                        raise VerifyError(270, "not repaired: something is damaged that cannot be rebuilt; see the report without --repair")
                    await replace_derived(store, fresh, report.log_size)
                    report.derived_problems, report.repaired = [], True
        finally:
            await fresh.close()
    return report


def _check_ledger(home: Path, report: Report) -> LedgerHistory:
    published = read_published(home / "ledger-log")  # before the snapshot: the backend may be running
    reader = LedgerReader(home / "ledger.sqlite")
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


def _check_ledger_tiles(directory: Path, published: bytes | None, report: Report) -> None:
    """The published ledger log: its tiles must make its own checkpoint, which was compared with the blocks."""
    if published is None:
        return
    try:
        checkpoint = note.decode_checkpoint(note.decode_note(published).text)
    except MeterproofError:
        return  # reported already
    check_tiles(directory, checkpoint, report)
