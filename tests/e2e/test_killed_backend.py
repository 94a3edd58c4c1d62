"""The backend is killed at points of its commit order while a real device sends: what it acked it has, and its log has one history."""

import asyncio
import signal

import pytest

from server.main import Backend
from shared import messages
from shared.statement import open_statement
from tests.e2e.site import WAIT_S, Site, until

POINTS = ("entries-written", "tiles-written", "checkpoint-signed", "head-before-commit", "head-swapped", "published")
LEDGER_POINTS = ("ledger-before-commit", "ledger-after-commit", "ledger-tiles-written", "ledger-published")


async def enrolled(site: Site) -> None:
    """The device is known and runs; no backend does."""
    async with Backend(site.config) as backend:
        await site.device.start()
        await site.enroll(backend)
        await until(lambda: site.broker.acks)


async def kill_at(site: Site, point: str) -> None:
    """A backend that dies at that point while the device sends; what it said before, it must have written before."""
    before = site.checkpoint()
    said = len(site.broker.acks)
    process = await site.serve(point)
    assert await asyncio.wait_for(process.wait(), WAIT_S) == -signal.SIGKILL
    assert len(site.broker.acks) >= said
    site.check_grown_from(before)
    check_acked_is_stored(site, site.broker.acks[-1])


def check_acked_is_stored(site: Site, ack: messages.Ack) -> None:
    """Every sequence below `next_seq` stands in a statement of the published log. Only the head was swapped, perhaps, before the kill, so
    the log may hold more than it has published; never less than it has acked."""
    held: set[int] = set()
    for data in site.entries():
        statement = open_statement(data)[1]
        if statement.kind == "readings":
            held.update(range(statement.first_seq, statement.first_seq + statement.count))
    assert set(range(ack.next_seq)) <= held
    assert ack.log_size <= site.checkpoint().size


async def recover(site: Site) -> None:
    """A backend that lives, till nothing is left on the device."""
    old, said = site.checkpoint(), len(site.broker.acks)
    await site.serve()
    await until(lambda: len(site.broker.acks) > said)
    await site.drain()
    await site.stop_serve()
    site.check_grown_from(old)
    check_acked_is_stored(site, site.broker.acks[-1])
    await site.check_whole()


def test_killed_at_three_points_in_a_row(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.opened():
            await enrolled(gateway)
            for point in ("tiles-written:2", "head-swapped:1", "ledger-after-commit:2"):
                await kill_at(gateway, point)
            await recover(gateway)

    asyncio.run(story())


@pytest.mark.slow
@pytest.mark.parametrize("nth", [1, 3])
@pytest.mark.parametrize("point", POINTS + LEDGER_POINTS)
def test_killed_at_every_point(site: Site, point: str, nth: int) -> None:
    async def story() -> None:
        async with site.opened():
            await enrolled(site)
            await kill_at(site, f"{point}:{nth}")
            await recover(site)

    asyncio.run(story())
