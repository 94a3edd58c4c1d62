"""What one statement, or the disk, may do to the log: a statement that nobody can digest stands alone, a full disk loses no promise."""

import asyncio
import logging
import sqlite3
from pathlib import Path

import pytest

from server.evidence import log as log_module
from server.evidence.derive import Deriver
from tests.evidence.backend import Half, open_half
from tests.evidence.fleet import Device, Sent


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "BACKOFF_FIRST_S", 0.001)
    monkeypatch.setattr(log_module, "BACKOFF_MAX_S", 0.01)


def poison(monkeypatch: pytest.MonkeyPatch, *bad: Sent, late: bool) -> None:
    """Statements that this program has a fault with: while it derives, or only when what it derived is written."""
    identities = {sent.identity for sent in bad}
    add = Deriver.add

    async def adding(self: Deriver, index: int, entry: object) -> None:
        await add(self, index, entry)
        if entry.identity in identities:
            if not late:
                raise KeyError("secret-of-somebody")
            self.derived.statements[-1] = self.derived.statements[-1]._replace(last_s=1 << 70)

    monkeypatch.setattr(Deriver, "add", adding)


@pytest.mark.parametrize("late", [False, True])
def test_a_statement_with_which_the_program_has_a_fault_is_set_aside_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    async def story() -> None:
        first, second = Device("m1"), Device("m2")
        async with open_half(tmp_path, first, second) as half:
            ones, twos = [first.readings() for _ in range(5)], [second.readings() for _ in range(6)]
            bad = ones[2]
            poison(monkeypatch, bad, late=late)
            envelopes = [(first, sent) for sent in ones] + [(second, sent) for sent in twos]
            answers = [await half.ingest.accept(device.topic(), sent.envelope) for device, sent in envelopes]
            await asyncio.gather(*[answer for answer in answers if answer])
            acks = {reply.device: reply for reply in half.replies()}  # the last of each device
            assert half.log.head.size == 10 and acks[second.id].next_seq == 18
            assert (acks[first.id].next_seq, acks[first.id].missing) == (6, [(6, 3)]), "not acked, so its device keeps it"
            assert half.ingest.counts["quarantined"] == 1 and half.quarantine.counts == {470: 1}
            (row,) = await half.quarantine.list()
            assert row["body"] == bad.envelope and ("OverflowError" if late else "KeyError") in row["reason"]
            assert (
                bad.identity.hex() in caplog.text
                and first.id.hex() in caplog.text
                and "secret-of-somebody" not in caplog.text + row["reason"]
            )
            await half.send(first, bad)
            assert half.replies() == [] and half.quarantine.counts == {470: 1}, "asked for again, it costs nothing"
        monkeypatch.undo()
        async with open_half(tmp_path, first, second) as half:
            assert (await half.ack(first, bad)).next_seq == 15, "a mended program takes it"

    asyncio.run(story())


def test_many_such_statements_leave_the_others_their_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = [meter.readings(1) for _ in range(40)]
            poison(monkeypatch, *sent[::4], late=False)
            await half.send(meter, *sent)
            assert half.log.head.size == 30 and half.quarantine.counts == {470: 10}
            assert [half.log.reader.entry(i) for i in range(30)] == [s.statement for i, s in enumerate(sent) if i % 4]

    asyncio.run(story())


def test_what_is_remembered_of_them_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "ASIDE_MAX", 2)

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = [meter.readings(1) for _ in range(3)]
            poison(monkeypatch, *sent, late=False)
            await half.send(meter, *sent)
            await half.send(meter, *sent)
            assert len(half.log._aside) == 2 and half.quarantine.counts == {470: 4} and half.log.head.size == 0

    asyncio.run(story())


@pytest.mark.parametrize("what", ["SELECT identity", "SELECT device, state", "SELECT origin"])
@pytest.mark.parametrize("error", [sqlite3.OperationalError("disk I/O error"), sqlite3.DatabaseError("database disk image is malformed")])
def test_a_store_that_cannot_be_read_acks_nothing_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str, error: Exception
) -> None:
    async def story() -> None:
        first, second = Device("m1"), Device("m2")
        async with open_half(tmp_path, first, second) as half:
            await half.ack(first, first.readings())
            if what == "SELECT origin":
                half.log._tiles = None  # as after any error: the trusted head is read again
            fetchall = half.store.reader.execute_fetchall

            def failing(query: str, *args: object) -> object:
                if query.startswith(what):
                    raise error
                return fetchall(query, *args)

            monkeypatch.setattr(half.store.reader, "execute_fetchall", failing)
            ones, twos = first.readings(), second.readings()
            await both(half, (first, ones), (second, twos))
            assert half.replies() == [] and half.ingest.counts["unavailable"] == 2 and half.log.trouble is not None
            assert await half.quarantine.list() == [], "nobody's statement was at fault"
            monkeypatch.undo()
            await both(half, (first, ones), (second, twos))
            assert {reply.next_seq for reply in half.replies()} == {3, 6} and half.log.trouble is None
            assert "nothing can be logged" in caplog.text and "again" in caplog.text

    caplog.set_level(logging.WARNING)
    asyncio.run(story())


async def both(half: Half, *sent: tuple[Device, Sent]) -> None:
    answers = [await half.ingest.accept(device.topic(), item.envelope) for device, item in sent]
    await asyncio.gather(*[answer for answer in answers if answer is not None])


@pytest.mark.parametrize("pages", [0, 2, 6])
def test_a_full_disk_takes_no_promise_back_and_makes_none(tmp_path: Path, pages: int) -> None:
    """SQLite itself says FULL, at another write each time; bundles come again, and there is room again."""

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            ack = await half.ack(meter, *[meter.readings() for _ in range(3)])
            conn = half.store.writer._conn
            await conn.execute("VACUUM")  # no free pages
            (row,) = await conn.execute_fetchall("PRAGMA page_count")
            await conn.execute(f"PRAGMA max_page_count = {row[0] + pages}")
            sent = [meter.readings(20) for _ in range(200)]
            for _ in range(3):
                await half.send(meter, *sent)
                assert half.replies() == [] and half.log.trouble is not None
                assert (await half.log.ack_of(meter.id)).next_seq == ack.next_seq == 9
            await conn.execute("PRAGMA max_page_count = 1000000")
            ack = await half.ack(meter, *sent)
            assert (ack.next_seq, ack.log_size) == (4009, 203) and half.log.trouble is None
        async with open_half(tmp_path, meter) as half:
            assert half.log.head.size == 203 and (await half.log.ack_of(meter.id)).next_seq == 4009

    asyncio.run(story())


def test_a_damaged_chain_stands_in_the_way_of_its_own_device_only(tmp_path: Path) -> None:
    async def story() -> None:
        first, second = Device("m1"), Device("m2")
        async with open_half(tmp_path, first, second) as half:
            old = first.readings()
            await half.ack(first, old)
            await half.store.writer.run(lambda conn: conn.execute("UPDATE chains SET state = x'ff' WHERE device = ?", (first.id,)))
        async with open_half(tmp_path, first, second) as half:
            await both(half, (first, old), (first, first.readings()), (second, second.readings()))
            (ack,) = half.replies()
            assert (ack.device, ack.next_seq, half.log.head.size) == (second.id, 3, 2)

    asyncio.run(story())
