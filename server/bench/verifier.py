"""The offline verifier as a program, beyond the start of an interpreter that does nothing.

In: an evidence file with its policy. Out: rows. Never counts a run that did not end with "proven".
"""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from server.bench.clock import Figure, figure, timed
from server.bench.rows import Row, row
from server.bench.scale import Scale
from shared.errors import VerifyError
from shared.verify.build import build_zipapp

GROUP = "verifying an evidence file, beyond the interpreter's start"
GOAL_MS = 60
IDS = ("verify_ms", "verify_module_ms", "verify_bare_ms", "verify_zipapp_ms")


def measure(folder: Path, scale: Scale) -> list[Row]:
    """Of `folder`/reading.evidence under `folder`/policy.toml. The whole command, the verifier alone, the same on a bare Python."""
    build_zipapp(folder / "verify.pyz")
    bare = ["-S", "-I"]
    ways = [
        ("meterproof verify, the command", [], ["-m", "server.cli", "verify"], GOAL_MS),
        ("verifier alone, with PyNaCl", [], ["-m", "shared.verify"], None),
        ("verifier alone, bare Python", ["-S"], ["-m", "shared.verify"], None),
        ("single file, bare Python", bare, [str(folder / "verify.pyz")], GOAL_MS),
    ]
    arguments = [str(folder / "reading.evidence"), "--policy", str(folder / "policy.toml")]
    rows = []
    for name, (what, flags, program, goal) in zip(IDS, ways, strict=True):
        found = beyond_start(flags, [*program, *arguments], scale.runs)
        rows.append(row(name, GROUP, what, found.scaled(1000), "ms", goal=goal, more=False))
    return rows


def beyond_start(flags: Sequence[str], program: Sequence[str], runs: int) -> Figure:
    """Each run beside an empty one; the first only fills caches."""
    run([*flags, *program])
    return figure([max(0.0, timed(lambda: run([*flags, *program])) - timed(lambda: run([*flags, "-c", "pass"]))) for _ in range(runs)])


def run(arguments: Sequence[str]) -> None:
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True)
    if done.returncode != 0:
        raise VerifyError(248, f"the bench's own reading is not proven: {(done.stderr or done.stdout).strip()[-400:]}")
