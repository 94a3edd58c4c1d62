"""A backend process for the crash tests: sends a fixed fleet's bundles in rounds and prints each ack. Contains no test."""

import asyncio
import sys
from pathlib import Path

from tests.evidence.fleet import Device, Sent
from tests.evidence.whole import open_whole

ROUNDS = 4
PER_ROUND = 3
COUNT = 4


def rounds_of(device: Device) -> list[list[Sent]]:
    """The same bytes in every process: a device sends again what was not acked."""
    return [[device.readings(COUNT) for _ in range(PER_ROUND)] for _ in range(ROUNDS)]


async def main(home: Path) -> None:
    meters = [Device("m1"), Device("m2")]
    async with open_whole(home, *meters) as whole:
        for parts in zip(*[rounds_of(meter) for meter in meters], strict=True):
            for meter, bundles in zip(meters, parts, strict=True):
                await whole.half.send(meter, *bundles)
                for ack in whole.half.replies():
                    print("ack", meter.name, ack.next_seq, ack.identity.hex(), ack.log_size, flush=True)
            await whole.anchor.anchor()
            print("anchored", whole.ledger.height, flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
