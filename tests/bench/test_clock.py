"""server/bench/clock: medians, spreads, rates. Nothing here depends on how fast this machine is."""

import pytest

from server.bench import clock
from server.bench.clock import Figure, figure


def test_median_least_and_most() -> None:
    assert figure([3.0, 1.0, 100.0]) == Figure(3.0, 1.0, 100.0)
    assert figure([2.0]) == Figure(2.0, 2.0, 2.0)


def test_the_longest_time_is_the_lowest_rate() -> None:
    assert Figure(0.5, 0.25, 1.0).per_second(10) == Figure(20.0, 10.0, 40.0)
    assert Figure(2.0, 1.0, 3.0).scaled(1000) == Figure(2000.0, 1000.0, 3000.0)


def test_work_is_called_as_often_as_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(clock.time, "perf_counter", lambda: float(next(ticks)))
    calls: list[None] = []
    assert clock.seconds(lambda: calls.append(None), 3) == Figure(1.0, 1.0, 1.0) and len(calls) == 3
    assert clock.each(lambda: calls.append(None), 4, 2) == Figure(0.25, 0.25, 0.25) and len(calls) == 3 + 8
