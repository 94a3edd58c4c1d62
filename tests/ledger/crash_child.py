"""A process that commits points until a failpoint or a signal kills it; prints the nonces it was promised. Contains no test."""

import asyncio
import sys

from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.transactions import build_tx
from tests.ledger.world import ADMIN, CHAIN, GENESIS, NODE, ORG, TIME_S


def point(nonce: int) -> bytes:
    return build_tx(ADMIN, CHAIN, ORG, nonce, "point.create", {1: f"point {nonce}", 2: None, 3: "UTC"})


async def commit_points(home: str, count: int) -> None:
    ledger = await EmbeddedLedger.open(home, GENESIS, NODE, now_s=lambda: TIME_S)
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.run())
        for nonce in range(ledger.nonce(ADMIN.kid), count):
            await ledger.submit(point(nonce))
            print(nonce, flush=True)
        await ledger.close()


if __name__ == "__main__":
    asyncio.run(commit_points(sys.argv[1], int(sys.argv[2])))
