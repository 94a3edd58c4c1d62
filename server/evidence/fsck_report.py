"""What fsck reports, and the arithmetic of ranges it counts with.

In: numbers and sentences. Out: a Report; half-open ranges. Never reads a file.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PROBLEMS_MAX = 1000


@dataclass(slots=True)
class Report:
    """`ok` when there is no problem. `devices`: text id → what is stored of it; `served`: False for a home without anything to check;
    `first_start_cut`: its first start ended before anything was acknowledged, and nothing else was checked."""

    statements: int = 0
    readings: int = 0
    gaps: int = 0
    lost: int = 0
    duplicates: int = 0
    untrusted: int = 0
    batches: int = 0
    blocks: int = 0
    log_size: int = 0
    unanchored: int = 0
    devices: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    derived_problems: list[str] = field(default_factory=list)
    repaired: bool = False
    served: bool = True
    first_start_cut: bool = False

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems and not self.derived_problems

    def problem(self, text: str) -> None:
        """Notes what cannot be rebuilt."""
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(text)


def melt(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Half-open ranges as the fewest that cover the same."""
    out: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if out and first <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((first, end))
    return out


def total(spans: Iterable[tuple[int, int]]) -> int:
    return sum(end - first for first, end in spans)
