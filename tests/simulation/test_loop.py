"""Simulated time: sleeping costs nothing, threads have none, and what nobody will ever end is told."""

import asyncio
import random
import threading
import time

import aiosqlite
import pytest

from tests.simulation.loop import StandsStill, VirtualLoop
from tests.simulation.plan import draw_plan
from tests.simulation.run import Simulation


def run(work: object) -> object:
    loop = VirtualLoop(random.Random(1))
    try:
        return loop.run_until_complete(work)
    finally:
        loop.close()


def test_a_year_of_sleep_takes_no_time() -> None:
    async def story() -> float:
        await asyncio.sleep(365 * 86400)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 3600)
        return asyncio.get_running_loop().time()

    started = time.perf_counter()
    assert run(story()) == pytest.approx(365 * 86400 + 3600)
    assert time.perf_counter() - started < 5


def test_threads_run_here_while_others_go_on() -> None:
    async def story() -> tuple[object, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.0001)
                ticks += 1

        ticking = asyncio.ensure_future(tick())
        thread = await asyncio.to_thread(threading.current_thread)
        ticking.cancel()
        return thread, ticks

    thread, ticks = run(story())
    assert thread is threading.current_thread()
    assert ticks > 0


def test_what_stands_still_is_told() -> None:
    with pytest.raises(StandsStill):
        run(asyncio.Event().wait())


def test_sets_of_tasks_have_an_order() -> None:
    async def story() -> list[int]:
        tasks = {asyncio.ensure_future(asyncio.sleep(0, number)) for number in range(50)}
        return [await task for task in tasks]

    assert run(story()) == run(story())


def test_the_world_is_put_back(tmp_path: object) -> None:
    """After a run, time passes again and aiosqlite has its threads."""
    simulation = Simulation(1, tmp_path, hours=0.01)
    before = time.time, time.monotonic, threading.Thread, asyncio.get_event_loop_policy()
    assert not simulation.run().violations
    assert (time.time, time.monotonic, aiosqlite.core.Thread, asyncio.get_event_loop_policy()) == before


def test_plans_differ_and_say_the_same_again() -> None:
    plans = [draw_plan(random.Random(seed)) for seed in (1, 1, 2)]
    assert plans[0] == plans[1] != plans[2]
