"""The measured watts as what a meter would show: power now, and energy exported and imported so far.

In: a CSV of (ISO time, watts) in equal steps. Out: exact integers at any second. Power holds from its minute to the next.
Never uses a float: a reading must not depend on the machine that replays it.
"""

import csv
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from pathlib import Path

from shared.errors import DecodeError

CSV_PATH = Path(__file__).parent / "data" / "serf_east_1min_ac_power.csv"
UNITS_PER_W = 100_000  # the CSV has up to five decimals
ROWS_MAX = 1_000_000


@dataclass(frozen=True)
class Registers:
    """What a meter shows at one instant: watt-hours so far in each direction, watts now (export positive)."""

    export_wh: int
    import_wh: int
    power_w: int


@dataclass(frozen=True)
class Profile:
    """Power in 1/100,000 W for each step, and the energy before each step in 1/100,000 W·s."""

    first_local: datetime
    step_s: int
    power: tuple[int, ...]
    exported: tuple[int, ...]
    imported: tuple[int, ...]

    @property
    def duration_s(self) -> int:
        return self.step_s * len(self.power)

    def at(self, second: int) -> Registers:
        """The registers `second` seconds after the start; before and after it, the first and last minute's power and no more energy."""
        second = min(max(second, 0), self.duration_s)
        step = min(second // self.step_s, len(self.power) - 1)
        power, elapsed_s = self.power[step], second - step * self.step_s
        per_wh = 3600 * UNITS_PER_W
        return Registers(
            (self.exported[step] + max(power, 0) * elapsed_s) // per_wh,
            (self.imported[step] + max(-power, 0) * elapsed_s) // per_wh,
            (power + UNITS_PER_W // 2) // UNITS_PER_W,
        )

    def shifted(self, shift_s: int) -> "Profile":
        """The same days beginning `shift_s` later in the record; what comes before is moved to the end."""
        steps = shift_s // self.step_s % len(self.power)
        return build_profile(self.first_local, self.step_s, self.power[steps:] + self.power[:steps])


def build_profile(first_local: datetime, step_s: int, power: tuple[int, ...]) -> Profile:
    exported = tuple(accumulate((max(p, 0) * step_s for p in power), initial=0))
    imported = tuple(accumulate((max(-p, 0) * step_s for p in power), initial=0))
    return Profile(first_local, step_s, power, exported, imported)


def read_profile(path: Path = CSV_PATH) -> Profile:
    """Reads the CSV. Raises DecodeError 195 where it has no number, no time, unequal steps or fewer than two rows."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1 : ROWS_MAX + 1]
        times = [datetime.fromisoformat(row[0]) for row in rows]
        power = tuple(_units(row[1]) for row in rows)
    except (OSError, ValueError, IndexError, InvalidOperation) as error:
        raise DecodeError(195, f"{path.name}: not rows of time and watts") from error
    if len(times) < 2:
        raise DecodeError(195, f"{path.name}: fewer than two rows")
    step_s = int((times[1] - times[0]).total_seconds())
    if step_s <= 0 or any((b - a).total_seconds() != step_s for a, b in zip(times, times[1:], strict=False)):
        raise DecodeError(195, f"{path.name}: times are not in equal steps")
    return build_profile(times[0], step_s, power)


def _units(text: str) -> int:
    value = Decimal(text) * UNITS_PER_W
    if not value.is_finite() or value != value.to_integral_value():
        raise ValueError("watts with more than five decimals")
    return int(value)
