"""Prints what the embedded ledger does per second; asserts only that everything arrived."""

import asyncio
import time
from pathlib import Path

import pytest

from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.replay import replay_blocks
from tests.ledger.crash_child import point
from tests.ledger.world import GENESIS, NODE, TIME_S

COUNT = 2_000


def test_two_thousand_transactions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async def main() -> tuple[float, list[bytes], bytes, int]:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE, now_s=lambda: TIME_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(ledger.run())
            txs = [point(nonce) for nonce in range(COUNT)]
            start = time.perf_counter()
            receipts = await asyncio.gather(*(ledger.submit(tx) for tx in txs))
            seconds = time.perf_counter() - start
            assert all(receipt.code == 0 for receipt in receipts)
            blocks, app_hash, height = list(ledger.blocks()), ledger.app_hash, ledger.height
            await ledger.close()
        return seconds, blocks, app_hash, height

    seconds, blocks, app_hash, height = asyncio.run(main())
    start = time.perf_counter()
    assert replay_blocks(GENESIS, blocks).app_hash == app_hash
    replayed = time.perf_counter() - start
    size = (tmp_path / "ledger.sqlite").stat().st_size
    with capsys.disabled():
        rates = f"{COUNT / seconds:,.0f} tx/s in {height} blocks, replay {COUNT / replayed:,.0f} tx/s"
        print(f"\nembedded ledger: {rates}, {size / COUNT:,.0f} B/tx")
