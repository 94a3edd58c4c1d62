"""Counters and the watchdog. In: events by name. Out: one status line. Never decides anything.

`feed()` is called by the sampling loop once a round: on a board it feeds the hardware watchdog, so that a hung bus or a dead loop ends in a
reset; elsewhere it only counts.
"""

COUNTERS_MAX = 48


class Health:
    def __init__(self, watchdog: object | None = None) -> None:
        self.counters: dict[str, int] = {}
        self._watchdog = watchdog

    def _known(self, name: str) -> str:
        return name if name in self.counters or len(self.counters) < COUNTERS_MAX else "other"

    def count(self, name: str, amount: int = 1) -> None:
        name = self._known(name)
        self.counters[name] = self.counters.get(name, 0) + amount

    def set(self, name: str, value: int) -> None:
        self.counters[self._known(name)] = value

    def feed(self) -> None:
        self.count("rounds")
        if self._watchdog is not None:
            self._watchdog.feed()

    def line(self) -> str:
        """`name=value` pairs by name."""
        return " ".join([f"{name}={self.counters[name]}" for name in sorted(self.counters)])
