"""`make fuzz`: every decoder, coverage-guided, a million inputs each, with a table of what came of it.

    python -m tests.fuzz [--inputs N] [--seconds S] [--only NAME …] [--home FOLDER]

In: how many inputs for each decoder, how many seconds for each at most. Out: a table, FOLDER/summary.json, exit code 1 when an input broke
a decoder. Never needed for `make test`: the same targets run there under hypothesis.
"""

import argparse
import json
import sys
from dataclasses import asdict
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.table import Table

from tests.fuzz.campaign import Outcome, run_fuzzer
from tests.fuzz.targets import TARGETS

FOREVER_S = 1e9
NO_FUZZER = "make fuzz needs atheris: Linux on x86-64, Python 3.11 to 3.13. make test-faults tries the same decoders without it."


def table_of(outcomes: list[Outcome], total: int) -> Table:
    """One row a decoder. `places` in the code were reached, `new` ones not by the good inputs; `lines` and `KiB` of the dearest input."""
    table = Table(title=f"{sum(outcome.done for outcome in outcomes)} of {total} decoders", title_justify="left", box=None, padding=(0, 1))
    table.add_column("decoder")
    for name in ("inputs", "per s", "places", "new", "slowest", "lines", "KiB"):
        table.add_column(name, justify="right")
    table.add_column("")
    for o in outcomes:
        costs = (f"{o.steps:,}", f"{o.peak_bytes / 1024:.0f}") if o.steps else ("", "")
        covered = (str(o.coverage[1]), f"+{o.coverage[1] - o.coverage[0]}") if o.coverage[1] else ("", "")
        state = "[red]BROKEN" if o.broken else "[green]ok" if o.done else "…"
        table.add_row(o.name, f"{o.inputs:,}", f"{o.per_s:,}", *covered, f"{o.slowest_us / 1000:.0f} ms", *costs, state)
    return table


def show_progress(live: Live, done: list[Outcome], total: int, now: Outcome) -> None:
    live.update(table_of([*done, now], total))


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description="Every decoder under the coverage-guided fuzzer.")
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each decoder (1,000,000)")
    parser.add_argument("--seconds", type=float, default=0, help="for each decoder at most (0: as long as it takes)")
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--home", type=Path, default=Path("build/fuzz"), help="corpus, logs and what broke a decoder (build/fuzz)")
    given = parser.parse_args()
    unknown = [name for name in given.only if name not in TARGETS]
    if unknown or given.inputs < 1 or given.seconds < 0:
        parser.error(f"no such decoder: {', '.join(unknown)}" if unknown else "inputs from 1, seconds from 0")
    if find_spec("atheris") is None:
        print(NO_FUZZER, file=sys.stderr)
        return 2
    outcomes: list[Outcome] = []
    names = given.only or list(TARGETS)
    with Live(console=Console(), refresh_per_second=2) as live:
        for name in names:
            show = partial(show_progress, live, outcomes, len(names))
            outcome = run_fuzzer(TARGETS[name], given.inputs, given.seconds or FOREVER_S, given.home, show)
            outcomes.append(outcome)
            write_summary(outcomes, given.home)
            live.update(table_of(outcomes, len(names)))
    return report(outcomes, given.home)


def write_summary(outcomes: list[Outcome], home: Path) -> None:
    """After every decoder: a run that is stopped has said what it did."""
    (home / "summary.json").write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n", encoding="utf-8")


def report(outcomes: list[Outcome], home: Path) -> int:
    print()
    broken = [(outcome.name, what) for outcome in outcomes for what in outcome.broken]
    for name, what in broken:
        print(f"{name}: {what}\n  keep it: put the input into tests/fuzz/corpus/{name}/ and make test will replay it")
    print(f"{sum(outcome.inputs for outcome in outcomes):,} inputs, {len(broken)} broke a decoder. Figures: {home / 'summary.json'}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
