"""Crashes and failed writes: the ledger comes back at a committed block, keeps every promise and goes on to the same app hash."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.file import LedgerReader
from server.ledger.replay import replay_blocks
from shared import note
from shared.errors import Unavailable
from tests.ledger.crash_child import commit_points, point
from tests.ledger.world import ADMIN, CHAIN, GENESIS, NODE, TIME_S

ROOT = Path(__file__).resolve().parents[2]
COUNT = 4
VKEY = note.decode_vkey(note.encode_vkey("meterproof.ledger/" + CHAIN, NODE.raw))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """App hash of a run without any crash."""
    home = tmp_path_factory.mktemp("undisturbed")
    asyncio.run(commit_points(str(home), COUNT))
    return check_file(home)


def check_file(home: Path) -> bytes:
    """What fsck would: the stored ledger is exactly what its blocks make. Gives the app hash."""
    reader = LedgerReader(home / "ledger.sqlite")
    try:
        replay, head = replay_blocks(GENESIS, reader.blocks()), reader.head()
        assert replay.head == head
        assert dict(reader.rows("SELECT key, value FROM state")) == replay.store.values
        assert reader.entries(0, head.log_size + 9) == replay.store.entries
        assert dict(reader._conn.execute("SELECT place, cells FROM tree_page").fetchall()) == replay.store.tree_pages
        nodes = {(level, place): node for level, place, node in reader._conn.execute("SELECT level, place, hash FROM log_node")}
        assert nodes == replay.store.nodes
        checkpoint = reader.checkpoint()
        if checkpoint is not None:
            signed, _ = note.open_checkpoint(checkpoint, [VKEY])
            assert (signed.size, signed.root) == (head.log_size, head.app_hash)
        return head.app_hash
    finally:
        reader.close()


def crash(home: Path, where: str) -> list[int]:
    """Runs the child until it dies by SIGKILL; gives the nonces it was promised."""
    child = subprocess.run(
        [sys.executable, "-m", "tests.ledger.crash_child", str(home), str(COUNT)],
        cwd=ROOT,
        env={**os.environ, "METERPROOF_KILL_AT": where},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    return [int(line) for line in child.stdout.split()]


@pytest.mark.parametrize(
    ("where", "promised", "durable"),
    [
        ("ledger-before-commit:1", 0, None),  # the genesis itself
        ("ledger-before-commit:2", 0, 0),
        ("ledger-before-commit:4", 2, 2),
        ("ledger-after-commit:1", 0, 1),
        ("ledger-after-commit:3", 2, 3),
        ("ledger-tiles-written:1", None, 1),
        ("ledger-tiles-written:3", None, 3),
        ("ledger-published:1", None, 1),
        ("ledger-published:2", None, 2),
    ],
)
def test_killed_there_it_comes_back_at_a_committed_block(
    tmp_path: Path, undisturbed: bytes, where: str, promised: int | None, durable: int | None
) -> None:
    told = crash(tmp_path, where)
    if promised is not None:
        assert told == list(range(promised))
    if durable is not None:
        reader = LedgerReader(tmp_path / "ledger.sqlite")
        height = reader.head().height
        reader.close()
        assert height == durable or (promised is None and height >= durable)
        assert height >= len(told), "a receipt was given for what is not there"
        check_file(tmp_path)
    asyncio.run(commit_points(str(tmp_path), COUNT))
    assert check_file(tmp_path) == undisturbed
    published, _ = note.open_checkpoint((tmp_path / "ledger-log" / "checkpoint").read_bytes(), [VKEY])
    assert published.root == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize("delay_ms", range(150, 900, 50))
def test_killed_at_any_moment(tmp_path: Path, undisturbed: bytes, delay_ms: int) -> None:
    command = [sys.executable, "-m", "tests.ledger.crash_child", str(tmp_path), "1000"]
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(delay_ms / 1000)
    child.kill()
    told = [int(line) for line in child.communicate()[0].split("\n") if line]
    done = max(COUNT, len(told) + 2)
    asyncio.run(commit_points(str(tmp_path), done))
    check_file(tmp_path)
    reader = LedgerReader(tmp_path / "ledger.sqlite")
    assert len(list(reader.blocks())) == done
    reader.close()


class Cut:
    """A connection whose nth write fails, as a full or broken disk would."""

    def __init__(self, conn, nth: int) -> None:
        self._conn, self._left = conn, nth
        self.cut = False

    def __getattr__(self, name: str):
        real = getattr(self._conn, name)
        if name not in ("execute", "executemany"):
            return real

        def write(sql: str, *args):
            if sql.startswith(("INSERT", "UPDATE", "COMMIT")):
                self._left -= 1
                if self._left == 0:
                    self.cut = True
                    raise sqlite3.OperationalError("disk I/O error")
            return real(sql, *args)

        return write


def test_every_single_write_may_fail(tmp_path: Path, undisturbed: bytes) -> None:
    """For each write of a block in turn: nothing of it is there, the caller is told, and the same transaction succeeds afterwards."""

    async def one(home: Path, nth: int) -> bool:
        ledger = await EmbeddedLedger.open(home, GENESIS, NODE, now_s=lambda: TIME_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(ledger.run())
            await ledger.submit(point(0))
            head = ledger._core.head
            ledger._writer._conn = cut = Cut(ledger._conn, nth)
            with pytest.raises(Unavailable):
                await ledger.submit(point(1))
            assert ledger._reader.head() == ledger._core.head == head
            assert ledger.nonce(ADMIN.kid) == 1
            for nonce in range(1, COUNT):
                await ledger.submit(point(nonce))
            await ledger.close()
        return cut.cut

    writes = 0
    for nth in range(1, 9):
        home = tmp_path / str(nth)
        home.mkdir()
        writes += asyncio.run(one(home, nth))
        assert check_file(home) == undisturbed
    assert writes == 8, "head, block, entries, nodes, receipts, state, tree, commit"
