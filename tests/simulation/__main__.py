"""`python -m tests.simulation --seeds N [--first K] [--seconds S] [--everything] [--trace]`: many seeds with progress; a bad one in full.

In: numbers. Out: lines; exit code 1 with a violation. Hash randomization is off, so that a seed says the same on every run.
"""

import argparse
import os
import random
import sys
import time
from collections import Counter

from tests.simulation.faults import KINDS
from tests.simulation.plan import everything
from tests.simulation.run import Result, run_seed

EVERY_S = 5.0


def tell(result: Result, how: str) -> None:
    """A bad seed, and how to see it again."""
    print(f"\nseed {result.seed} fails at step {result.steps}, simulated hour {result.hours:.2f}:")
    for text in result.violations[:5]:
        print(f"  {text}")
    print("the last steps:")
    print("\n".join(f"  {line}" for line in result.tail))
    print(f"again: {sys.executable} -m tests.simulation --first {result.seed} --seeds 1 --trace{how}")
    print("when it is mended, add the seed to tests/simulation/seeds.txt")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.simulation")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0, help="stop after so long")
    parser.add_argument("--trace", action="store_true", help="print every step")
    parser.add_argument("--on", action="store_true", help="go on after a bad seed")
    parser.add_argument("--everything", action="store_true", help="every kind of fault in each run")
    options = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]], os.environ | {"PYTHONHASHSEED": "0"})
    started = told = time.perf_counter()
    faults: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    hours, bad, done = 0.0, [], 0
    for seed in range(options.first, options.first + options.seeds):
        plan = everything(random.Random(seed)) if options.everything else None
        result = run_seed(seed, echo=options.trace, plan=plan)
        faults.update(result.faults)
        numbers.update(result.numbers)
        hours += result.hours
        done += 1
        if result.violations:
            bad.append(seed)
            tell(result, " --everything" if options.everything else "")
            if not options.on:
                break
        now = time.perf_counter()
        if now - told > EVERY_S:
            told = now
            print(f"{done} seeds, {done / (now - started):.2f} seeds/s, {hours / 24:.0f} days, {sum(faults.values())} faults, "
                  f"{len(faults)} of {len(KINDS)} kinds", flush=True)  # fmt: skip
        if options.seconds and now - started > options.seconds:
            break
    spent_s = time.perf_counter() - started
    print(f"\n{done} seeds in {spent_s:.0f} s ({done / spent_s:.2f} seeds/s, {hours / 24:.1f} simulated days), {len(bad)} bad {bad[:10]}")
    print("  ".join(f"{name} {count}" for name, count in numbers.items()))
    for kind, meaning in KINDS.items():
        print(f"  {faults[kind]:7} {kind:18} {meaning}")
    print(f"{len([kind for kind in KINDS if faults[kind]])} of {len(KINDS)} kinds of fault were met")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
