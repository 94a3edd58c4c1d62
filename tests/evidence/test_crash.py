"""SIGKILL at every point of the commit order: what was acked stays logged with its rows, nothing forks, no identity is logged twice."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from server.evidence.tiles import TileReader
from server.fsck import fsck
from shared import merkle, note
from shared.statement import open_statement
from tests.evidence.crash_child import COUNT, PER_ROUND, ROUNDS, rounds_of
from tests.evidence.fleet import Device

ROOT = Path(__file__).parents[2]
POINTS = ["entries-written", "tiles-written", "checkpoint-signed", "head-before-commit", "head-swapped", "published"]


def run_child(home: Path, kill_at: str = "") -> list[list[str]]:
    """Lines it printed; checks that it died where it was told to, or ended well."""
    env = {**os.environ, "METERPROOF_KILL_AT": kill_at, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.evidence.crash_child", str(home)], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == (-signal.SIGKILL if kill_at else 0), done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def checkpoint(home: Path) -> note.Checkpoint:
    """What the log has published."""
    return note.decode_checkpoint(note.decode_note((home / "evidence-log/checkpoint").read_bytes()).text)


def acked_identities(lines: list[list[str]]) -> set[bytes]:
    """Every statement that the printed acks promise."""
    promised = {line[1]: int(line[2]) for line in lines if line[0] == "ack"}
    bundles = [(name, sent) for name in promised for part in rounds_of(Device(name)) for sent in part]
    return {sent.identity for name, sent in bundles if sent.first_seq + sent.count <= promised[name]}


def check_crash(home: Path, kill_at: str) -> None:
    before = run_child(home, kill_at)
    crashed = asyncio.run(fsck(home))
    assert crashed.ok, crashed.problems + crashed.derived_problems
    seen = checkpoint(home)
    run_child(home)
    report = asyncio.run(fsck(home))
    assert report.ok, report.problems + report.derived_problems
    total = 2 * ROUNDS * PER_ROUND
    assert (report.log_size, report.readings, report.duplicates, report.lost) == (total, total * COUNT, 0, 0)
    reader = TileReader(home / "evidence-log", report.log_size)
    identities = [open_statement(data)[0].identity for data in reader.entries(0, report.log_size)]
    assert len(set(identities)) == len(identities), "an identity was logged twice"
    assert acked_identities(before) <= set(identities[: crashed.log_size]), "an acked statement was not in the log after the crash"
    if seen.size:
        final = checkpoint(home)
        merkle.verify_consistency(seen.size, final.size, reader.consistency_path(seen.size, final.size), seen.root, final.root)


@pytest.mark.parametrize("point", POINTS)
def test_killed_in_the_middle(tmp_path: Path, point: str) -> None:
    check_crash(tmp_path, f"{point}:3")


@pytest.mark.slow
@pytest.mark.parametrize("time", [1, 2, 6])
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_another_time(tmp_path: Path, point: str, time: int) -> None:
    check_crash(tmp_path, f"{point}:{time}")


@pytest.mark.slow
@pytest.mark.parametrize("time", [2, 8, 12])
@pytest.mark.parametrize("point", ["ledger-before-commit", "ledger-after-commit", "ledger-tiles-written", "ledger-published"])
def test_killed_while_the_ledger_writes(tmp_path: Path, point: str, time: int) -> None:
    check_crash(tmp_path, f"{point}:{time}")


def test_killed_twice_at_the_same_point(tmp_path: Path) -> None:
    run_child(tmp_path, "tiles-written:2")
    run_child(tmp_path, "tiles-written:1")
    check_crash(tmp_path, "head-swapped:1")
