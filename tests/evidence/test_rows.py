"""The store beside the log: channel tables under their own hash, look-ups, limits."""

import asyncio
from pathlib import Path

import pytest

from server.evidence import log as log_module
from server.evidence import rows as rows_module
from shared import channel
from shared.errors import VerifyError
from tests.evidence.backend import open_half
from tests.evidence.fleet import TABLE, Device


def test_channel_tables_are_kept_once_up_to_a_limit_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "TABLES_MAX", 2)

    async def story() -> None:
        async with open_half(tmp_path) as half:
            store = half.store
            tables = [TABLE, TABLE.replace(b"SN-1", b"SN-2"), TABLE.replace(b"SN-1", b"SN-3")]
            await store.keep_tables(tables)
            await store.keep_tables(tables)
            found = [await store.channel_table(channel.table_hash(table)) for table in tables]
            assert found == [tables[0], tables[1], None]
            await store.writer.run(lambda conn: conn.execute("UPDATE channel_tables SET body = x'80'"))
            with pytest.raises(VerifyError, match="272"):
                await store.channel_table(channel.table_hash(TABLE))

    asyncio.run(story())


def test_readings_are_found_by_sequence(tmp_path: Path) -> None:
    async def story() -> None:
        meter, other = Device("m1"), Device("m2")
        async with open_half(tmp_path, meter, other) as half:
            await half.send(meter, meter.readings(10), meter.readings(1024), meter.readings(3))
            for seq, index in ((0, 0), (9, 0), (10, 1), (1033, 1), (1034, 2), (1036, 2), (1037, None)):
                assert await half.store.find_reading(meter.id, seq) == index
            assert await half.store.find_reading(other.id, 0) is None

    asyncio.run(story())


def test_what_waits_has_a_limit_in_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "QUEUE_BYTES_MAX", 1000)

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.send(meter, *[meter.readings() for _ in range(5)])
            assert half.ingest.counts["unavailable"] == 5 - half.log.head.size > 0
            await half.send(meter, meter.readings())
            assert half.log._queued_bytes == 0

    asyncio.run(story())


def test_findings_can_be_asked_for_by_kind_device_and_place(tmp_path: Path) -> None:
    async def story() -> None:
        meter, other = Device("m1", clock=4), Device("m2", clock=4)
        async with open_half(tmp_path, meter, other) as half:
            await half.send(meter, meter.readings(), meter.readings(tier=2))
            await half.send(other, other.readings())
            assert [row["kind"] for row in await half.store.findings()] == ["clock-simulated", "tier-differs", "clock-simulated"]
            assert len(await half.store.findings(kind="clock-simulated")) == 2
            assert [row["log_index"] for row in await half.store.findings(device=meter.id)] == [0, 1]
            assert [row["log_index"] for row in await half.store.findings(after=0)] == [1, 2]
            assert len(await half.store.findings(limit=1)) == 1

    asyncio.run(story())
