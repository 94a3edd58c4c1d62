"""A book of cases: what one golden file holds.

In: cases one by one. Out: the JSON text of the file. Never two cases with one description, never a case with both a want and an error.
"""

import json
from collections.abc import Iterable

from tests.independent.values import Plain, wrap


class Book:
    """Cases of one format; `section` says where SPEC.md defines it."""

    def __init__(self, name: str, section: str) -> None:
        self.name = name
        self.section = section
        self.cases: list[dict[str, object]] = []
        self._seen: set[tuple[str, str]] = set()
        self._calculated: set[str] = set()

    def good(self, do: str, desc: str, given: object, want: object) -> None:
        """`do` of `given` gives `want`; where `do` is a codec, encoding `want` gives `given` again."""
        self._add(do, desc, given, {"want": wrap(want)})

    def calculated(self, do: str, desc: str, given: object, want: object) -> None:
        """As `good`, of a function that has nothing to refuse: it needs no negatives of its own."""
        self.good(do, desc, given, want)
        self._calculated.add(do)

    def bad(self, do: str, desc: str, given: object, error: int) -> None:
        """`do` of `given` raises the error with this code."""
        self._add(do, desc, given, {"error": error})

    def all_bad(self, do: str, of: str, faults: Iterable[tuple[str, object, int]]) -> None:
        """Many faults of the thing called `of`."""
        for desc, given, error in faults:
            self.bad(do, f"{of}: {desc}" if of else desc, given, error)

    def _add(self, do: str, desc: str, given: object, outcome: dict[str, object]) -> None:
        if (do, desc) in self._seen:
            raise ValueError(f"{self.name}: {do}: described twice: {desc}")
        self._seen.add((do, desc))
        if isinstance(given, dict) and len(given) > 1 and all(isinstance(name, str) for name in given):
            given = Plain(given)
        self.cases.append({"do": do, "desc": desc, "input": wrap(given), **outcome})

    def counts(self) -> dict[str, tuple[int, int]]:
        """How many positives and negatives each operation has, calculations left out."""
        found: dict[str, tuple[int, int]] = {}
        for case in self.cases:
            do = str(case["do"])
            if do not in self._calculated:
                good, bad = found.get(do, (0, 0))
                found[do] = (good + 1, bad) if "want" in case else (good, bad + 1)
        return found

    def to_json(self) -> str:
        """The file: one case a block, one field a line."""
        blocks = []
        for case in self.cases:
            fields = [f"   {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in case.items()]
            blocks.append("  {\n" + ",\n".join(fields) + "\n  }")
        title = json.dumps({"format": self.name, "spec": self.section}, ensure_ascii=False)[1:-1]
        return "{\n " + title + ',\n "cases": [\n' + ",\n".join(blocks) + "\n ]\n}\n"
