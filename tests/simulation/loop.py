"""An asyncio event loop in simulated time: it never waits, never opens a socket and has no thread, so one seed gives one run.

In: coroutines. Out: the same order of events every time. Sleeping moves the clock; work for other threads runs here, a seeded moment
later; tasks and futures hash by number, so that a set of them has an order.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Coroutine
from typing import Any

THREAD_DELAY_S_MAX = 0.004  # how long work for another thread takes


class StandsStill(Exception):
    """Nothing will ever happen again: everybody waits for somebody else."""


class SimTask(asyncio.Task):
    """A task whose hash does not depend on where it lies in memory."""

    def __init__(self, coro: Coroutine[Any, Any, Any], number: int, **kwargs: Any) -> None:
        self._number = number  # first: the base class puts it into a set
        super().__init__(coro, **kwargs)

    def __hash__(self) -> int:
        return self._number


class SimFuture(asyncio.Future):
    """A future whose hash does not depend on where it lies in memory."""

    def __init__(self, number: int, **kwargs: Any) -> None:
        self._number = number
        super().__init__(**kwargs)

    def __hash__(self) -> int:
        return self._number


class _Clock:
    """Stands where the selector stands: waiting for files that never come is how time passes."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def select(self, timeout: float | None) -> list[Any]:
        if timeout is None:
            raise StandsStill("no task is ready and no timer runs")
        self.now_s += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.BaseEventLoop):
    """`threads`: the random numbers that say how long work for another thread takes."""

    def __init__(self, threads: random.Random) -> None:
        super().__init__()
        self._selector = _Clock()
        self._clock_resolution = 1e-6
        self._threads = threads
        self._numbering = itertools.count()
        self.set_task_factory(lambda loop, coro, **kwargs: SimTask(coro, next(self._numbering), loop=loop, **kwargs))
        self.slow_callback_duration = 1e9

    def time(self) -> float:
        return self._selector.now_s

    def create_future(self) -> SimFuture:
        return SimFuture(next(self._numbering), loop=self)

    def run_in_executor(self, executor: object, func: Callable[..., Any], *args: Any) -> asyncio.Future:
        """As a thread would, but here: done after a moment, in which other tasks run."""
        return self.later(self.time() + self._threads.uniform(0, THREAD_DELAY_S_MAX), func, *args)

    def later(self, when_s: float, func: Callable[..., Any], *args: Any) -> asyncio.Future:
        """The future of a call at that time."""
        future = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as error:
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():
                    future.set_result(result)

        self.call_at(when_s, work)
        return future

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _write_to_self(self) -> None:
        pass


class InlineQueue:
    """Stands in for the queue to a connection's thread in aiosqlite: jobs run here, one after the other, each a seeded moment later."""

    def __init__(self) -> None:
        self._free_s = 0.0

    def put_nowait(self, item: tuple[asyncio.Future | None, Callable[[], Any]]) -> None:
        future, function = item
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # a connection that nobody closed, found by the garbage collector after the run
            function()
            return
        assert isinstance(loop, VirtualLoop), "aiosqlite is used outside the simulation"
        self._free_s = max(self._free_s + 1e-6, loop.time() + loop._threads.uniform(0, THREAD_DELAY_S_MAX))
        loop.call_at(self._free_s, _finish, future, function)


def _finish(future: asyncio.Future | None, function: Callable[[], Any]) -> None:
    try:
        result = function()
    except BaseException as error:
        if future is not None and not future.done():
            future.set_exception(error)
    else:
        if future is not None and not future.done():
            future.set_result(result)


class NoThread:
    """Stands in for the thread of a connection in aiosqlite."""

    def __init__(self, **_: object) -> None:
        pass

    def start(self) -> None:
        pass
