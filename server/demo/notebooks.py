"""What the meters wrote down themselves, counted apart from journal and backend.

In: the lab notebooks (edge/notebook.py). Out: counts and times. Never asks the backend.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Notebook:
    """Follows one notebook as it grows; `first_published_ms` and `publications` (how often) by identity in hexadecimal, `taken` by sequence
    with the time of each reading."""

    path: Path
    taken: dict[int, int] = field(default_factory=dict)
    twice: int = 0
    sealed: dict[str, int] = field(default_factory=dict)
    first_published_ms: dict[str, int] = field(default_factory=dict)
    publications: Counter[str] = field(default_factory=Counter)
    boots: int = 0
    _offset: int = 0
    _rest: bytes = b""

    def update(self) -> None:
        """Reads what was added since the last time."""
        if not self.path.exists():
            return
        with self.path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode("ascii", "replace").split())

    def _line(self, words: list[str]) -> None:
        if len(words) == 3 and words[0] == "taken":
            seq = int(words[1])
            self.twice += seq in self.taken
            self.taken[seq] = int(words[2])
        elif len(words) == 5 and words[0] == "sealed":
            self.sealed[words[1]] = int(words[3])
        elif len(words) == 3 and words[0] == "published":
            self.first_published_ms.setdefault(words[1], int(words[2]))
            self.publications[words[1]] += 1
        elif len(words) == 3 and words[0] == "boot":
            self.boots += 1


def percentile(values: list[int], percent: int) -> int:
    """The nearest-rank percentile; 0 for no values."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]
