"""Taking readings and sealing them, in one process: what goes into a reading, when a bundle is due, what a statement says."""

import asyncio
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge import clock as clocks
from edge.attest import Build
from edge.health import Health
from edge.journal import Journal
from edge.notebook import Notebook
from edge.sampler import Sampler, TableStore
from edge.sealer import Sealer
from edge.signer import Signer
from shared import cose
from shared.bundle import check_rows, decode_envelope
from shared.channel import encode_table, table_hash
from shared.errors import Unavailable
from shared.statement import open_statement
from shared.types import ChannelTable, Register, Repair, Statement
from tests.device.memory_flash import MemoryFlash

BUILD = Build(b"\x01" + bytes(16), b"f" * 32, 1)
REGISTERS = [Register("2.8.0", "export", "Wh", 0, "cumulative"), Register("16.7.0", "none", "W", 0, "instant")]


def table_of(serial: str, registers: int = 2) -> bytes:
    return encode_table(ChannelTable("m", "t", serial, "1", REGISTERS[:registers]))


class Settings:
    period_s = 60
    channel = 0
    bundle_count = 4
    bundle_max_s = 600


class StepClock:
    """Stands still till it is set."""

    def __init__(self, time_s: int = 1_700_000_000, quality: int = clocks.RTC) -> None:
        self.time = clocks.Time(time_s, quality)
        self.first_sync: clocks.Sync | None = None

    def now(self) -> clocks.Time:
        return self.time

    async def sleep_until(self, time_s: int) -> None:
        self.time = clocks.Time(time_s, self.time.quality)
        await asyncio.sleep(0)


class FakeMeter:
    def __init__(self, table: bytes | None) -> None:
        self.table = table
        self.answer: tuple[list[int | None], int] = ([5, -7], 0)

    async def read(self) -> tuple[list[int | None], int]:
        return self.answer


class Bench:
    """Sampler and sealer over a journal in memory."""

    def __init__(self, folder: Path, table: bytes | None = None, sectors: int = 8) -> None:
        self.clock = StepClock()
        self.flash = MemoryFlash(sectors)
        self.journal = Journal(self.flash)
        self.journal.start_boot()
        self.health = Health()
        self.meter = FakeMeter(table or table_of("1"))
        self.tables = 0
        self.seed = bytes(range(32))
        self.signer = Signer(self.seed, BUILD.device)
        book = Notebook(None)
        self.sealer = Sealer(Settings(), self.clock, self.journal, self.signer, BUILD, self.health, book, asyncio.Lock())
        self.store = TableStore(str(folder), 0)
        self.sampler = Sampler(
            Settings(), self.clock, self.meter, self.journal, self.store, BUILD, self.health, book, self.sealer.on_reading, self.on_table
        )

    def on_table(self) -> None:
        self.tables += 1

    def take(self, count: int = 1, step_s: int = 60) -> None:
        for _ in range(count):
            asyncio.run(self.sampler.take())
            self.clock.time = clocks.Time(self.clock.time.time_s + step_s, self.clock.time.quality)

    def seal(self) -> list[Statement]:
        """All that is due, each checked as a backend would."""
        before = {entry.identity for entry in self.journal.pending()}

        async def all_due() -> None:
            while await self.sealer.seal_next():
                pass

        asyncio.run(all_due())
        return [self.open(entry.identity) for entry in self.journal.pending() if entry.identity not in before]

    def open(self, identity: bytes) -> Statement:
        envelope = decode_envelope(self.journal.envelope(identity))
        signed, statement = open_statement(envelope.statement)
        cose.verify_sign1(signed, self.signer.cose_key)
        assert signed.identity == identity
        check_rows(statement, envelope.salt, envelope.rows, 2 if statement.kind == "readings" else None)
        return statement


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_bundle_is_due_when_it_is_full(bench: Bench) -> None:
    bench.take(3)
    assert bench.seal() == []
    bench.take()
    (statement,) = bench.seal()
    assert (statement.kind, statement.first_seq, statement.count, statement.start_s) == ("readings", 0, 4, 1_700_000_000)
    assert (statement.boot, statement.previous, statement.firmware, statement.tier) == (1, None, b"f" * 32, 1)
    assert (statement.channel, statement.clock, statement.channel_table) == (0, clocks.RTC, table_hash(table_of("1")))


