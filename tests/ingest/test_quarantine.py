"""Quarantine: samples with reasons, never more than the caps."""

import asyncio
from pathlib import Path

import pytest

from server.evidence.rows import open_evidence_store
from server.ingest.quarantine import WAITING_MAX, Quarantine
from shared.errors import DecodeError, Unavailable


def test_the_oldest_goes_when_count_or_bytes_are_reached(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_evidence_store(tmp_path / "evidence.sqlite") as store:
            quarantine = Quarantine(store, count_max=4, bytes_max=100)
            for number in range(6):
                await quarantine.put("topic", bytes([number]), DecodeError(100, "short"), 1000 + number)
            assert [row["body"][0] for row in await quarantine.list()] == [5, 4, 3, 2]
            assert quarantine.dropped == 2 and quarantine.counts == {100: 6}
            await quarantine.put("topic", bytes(98), DecodeError(101, "long"), 2000)
            assert [len(row["body"]) for row in await quarantine.list()] == [98, 1, 1]
            await quarantine.put("t" * 5000, bytes(70_000), DecodeError(106, "huge"), 3000)
            (row,) = await quarantine.list()
            assert (row["code"], row["reason"], row["bytes"], len(row["body"]), len(row["topic"])) == (106, "huge", 70_000, 100, 256)

    asyncio.run(story())


def test_of_a_flood_some_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_evidence_store(tmp_path / "evidence.sqlite") as store:
            quarantine = Quarantine(store)
            error = DecodeError(100, "noise")
            await asyncio.gather(*(quarantine.put("topic", bytes([number % 256]), error, number) for number in range(300)))
            kept = await quarantine.list(1000)
            assert quarantine.counts == {100: 300} and len(kept) + quarantine.skipped == 300
            assert 0 < len(kept) <= 1 + WAITING_MAX and quarantine.dropped == 0
            await quarantine.put("topic", b"later", error, 300)
            assert (await quarantine.list(1))[0]["body"] == b"later"

    asyncio.run(story())


def test_a_store_that_cannot_write_now_takes_samples_later(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_evidence_store(tmp_path / "evidence.sqlite") as store:
            quarantine, real = Quarantine(store), store.writer

            class Full:
                async def run(self, work: object) -> int:
                    raise Unavailable(400, "disk full")

            store.writer = Full()
            with pytest.raises(Unavailable):
                await quarantine.put("topic", b"1", DecodeError(100, "noise"), 1)
            store.writer = real
            await quarantine.put("topic", b"2", DecodeError(100, "noise"), 2)
            assert [row["body"] for row in await quarantine.list()] == [b"2"] and quarantine.skipped == 1

    asyncio.run(story())
