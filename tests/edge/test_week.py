"""A week on a small heap: the whole agent in MicroPython, scaled time, a meter, a broker and a node; the broker goes away once a day."""

import asyncio
import time
from pathlib import Path

import pytest

from tests.edge.conftest import Site
from tests.edge.device import Device, until

HEAP = "160k"
WEEK_S = 7 * 86_400
START_S = 1_700_000_000
SCALE_MILLI = 4_000_000  # a week in two and a half minutes
IDLE_FREE_BYTES_MIN = 24 * 1024


@pytest.mark.slow
def test_a_week_on_the_heap_of_the_demonstration(tmp_path: Path, images: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with as much room as it began with: nothing leaks, and nothing of the heap is cut in pieces too small to use."""
    monkeypatch.setattr("tests.edge.device.HEAP", HEAP)
    site = Site(tmp_path, "micropython", images["micropython"])
    free: dict[int, list[int]] = {}

    async def story() -> None:
        flash = {"path": str(tmp_path / "flash"), "sectors": 256}
        async with site.running(start=False, period_s=60, bundle_count=60, flash=flash) as running:
            device, node = running.device, running.node
            device.config["clock"].update(scale_milli=SCALE_MILLI, wall_ms=int(time.time() * 1000))
            await device.start()
            watch = asyncio.create_task(record(device, free))
            for day in range(7):
                await until(lambda day=day: device.count("time_s") > START_S + day * 86_400 + 43_200, 120)
                await running.broker.stop()
                await until(lambda day=day: device.count("time_s") > START_S + day * 86_400 + 50_400, 60)
                await running.broker.start()
            await until(lambda: device.count("time_s") > START_S + WEEK_S, 120)
            await until(lambda: device.count("unacked") <= 1, 400)  # the longest pause before something is sent again, and more
            watch.cancel()
            assert device.process.returncode is None, "it still runs"
            assert device.count("boot") == 1 and node.lost == set()
            node.check_no_equivocation()

    asyncio.run(story())
    # A line that is printed while something is signed or sent shows less; of a day, the most is the agent at rest.
    rest = [max(free[day]) for day in range(7)]
    print("free bytes at rest, day by day:", rest, "least of all:", min(min(values) for values in free.values()))
    assert min(rest) >= IDLE_FREE_BYTES_MIN
    assert min(rest[1:]) >= rest[0] - 2048, "no less from day to day"


async def record(device: Device, free: dict[int, list[int]]) -> None:
    while True:
        if "heap_free_bytes" in device.status:
            day = (device.count("time_s") - START_S) // 86_400
            free.setdefault(day, []).append(device.count("heap_free_bytes"))
        await asyncio.sleep(0.5)