def test_a_bundle_is_due_before_it_gets_too_old(bench: Bench) -> None:
    """At the reading after which waiting for the next one would make it older than bundle_max_s."""
    bench.take(step_s=300)
    assert bench.seal() == []
    bench.clock.time = clocks.Time(1_700_000_000 + 540, clocks.RTC)
    assert bench.seal() == []
    bench.clock.time = clocks.Time(1_700_000_000 + 541, clocks.RTC)
    assert [statement.count for statement in bench.seal()] == [1]


def test_statements_are_chained(bench: Bench) -> None:
    bench.take(12)
    first, second, third = bench.seal()
    identities = [entry.identity for entry in bench.journal.pending()]
    assert [first.previous, second.previous, third.previous] == [None, *identities[:2]]
    assert [first.first_seq, second.first_seq, third.first_seq] == [0, 4, 8]


def test_what_all_readings_of_a_bundle_share_seals_early_when_it_changes(bench: Bench) -> None:
    bench.take(2)
    bench.clock.time = clocks.Time(bench.clock.time.time_s, clocks.NTP)
    bench.take(1)
    bench.meter.table = table_of("2")
    bench.take(1)
    clock_before, clock_after = bench.seal()
    assert (clock_before.clock, clock_before.count) == (clocks.RTC, 2)
    assert (clock_after.clock, clock_after.count, clock_after.channel_table) == (clocks.NTP, 1, table_hash(table_of("1")))
    assert bench.tables == 2
    bench.clock.time = clocks.Time(bench.clock.time.time_s, clocks.RTC)
    (table_after,) = bench.seal()
    assert table_after.channel_table == table_hash(table_of("2")), "closed by the clock's quality alone, before the next reading"


def test_readings_of_an_earlier_boot_are_sealed_as_of_that_boot(bench: Bench, tmp_path: Path) -> None:
    bench.take(2)
    again = Bench(tmp_path)
    again.journal = again.sealer.journal = Journal(bench.flash)
    again.journal.start_boot()
    (statement,) = again.seal()
    assert (statement.boot, statement.count) == (1, 2)


def test_a_clock_that_falls_starts_another_bundle(bench: Bench) -> None:
    bench.take(2)
    bench.clock.time = clocks.Time(1_600_000_000, clocks.RTC)
    bench.take(1)
    (statement,) = bench.seal()
    assert statement.count == 2


def test_an_unsynced_clock(bench: Bench) -> None:
    """Seconds since boot with status 5; after the first sync these are sealed, and then one time repair."""
    bench.clock.time = clocks.Time(7, clocks.UNSYNCED)
    bench.take(2)
    assert bench.seal() == []
    bench.clock.first_sync = clocks.Sync(130, 1_700_000_130, clocks.NTP)
    bench.clock.time = clocks.Time(1_700_000_130, clocks.NTP)
    readings, repair = bench.seal()
    assert (readings.clock, readings.start_s) == (clocks.UNSYNCED, 7)
    assert [reading.status for reading in bench.journal.readings(0, 2)] == [5, 5]
    assert (repair.kind, repair.repair) == ("time-repair", Repair(1, 130, 1_700_000_130, clocks.NTP))
    bench.take(4)
    assert [statement.kind for statement in bench.seal()] == ["readings"], "repaired once"


def test_no_repair_without_unsynced_readings(bench: Bench) -> None:
    bench.clock.first_sync = clocks.Sync(1, 2, clocks.NTP)
    bench.take(4)
    assert [statement.kind for statement in bench.seal()] == ["readings"]


