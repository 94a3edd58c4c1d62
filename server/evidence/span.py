"""What findings and rollups need of a bundle's readings: its ends, and the registers between them that did not run steadily.

In: columns, the channel table that gives them meaning. Out: a Span, small enough to wait for its round. Never anything that is signed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.types import ChannelTable, Register

from .columns import Columns

POWER_W_MAX = 100_000_000  # beyond any meter of this kind: 100 MW
_PER_HOUR = {"Wh", "varh"}
Pairs = Sequence[tuple[int | None, int | None]]  # (time, value)


@dataclass(frozen=True, slots=True)
class Span:
    """Times and registers of the first and the last reading; `between`: (time, value) of each cumulative register that is not steady."""

    first_s: int
    last_s: int
    first: list[int | None]
    last: list[int | None]
    between: dict[int, Pairs]

    def of_register(self, number: int) -> Pairs:
        """All that has to be looked at: between the ends of a steady register nothing falls and nothing leaps."""
        return self.between.get(number) or [(self.first_s, self.first[number]), (self.last_s, self.last[number])]


def build_span(columns: Columns, table: ChannelTable | None) -> Span:
    """Without a table, or with one of another number of registers, no register means anything."""
    between: dict[int, Pairs] = {}
    if table is not None and len(table.registers) == len(columns.registers):
        for number, (register, values) in enumerate(zip(table.registers, columns.registers, strict=True)):
            if register.kind == "cumulative" and not is_steady(register, values):
                between[number] = list(zip(columns.times, values, strict=True))
    return Span(columns.times[0], columns.times[-1], columns.registers_at(0), columns.registers_at(-1), between)


def is_steady(register: Register, values: Sequence[int | None]) -> bool:
    """Whether it never falls, and would be plausible if all of it had come in one second."""
    if None in values:
        return False
    numbers: list[int] = values  # type: ignore[assignment]
    return numbers == sorted(numbers) and not is_implausible(register, numbers[-1] - numbers[0], 1)


def is_implausible(register: Register, change: int, seconds: int) -> bool:
    """change × 10^exponent Wh in that time is more than POWER_W_MAX, in integers."""
    if register.unit not in _PER_HOUR or change <= 0:
        return False
    exponent = int(register.exponent)
    up, down = int(10 ** max(exponent, 0)), int(10 ** max(-exponent, 0))
    return bool(change * up * 3600 > POWER_W_MAX * max(seconds, 1) * down)
