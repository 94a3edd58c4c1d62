"""The device is killed at named points of a reading's way, in both interpreters: nothing taken is lost, nothing is there twice."""

import asyncio
import signal
from pathlib import Path

import pytest

from server.main import Backend
from tests.e2e.site import WAIT_S, Site, until

DEADLY = str(Path(__file__).with_name("deadly.py"))
POINTS = {
    "boot-counted": 1,
    "record-half-written": 12,
    "reading-durable": 7,
    "statement-signed": 3,
    "statement-durable": 3,
    "published": 4,
    "ack-verified": 3,
    "flag-cleared": 5,
    "sector-opened": 2,
    "sector-half-erased": 1,
}
HEAP_WITH_DEADLY = "320k"  # what makes it die is compiled in its heap
FAST = {"kind": "simulated", "epoch_s": 1_700_000_000, "scale_milli": 30_000}


async def killed_at(site: Site, point: str) -> None:
    """The device as it is started, but for its death at that point."""
    device = site.device
    usual = device.entry, device.arguments, device.heap
    device.entry, device.arguments, device.heap = [DEADLY], [point], HEAP_WITH_DEADLY
    await device.start()
    assert await asyncio.wait_for(device.process.wait(), WAIT_S) == -signal.SIGKILL, device.output[-5:]
    device.entry, device.arguments, device.heap = usual


async def story(site: Site, points: list[str]) -> None:
    async with site.opened():
        site.device.config["clock"] = FAST | {"wall_ms": site.device.config["clock"]["wall_ms"]}
        site.device.config["flash"] = {"path": str(site.folder / "flash"), "sectors": 6}
        async with Backend(site.config) as backend:
            await site.device.start()
            await site.enroll(backend)
            await until(lambda: site.device.count("freed") >= 2)
            await site.device.kill()
            for point in points:
                await killed_at(site, point)
            size = backend.evidence.head.size
            await site.device.start()
            await until(lambda: backend.evidence.head.size >= size + 3)
            await site.drain()
        await site.check_whole()


def test_killed_between_sealing_and_publishing_and_with_an_ack_in_hand(gateway: Site) -> None:
    asyncio.run(story(gateway, ["statement-durable:2", "published:2", "ack-verified:2"]))


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_point(site: Site, point: str) -> None:
    asyncio.run(story(site, [f"{point}:{POINTS[point]}", f"{point}:1"]))
