"""How long something takes. In: a callable. Out: a Figure: the median of several runs with the least and the most. Never judges."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """The median of several measurements, the least and the most of them."""

    median: float
    low: float
    high: float

    def scaled(self, factor: float) -> "Figure":
        """The same in another unit."""
        return Figure(self.median * factor, self.low * factor, self.high * factor)

    def per_second(self, count: float = 1) -> "Figure":
        """Times become rates of `count` things; the longest time is the lowest rate."""
        return Figure(count / self.median, count / self.high, count / self.low)


def figure(values: Sequence[float]) -> Figure:
    """Of one measurement or more."""
    return Figure(statistics.median(values), min(values), max(values))


def timed(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def seconds(work: Callable[[], object], repeats: int = 5) -> Figure:
    """Wall time of one call."""
    return figure([timed(work) for _ in range(repeats)])


def each(work: Callable[[], object], count: int, repeats: int = 5) -> Figure:
    """Wall time of one of `count` calls in a row, the call of `work` itself included: some 30 ns."""

    def many() -> None:
        for _ in range(count):
            work()

    return seconds(many, repeats).scaled(1 / count)
