"""Rows of the bench: what was measured, beside its limit and its goal.

In: figures. Out: rows, JSON, the values of an earlier JSON. Never measures anything.
"""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from server.bench.clock import Figure
from shared.errors import DecodeError

FORMAT = "meterproof/bench/1"
ESP32_SLOWER = 50  # an ESP32 at 240 MHz beside this kind of host, on big integers; right within a factor of two


@dataclass(frozen=True)
class Row:
    """One figure.

    id          stable: comparisons and later goals name it
    limit       what the bare primitives of the same run reach, in the same unit
    goal        what is asked for; `goal_ratio` asks for a part of the limit
    more        whether more is better
    low, high   the worst and best (or best and worst) of the repetitions, where there were several
    esp32       an estimate for an ESP32, never a measurement
    """

    id: str
    group: str
    what: str
    value: float
    unit: str
    limit: float | None = None
    goal: float | None = None
    more: bool = True
    goal_ratio: float | None = None
    low: float | None = None
    high: float | None = None
    esp32: float | None = None

    @property
    def ratio(self) -> float | None:
        """The part of the limit that is reached: 1 is the limit itself, whether more or less is better."""
        if not self.limit or not self.value:
            return None
        return self.value / self.limit if self.more else self.limit / self.value

    @property
    def holds(self) -> bool | None:
        """Whether every goal that was named is met; None without one."""
        checks = []
        if self.goal is not None:
            checks.append(self.value >= self.goal if self.more else self.value <= self.goal)
        if self.goal_ratio is not None:
            checks.append(self.ratio is not None and self.ratio >= self.goal_ratio)
        return all(checks) if checks else None


def row(
    id: str,
    group: str,
    what: str,
    found: Figure,
    unit: str,
    *,
    limit: float | None = None,
    goal: float | None = None,
    more: bool = True,
    goal_ratio: float | None = None,
    on_device: bool = False,
) -> Row:
    """A row of a figure that has a spread; `on_device` adds the estimate for an ESP32."""
    esp32 = found.median * ESP32_SLOWER if on_device else None
    return Row(id, group, what, found.median, unit, limit, goal, more, goal_ratio, found.low, found.high, esp32)


def to_json(rows: Sequence[Row], quick: bool = False) -> str:
    """The file `build/bench.json`."""
    values = [{**asdict(row), "ratio": row.ratio, "holds": row.holds} for row in rows]
    machine = {"python": platform.python_version(), "architecture": platform.machine(), "cores": os.cpu_count()}
    return json.dumps({"format": FORMAT, "quick": quick, "machine": machine, "rows": values}, indent=1) + "\n"


@dataclass(frozen=True)
class Earlier:
    """What an earlier run found: id → value, and whether that run was quick."""

    values: dict[str, float]
    quick: bool


def read_earlier(path: Path) -> Earlier:
    """The file of an earlier run. Raises DecodeError 195."""
    try:
        document: Any = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError
        return Earlier({str(row["id"]): float(row["value"]) for row in document["rows"]}, bool(document["quick"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise DecodeError(195, f"{path}: not a file of an earlier bench") from None
