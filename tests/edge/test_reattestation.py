"""The device tells anew what it is and runs once a day, on a connection that holds. Where a day is long, it is a fifth of a second here."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest

from edge import device, uplink
from edge.config import decode_config
from tests.edge.conftest import Site
from tests.edge.device import until
from tests.edge.meter import MODEL

DAY_MS = 86_400_000


@contextlib.asynccontextmanager
async def agent(site: Site) -> AsyncIterator[Site]:
    """The agent in this process."""
    async with site.running(start=False) as running:
        settings = decode_config(json.dumps(running.device.config))
        task = asyncio.create_task(device.run(settings, device.prepare(settings)))
        try:
            yield running
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def test_every_day(gateway: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert uplink.REATTEST_MS == DAY_MS
    monkeypatch.setattr(uplink, "REATTEST_MS", 200)

    async def story() -> None:
        async with agent(gateway) as running:
            node = running.node
            await until(lambda: len(node.log) >= 1)
            before = len(node.evidence)
            await until(lambda: node.evidence[-1].channels and len(node.evidence) >= before + 3)
            assert len({evidence.nonce for evidence in node.evidence}) == len(node.evidence), "never the same challenge twice"
            assert running.broker.connects == 1

    monkeypatch.setattr(uplink, "HELLO_MS_MAX", 200)  # before the first ack
    asyncio.run(story())


def test_a_challenge_that_is_lost_costs_no_day(gateway: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The meter's table changes, and the challenges after it vanish: the device says hello again soon."""
    monkeypatch.setattr(uplink, "HELLO_MS", 50)

    async def story() -> None:
        async with agent(gateway) as running:
            node, lost = running.node, []

            def lose(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
                if not topic.endswith("challenge") or len(lost) >= 2:
                    return [(topic, payload)]
                lost.append(payload)
                return []

            await until(lambda: len(node.log) >= 1 and node.evidence[-1].channels)
            known = dict(node.evidence[-1].channels)
            running.broker.to_device = lose
            running.meter.words[MODEL + 54] = 1
            await until(lambda: len(lost) == 2 and node.evidence[-1].channels != known)
            assert running.broker.connects == 1

    asyncio.run(story())
