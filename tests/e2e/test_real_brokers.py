"""Real brokers that are killed, stand still and are slow, between a real device and a real backend: every reading arrives, once."""

import asyncio
from pathlib import Path

import aiomqtt
import pytest

from server.bench.brokers import KINDS
from server.ingest.mqtt import PAYLOAD_BYTES_MAX
from server.main import Backend
from tests.e2e.real_broker import RealBroker
from tests.e2e.site import Site, until

SLOW_BYTES_PER_S = 300  # a bundle of this device has about as many, and it seals four a second


@pytest.fixture(params=KINDS)
def site(request: pytest.FixtureRequest, tmp_path: Path, images: dict[str, Path]) -> Site:
    """MicroPython with mosquitto, a gateway with amqtt."""
    interpreter = "micropython" if request.param == "mosquitto" else "cpython"
    return Site(tmp_path, interpreter, images[interpreter], RealBroker(request.param, tmp_path))


async def running(site: Site) -> None:
    """Enrolled, and a backend of its own process."""
    async with Backend(site.config) as backend:
        await site.device.start()
        await site.enroll(backend)
    await site.serve()
    await until(lambda: site.device.count("freed") >= 2)


async def piles_up(site: Site, bundles: int = 6) -> None:
    """The device goes on reading and sealing though nobody answers."""
    taken = site.device.count("taken")
    await until(lambda: site.device.count("unacked") >= bundles and site.device.count("taken") > taken)


async def is_answered(site: Site) -> None:
    """What piled up goes out again."""
    freed = site.device.count("freed")
    await until(lambda: site.device.count("freed") >= freed + 4)


async def ended(site: Site) -> None:
    await site.drain()
    await site.stop_serve()
    await site.check_whole()


@pytest.mark.slow
def test_killed_and_started_again_twice(site: Site) -> None:
    async def story() -> None:
        async with site.opened():
            await running(site)
            for _ in range(2):
                await site.broker.kill()
                await piles_up(site)
                await site.broker.start()
                await is_answered(site)
            await ended(site)

    asyncio.run(story())


@pytest.mark.slow
def test_killed_while_the_backend_is_down_too(site: Site) -> None:
    """The broker said PUBACK for what the backend never saw."""

    async def story() -> None:
        async with site.opened():
            await running(site)
            await site.kill_serve()
            published = site.device.count("published")
            await until(lambda: site.device.count("published") > published)
            await site.broker.kill()
            await site.broker.start()
            await site.serve()
            await is_answered(site)
            await ended(site)

    asyncio.run(story())


@pytest.mark.slow
def test_standing_still_with_open_connections(site: Site) -> None:
    async def story() -> None:
        async with site.opened():
            await running(site)
            site.broker.pause()
            await piles_up(site)
            site.broker.go_on()
            await is_answered(site)
            await ended(site)

    asyncio.run(story())


@pytest.mark.slow
def test_a_line_slower_than_what_is_measured(site: Site) -> None:
    async def story() -> None:
        async with site.opened():
            await running(site)
            site.broker.line.bytes_per_s = SLOW_BYTES_PER_S
            await piles_up(site)
            carried = site.broker.line.carried
            await until(lambda: site.broker.line.carried > carried + 2 * SLOW_BYTES_PER_S)
            site.broker.line.bytes_per_s = 0
            await is_answered(site)
            await ended(site)

    asyncio.run(story())


@pytest.mark.slow
def test_mosquitto_passes_on_nothing_longer_than_any_bundle(tmp_path: Path) -> None:
    async def story() -> None:
        async with (
            RealBroker("mosquitto", tmp_path) as broker,
            aiomqtt.Client("127.0.0.1", broker.own_port) as node,
            aiomqtt.Client("127.0.0.1", broker.own_port) as stranger,
        ):
            await node.subscribe("meterproof/v1/+/+/bundle", qos=1)
            for length in (PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MAX + 1, 1 << 24, 1):
                await stranger.publish("meterproof/v1/o/d/bundle", bytes(length), qos=1)
            async with asyncio.timeout(20):
                lengths = [len((await anext(node.messages)).payload) for _ in range(2)]
            assert lengths == [PAYLOAD_BYTES_MAX, 1]

    asyncio.run(story())
