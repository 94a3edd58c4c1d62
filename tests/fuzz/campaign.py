"""Runs the coverage-guided fuzzer over one decoder and says what came of it.

In: a target, how many inputs, how long at most, a folder. Out: an Outcome, and the corpus in the folder, which the next run starts from.
Never goes on after an input that breaks the decoder: it is kept, and is the news.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from tests.fuzz.cost import TooDear, check_cost
from tests.fuzz.target import Target

REGRESSIONS = Path(__file__).parent / "corpus"
COVERAGE = re.compile(r"cov: (\d+)")
COSTS_MAX = 4_000  # inputs of the corpus whose cost is counted


@dataclass
class Outcome:
    """`coverage`: places in the code reached by the seeds, and now. `steps`, `peak_bytes`: of the dearest input found that way."""

    name: str
    inputs: int = 0
    accepted: int = 0
    seconds: float = 0.0
    slowest_us: int = 0
    rss_kib: int = 0
    coverage: tuple[int, int] = (0, 0)
    corpus: int = 0
    steps: int = 0
    peak_bytes: int = 0
    done: bool = False
    broken: list[str] = field(default_factory=list)

    @property
    def per_s(self) -> int:
        return int(self.inputs / self.seconds) if self.seconds else 0


def run_fuzzer(target: Target, inputs: int, seconds: float, home: Path, progress: Callable[[Outcome], None]) -> Outcome:
    """All of it for one decoder; `progress` is called about once a second."""
    corpus, seeds, artifacts = (home / target.name / part for part in ("corpus", "seeds", "broken"))
    for folder in (corpus, seeds, artifacts):
        folder.mkdir(parents=True, exist_ok=True)
    write_seeds(target, seeds)
    known = set(artifacts.iterdir())
    outcome = Outcome(target.name)
    log = home / target.name / "log"
    command = [sys.executable, "-m", "tests.fuzz.child", target.name, str(inputs), str(seconds), str(artifacts), str(corpus), str(seeds)]
    with log.open("wb") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if line.startswith(b"{"):
                for name, value in json.loads(line).items():
                    setattr(outcome, name, value)
                progress(outcome)
    said = log.read_text(encoding="utf-8", errors="replace")
    found = [int(number) for number in COVERAGE.findall(said)]
    outcome.coverage = (found[0], found[-1]) if found else (0, 0)
    outcome.broken += [str(path) for path in sorted(set(artifacts.iterdir()) - known)]
    if not outcome.done and not outcome.broken:
        outcome.broken.append(f"the fuzzer ended by itself: see {log}")
    count_costs(target, corpus, outcome)
    return outcome


def write_seeds(target: Target, folder: Path) -> None:
    """The good inputs, and those that once broke it."""
    old = [path.read_bytes() for path in sorted((REGRESSIONS / target.name).glob("*"))]
    for data in (*target.seeds, *old):
        (folder / sha256(data).hexdigest()[:16]).write_bytes(data)


def count_costs(target: Target, corpus: Path, outcome: Outcome) -> None:
    """What the inputs that reached something new cost; one that is too dear counts as broken."""
    paths = sorted(corpus.iterdir())
    outcome.corpus = len(paths)
    for path in paths[:: 1 + len(paths) // COSTS_MAX]:
        try:
            cost = check_cost(target, path.read_bytes())
        except TooDear as error:
            outcome.broken.append(f"{path}: {error}")
            continue
        outcome.steps, outcome.peak_bytes = max(outcome.steps, cost.steps), max(outcome.peak_bytes, cost.peak_bytes)
