"""Good inputs of each decoder, from the golden files. In: an operation's name. Out: bytes. Never an input that the golden files refuse."""

import json
from functools import cache

from tests.independent.make_vectors import VECTORS
from tests.micropython import checks_golden
from tests.shared import server_formats

server_formats.install()


@cache
def cases() -> dict[str, list[object]]:
    """Every input that is accepted, by operation."""
    found: dict[str, list[object]] = {}
    for path in sorted(VECTORS.glob("*.json")):
        for case in json.loads(path.read_text(encoding="utf-8"))["cases"]:
            if "want" in case:
                found.setdefault(case["do"], []).append(checks_golden.unwrap(case["input"]))
    return found


def good(do: str, part: str | int | None = None) -> list[bytes]:
    """Inputs of an operation as bytes; `part` names one of several."""
    found = [given if part is None else given[part] for given in cases()[do]]
    return [item.encode() if isinstance(item, str) else bytes(item) for item in found]
