"""Batches and votes: what the ledger learns of the evidence log, and what a validator objects to after a restart."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from server.ledger import anchor as anchor_module
from server.ledger import judging
from shared.errors import RuleError, VerifyError
from shared.state import LIVE, SUSPENDED, check_counts
from tests.evidence.fleet import ORIGIN, Device
from tests.evidence.whole import VALIDATOR, open_whole


def damage(home: Path, query: str) -> None:
    with contextlib.closing(sqlite3.connect(home / "evidence.sqlite")) as conn, conn:
        assert conn.execute(query).rowcount == 1


def test_every_head_becomes_a_batch_with_one_vote(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            for expected in (1, 2, 3):
                await whole.half.send(meter, meter.readings(), meter.readings())
                await whole.anchor.anchor()
                assert whole.ledger.log(ORIGIN).batches == expected
                batch = whole.ledger.batch(ORIGIN, expected - 1)
                assert (batch.old_size, batch.new_size) == (2 * expected - 2, 2 * expected)
                assert batch.root == whole.half.log.head.root
                assert [(vote.kid, vote.objected) for vote in batch.votes] == [(VALIDATOR.kid, [])]
                check_counts(batch, batch.old_size)
            await whole.anchor.anchor()
            assert whole.ledger.log(ORIGIN).batches == 3, "nothing new, no batch"

    asyncio.run(story())


def test_a_long_log_is_anchored_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor_module, "BATCH_MAX", 3)

    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, *[meter.readings() for _ in range(8)])
            await whole.anchor.anchor()
            assert [whole.ledger.batch(ORIGIN, number).new_size for number in range(3)] == [3, 6, 8]
            assert all(len(whole.ledger.batch(ORIGIN, number).votes) == 1 for number in range(3))

    asyncio.run(story())


def test_after_a_restart_the_stored_rows_are_checked_again(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, *[meter.readings() for _ in range(5)])
        damage(tmp_path, "UPDATE rows SET body = CAST(substr(body, 1, length(body) - 1) || x'01' AS BLOB) WHERE log_index = 1")
        damage(tmp_path, "DELETE FROM rows WHERE log_index = 3")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings())
            await whole.anchor.anchor()
            (vote,) = whole.ledger.batch(ORIGIN, 0).votes
            assert vote.objected == [1, 3]
            check_counts(whole.ledger.batch(ORIGIN, 0), 2)
            with pytest.raises(VerifyError, match="244"):
                check_counts(whole.ledger.batch(ORIGIN, 0), 1)

    asyncio.run(story())


def test_a_batch_anchored_before_a_crash_is_voted_on_after_it(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings())
            await whole.anchor._add_batches(whole.half.log.head.size)
        async with open_whole(tmp_path, meter) as whole:
            assert whole.ledger.batch(ORIGIN, 0).votes == []
            await whole.anchor.anchor()
            assert len(whole.ledger.batch(ORIGIN, 0).votes) == 1

    asyncio.run(story())


def test_a_damaged_log_gets_no_vote_at_all(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings(), meter.readings())
        path = tmp_path / "evidence-log/tile/entries/000.p/2"
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)
        async with open_whole(tmp_path, meter) as whole:
            await whole.anchor.anchor()
            assert whole.ledger.batch(ORIGIN, 0).votes == []
            assert list(whole.anchor.withheld) == [0]

    asyncio.run(story())


def test_more_objections_than_a_vote_can_name_withhold_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "OBJECTIONS_MAX", 2)

    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, *[meter.readings() for _ in range(4)])
        for index in (0, 1, 2):
            damage(tmp_path, f"DELETE FROM rows WHERE log_index = {index}")
        async with open_whole(tmp_path, meter) as whole:
            await whole.anchor.anchor()
            assert whole.ledger.batch(ORIGIN, 0).votes == [] and "3 statements" in whole.anchor.withheld[0]

    asyncio.run(story())


def test_a_device_suspended_before_its_batch_is_objected_to(tmp_path: Path) -> None:
    async def story() -> None:
        good, bad = Device("good"), Device("bad")
        async with open_whole(tmp_path, good, bad) as whole:
            await whole.half.send(good, good.readings())
            await whole.half.send(bad, bad.readings())
            await whole.submit("device.suspend", {1: bad.id, 2: "test"})
            await whole.anchor.anchor()
            (vote,) = whole.ledger.batch(ORIGIN, 0).votes
            assert vote.objected == [1]
            assert await whole.half.kinds() == []

    asyncio.run(story())


def test_two_statements_for_one_sequence_suspend_the_device_with_both_as_proof(tmp_path: Path) -> None:
    async def story() -> None:
        meter, twin = Device("m1"), Device("m1")
        twin.registers = [0, 0]
        async with open_whole(tmp_path, meter) as whole:
            first, second = meter.readings(), twin.readings()
            await whole.half.send(meter, first, second)
            await whole.anchor.anchor()
            value = whole.ledger.device(meter.id)
            assert value.status == SUSPENDED
            ((a, b, _),) = value.equivocations
            assert {a, b} == {first.identity, second.identity}
            await whole.half.send(meter, meter.readings())
            assert whole.half.ingest.counts["silent"] == 1
            await whole.submit("device.resume", {1: meter.id, 2: "the twin was found"})
            assert whole.ledger.device(meter.id).status == LIVE
        async with open_whole(tmp_path, meter) as whole:
            await whole.anchor.anchor()
            assert whole.ledger.device(meter.id).status == LIVE, "one proof suspends once"

    asyncio.run(story())


def test_a_gap_over_a_published_bundle_suspends_nobody(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            a, b, c = (meter.readings(10) for _ in range(3))
            await whole.half.send(meter, a, c, meter.gap((10, 10, b.identity, 1)), b)
            await whole.anchor.anchor()
            assert whole.ledger.device(meter.id).status == LIVE and whole.ledger.device(meter.id).equivocations == []

    asyncio.run(story())


def test_what_is_logged_while_batches_are_added_waits_for_the_look_at_equivocations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        meter, twin = Device("m1"), Device("m1", registers=[7, 7])
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings())
            real, late = whole.ledger.submit, iter([twin.readings()])

            async def submit(data: bytes) -> object:
                for sent in late:
                    await whole.half.send(twin, sent)
                return await real(data)

            monkeypatch.setattr(whole.ledger, "submit", submit)
            await whole.anchor.anchor()
            assert whole.half.log.head.size == 2 and whole.ledger.log(ORIGIN).size == 1
            await whole.anchor.anchor()
            (_, suspended), height = whole.ledger.device(meter.id).live[0], whole.ledger.batch(ORIGIN, 1).height
            assert suspended is not None and suspended < height, "the suspension comes before the batch with the second statement"
            assert whole.ledger.batch(ORIGIN, 1).votes[0].objected == [1]

    asyncio.run(story())


def test_an_equivocation_in_a_head_not_yet_published_is_reported_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        meter, twin = Device("m1"), Device("m1", registers=[7, 7])
        async with open_whole(tmp_path, meter) as whole:
            real, swapped, go = whole.half.log._publish, asyncio.Event(), asyncio.Event()

            async def publish(head: object) -> None:
                swapped.set()
                await go.wait()
                await real(head)

            monkeypatch.setattr(whole.half.log, "_publish", publish)
            sending = asyncio.create_task(whole.half.send(meter, meter.readings(), twin.readings()))
            await swapped.wait()
            await whole.anchor.anchor()
            assert whole.ledger.device(meter.id).status == LIVE
            go.set()
            await sending
            await whole.anchor.anchor()
            assert whole.ledger.device(meter.id).status == SUSPENDED

    asyncio.run(story())


def test_an_old_copy_of_the_log_is_found_out(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings())
            await whole.anchor.anchor()
            whole.half.log.head = type(whole.half.log.head)(ORIGIN, 0, bytes(32), b"")
            with pytest.raises(VerifyError, match="270"):
                await whole.anchor.anchor()

    asyncio.run(story())


def test_the_running_task_anchors_by_itself_and_waits_out_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor_module, "RETRY_S", 0.05)

    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            real, refusals = whole.ledger.submit, iter([RuleError(301, "not now")])

            async def submit(data: bytes) -> object:
                error = next(refusals, None)
                if error:
                    raise error
                return await real(data)

            monkeypatch.setattr(whole.ledger, "submit", submit)
            running = asyncio.create_task(whole.anchor.run())
            for expected in (1, 2):
                await whole.half.send(meter, meter.readings())
                async with asyncio.timeout(10):
                    while whole.ledger.log(ORIGIN).batches < expected or not whole.ledger.batch(ORIGIN, expected - 1).votes:
                        await asyncio.sleep(0.02)
            running.cancel()
            assert whole.anchor.last_error is None

    asyncio.run(story())