def test_a_silent_meter_never_seen_gives_no_readings(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.meter.table = None
    bench.meter.answer = ([None] * 2, 1)
    bench.take(2)
    assert bench.journal.next_seq == 0
    assert bench.health.counters["meter_never_seen"] == 2


def test_a_silent_meter_seen_before_gives_readings_without_data(bench: Bench, tmp_path: Path) -> None:
    """After a restart too, with the table it told then."""
    bench.take(1)
    again = Bench(tmp_path)
    again.meter.table = None
    again.meter.answer = ([None] * 4, 1)
    again.take(4)
    assert [(reading.registers, reading.status) for reading in again.journal.readings(0, 2)] == [([None, None], 1)] * 2
    (statement,) = again.seal()
    assert statement.channel_table == table_hash(table_of("1"))


def test_a_damaged_table_file_is_as_none(tmp_path: Path) -> None:
    store = TableStore(str(tmp_path), 0)
    assert store.load() is None
    store.save(table_of("1"))
    assert store.load() == table_of("1")
    (tmp_path / "channel-0.cbor").write_bytes(table_of("1")[:-1])
    assert store.load() is None


def test_meter_error_keeps_what_there_is(bench: Bench) -> None:
    bench.meter.answer = ([12, None], 3)
    bench.take(4)
    bench.seal()
    assert bench.journal.readings(0, 1)[0].registers == [12, None]
    assert bench.health.counters["taken_with_status_3"] == 4


def test_the_loop_takes_at_once_then_on_the_periods_grid_and_feeds(bench: Bench) -> None:
    async def story() -> None:
        bench.clock.time = clocks.Time(1_700_000_007, clocks.RTC)
        running = asyncio.create_task(bench.sampler.run())
        while bench.journal.next_seq < 4:
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(story())
    times = [reading.time_s for reading in bench.journal.readings(0, 4)]
    assert times[0] == 1_700_000_007
    assert all(time_s % 60 == 0 for time_s in times[1:])
    assert times[1:] == list(range(times[1], times[1] + 180, 60))
    assert bench.health.counters["rounds"] >= 3


def test_losses_are_told_first_and_once_until_the_node_answers(bench: Bench) -> None:
    bench.take(4)
    bench.journal.lose(100, 3, None, 2)
    gap, readings = bench.seal()
    assert (gap.kind, [tuple(lost) for lost in gap.lost]) == ("gap", [(100, 3, None, 2)])
    assert readings.kind == "readings"
    bench.journal.lose(200, 3, None, 2)
    assert bench.seal() == [], "one waits already"
    bench.sealer.on_answer()
    (gap,) = bench.seal()
    assert [lost.first_seq for lost in gap.lost] == [200]


def test_many_losses_take_several_statements(bench: Bench) -> None:
    for i in range(11):
        bench.journal.lose(1000 + 10 * i, 3, None, 2)
    named: list[int] = []
    while bench.journal.losses:
        bench.sealer.on_answer()
        named += [lost.first_seq for statement in bench.seal() for lost in statement.lost]
    assert sorted(named) == [1000 + 10 * i for i in range(11)]


def test_dropped_while_it_is_signed(tmp_path: Path) -> None:
    """The journal runs full in the middle of a signature: that statement never becomes one, and the losses name its readings."""
    bench = Bench(tmp_path, sectors=4)
    bench.take(4)

    class Slow:
        alg, kid = bench.signer.alg, bench.signer.kid

        async def sign(self, message: bytes) -> bytes:
            bench.sealer.signer = bench.signer
            while bench.journal.groups and bench.journal.groups[0].first_seq < 4:
                await bench.sampler.take()
            return bytes(64)

    bench.sealer.signer = Slow()
    assert asyncio.run(bench.sealer.seal_next())
    assert bench.health.counters["seal_overtaken"] == 1
    assert bench.journal.pending_count() == 0
    assert bench.journal.losses.items[0].record.first_seq == 0
    assert bench.seal()[0].kind == "gap"


def test_readings_the_flash_lost_are_given_up_and_named(bench: Bench) -> None:
    bench.take(4)
    bench.flash.content[90] ^= 1
    bench.journal.ring._loaded = -1
    with pytest.raises(Unavailable):
        bench.journal.readings(0, 4)
    (gap,) = bench.seal()
    assert [(lost.first_seq, lost.count, lost.reason) for lost in gap.lost] == [(0, 4, 2)]
    assert bench.journal.groups == []


def test_signature_is_the_devices(bench: Bench) -> None:
    bench.take(4)
    bench.seal()
    signed, _ = open_statement(decode_envelope(bench.journal.envelope(bench.journal.tip_identity)).statement)
    SigningKey(bench.seed).verify_key.verify(signed.signed, signed.signature)
