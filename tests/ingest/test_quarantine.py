"""Quarantine: samples with reasons, never more than the caps."""

import asyncio
from pathlib import Path

from server.evidence.rows import open_evidence_store
from server.ingest.quarantine import Quarantine
from shared.errors import DecodeError


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
