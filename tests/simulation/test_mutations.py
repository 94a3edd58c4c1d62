"""Each checker can fail: the product is broken in one way at a time, and the simulation must say so.

A mutant is a patch on the running code; nothing of it stays.
"""

import asyncio
import contextlib
import random
import sqlite3
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest

import edge.outbox
import edge.recovery
import edge.sealing
import server.evidence.log
import server.ledger.engines.embedded
from edge.clock import Clock
from edge.journal import Journal
from edge.sealer import Sealer
from edge.signer import NodeKey
from server.evidence.log import EvidenceLog
from server.ingest import checks as ingest_checks
from server.ingest.core import Ingest
from server.ledger.anchor import Anchor
from server.main import Backend
from shared.errors import Unavailable
from shared.types import Ack
from tests.simulation import ending
from tests.simulation.plan import draw_plan
from tests.simulation.run import run_seed
from tests.simulation.store import Store

HOURS = 2.0
CALM_S = 5400.0
SEEDS_MAX = 4  # a mutant that only some trouble shows


def caught(*changes: tuple[Any, str, Any], device: dict[str, Any] | None = None, **rates: float) -> str:
    """The first violation that some seed finds in the mutant. `rates`: trouble that it needs; `device`: what is special about the fleet."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(ending, "CALM_S", CALM_S))
        for target, name, value in changes:
            stack.enter_context(patch.object(target, name, value))
        for seed in range(1, 1 + SEEDS_MAX):
            plan = draw_plan(random.Random(seed), HOURS)
            devices = tuple(replace(one, **(device or {})) for one in plan.devices)
            wanted = {kind.replace("_", "-"): rate for kind, rate in rates.items()}
            result = run_seed(seed, plan=replace(plan, rates=wanted, devices=devices))
            if result.violations:
                return result.violations[0]
    return ""


def test_an_ack_before_the_commit() -> None:
    async def commit(self: EvidenceLog, fresh: list[Any], derived: Any) -> None:
        devices = {waiting.admission.entry.statement.device for waiting in fresh}
        for waiting in fresh:
            statement = waiting.admission.entry.statement
            if statement.kind == "readings" and not waiting.future.done():
                next_seq = statement.first_seq + statement.count
                ack = Ack(self.origin, statement.device, next_seq, None, [], self.head.size + len(fresh))
                waiting.future.set_result(server.evidence.log.Logged(waiting.index, ack))
        assert devices
        await asyncio.sleep(0.5)
        await real(self, fresh, derived)

    real = EvidenceLog._commit
    assert "an ack" in caught((EvidenceLog, "_commit", commit))


def after_rows(statement: str) -> tuple[Any, str, Any]:
    """A store that does something else, too, whenever rows come in."""

    def sql(self: Store, conn: Any, text: str, do: Any) -> Any:
        result = real(self, conn, text, do)
        if text.startswith("INSERT INTO rows"):
            sqlite3.Connection.execute(conn, statement)
        return result

    real = Store.sql
    return (Store, "sql", sql)


def test_rows_that_are_dropped() -> None:
    change = after_rows("DELETE FROM rows WHERE log_index = (SELECT max(log_index) FROM rows)")
    assert "without its rows" in caught(change)


def test_rows_that_are_not_what_was_signed() -> None:
    change = after_rows("UPDATE rows SET salt = zeroblob(16) WHERE log_index = (SELECT max(log_index) FROM rows) AND salt IS NOT NULL")
    assert "rows of entry" in caught(change)


def test_one_identity_twice() -> None:
    async def nothing(conn: Any, identities: Any) -> set[bytes]:
        return set()

    change = (server.evidence.log, "known_identities", nothing)
    assert "a fault of this program" in caught(change, message_duplicated=0.5), "the statements table refuses it, too"


def test_a_signature_that_nobody_checked() -> None:
    def trusting(opened: Any, value: Any) -> None:
        if value is None:
            real(opened, value)

    real = ingest_checks.check_signature
    assert "signature" in caught((ingest_checks, "check_signature", trusting), statement_forged=0.1)


def test_a_checkpoint_published_before_the_commit() -> None:
    async def commit(self: EvidenceLog, fresh: list[Any], derived: Any) -> None:
        tiles = self._tiles
        assert tiles is not None
        await asyncio.to_thread(tiles.append, [waiting.admission.data for waiting in fresh])
        head = self._sign_head(tiles.size, tiles.root())
        old, rows = self.head, [waiting.row() for waiting in fresh]
        await self._publish(head)
        await self.store.writer.run(lambda conn: server.evidence.log.swap_head(conn, old, head, rows, derived))

    text = caught((EvidenceLog, "_commit", commit), crash_lost=1.0, message_duplicated=0.5)
    assert "never committed" in text or "is published" in text


def test_a_store_that_does_not_sync() -> None:
    async def lazy(path: Any, migrations: Any) -> Any:
        conn = await real(path, migrations)
        await conn.execute("PRAGMA synchronous = OFF")
        return conn

    real = server.ledger.engines.embedded.open_database
    assert "synchronous = OFF" in caught((server.ledger.engines.embedded, "open_database", lazy))


def test_a_device_that_believes_the_broker() -> None:
    """It frees on sending: what the broker throws away is gone."""

    def sent(self: edge.outbox.Outbox, identity: bytes, now_ms: int) -> int:
        attempts = real(self, identity, now_ms)
        asyncio.get_running_loop().call_later(1, self._journal.free, identity)
        return int(attempts)

    real = edge.outbox.Outbox.apply_sent
    assert "not in the log" in caught((edge.outbox.Outbox, "apply_sent", sent), puback_false=0.3)


def test_a_device_that_believes_any_ack() -> None:
    async def verify(self: Any, message: bytes, signature: bytes) -> None:
        return

    assert "not in the log" in caught((NodeKey, "verify", verify), ack_forged=0.1, message_dropped=0.5)


@pytest.mark.slow
def test_a_loss_that_is_not_named() -> None:
    def forget(sealer: Sealer) -> None:
        sealer.journal.losses.apply_named(sealer.journal.losses.for_gap()[1])

    text = caught((edge.sealing, "draft_gap", forget), device={"period_s": 20, "bundle_count": 3, "sectors": 4}, partition=0.1)
    assert "did not drain" in text or "nowhere" in text


def test_a_sequence_used_twice() -> None:
    def append(self: Journal, *args: Any) -> int:
        seq = real(self, *args)
        if seq == 9:
            self.next_seq -= 1
        return int(seq)

    real = Journal.append
    assert "used twice" in caught((Journal, "append", append))


def test_a_device_that_forgets_what_it_sealed() -> None:
    """It would seal the same readings again under another salt, which is equivocation."""
    change = (edge.recovery.Walk, "_statement", lambda self, place, frame, is_head: None)
    text = caught(change, kill=0.2, power_cut=0.2)
    assert "forgot" in text or "equivocation" in text


def test_a_device_that_runs_in_circles() -> None:
    def seal(self: Journal, kind: str, statement: bytes, identity: bytes, salt: Any, first_seq: int, count: int) -> None:
        while kind == "readings":
            self.losses.add(first_seq, count, None, 2)
        real(self, kind, statement, identity, salt, first_seq, count)

    real = Journal.seal
    assert "steps at second" in caught((Journal, "seal", seal))


def test_a_sleeper_that_waits_for_the_clock() -> None:
    async def sleep_until(self: Clock, time_s: int) -> None:
        while (left_ms := time_s * 1000 - self.now_ms()) > 0:
            await asyncio.sleep(min(left_ms / 1000, 60))

    assert "took no reading" in caught((Clock, "sleep_until", sleep_until), clock_1970=0.2, clock_back=0.2)


def test_a_ledger_behind_the_log() -> None:
    async def nothing(self: Anchor, size: int) -> None:
        await asyncio.sleep(1)

    assert "ledger is behind" in caught((Anchor, "_add_batches", nothing))


def test_equivocation_that_nobody_reports() -> None:
    async def nothing(self: Anchor, size: int) -> None:
        return

    assert "no proof of it" in caught((Anchor, "_report_equivocations", nothing), equivocation=0.3)


def test_a_backend_that_answers_nothing() -> None:
    async def mute(self: Any, topic: str, payload: bytes) -> None:
        raise Unavailable(420, "no")

    assert "did not drain" in caught((Ingest, "_bundle", lambda self, *args: mute(self, "", b"")))


def test_a_backend_that_stops_by_itself() -> None:
    async def broken(self: Backend, *args: Any) -> None:
        raise ValueError("our own bug")

    assert "our own bug" in caught((Anchor, "anchor", broken))


@pytest.mark.slow
def test_without_a_mutant_nothing_is_found() -> None:
    assert caught(message_dropped=0.2, message_duplicated=0.2, crash_lost=1.0, write_kept=1.0, equivocation=0.5) == ""
