"""Runs scripts in the real MicroPython (unix port) from pytest, with the product's own files.

In: the name of a script in this folder and its arguments. Out: what the script printed. Never imports the code under test here.

    from tests.micropython import run
    printed = run("my_script.py", "argument", heapsize="8m")

API:
    run(script, *args, heapsize="16m", image=None, timeout_s=120) -> str
        Runs tests/micropython/<script> (or any absolute path) with `shared` and `edge` importable: from the sources, or from `image`, a
        folder with shared/ and edge/ as .py or .mpy. Arguments arrive as text in sys.argv[1:]. A non-zero exit or an uncaught
        exception raises MicroPythonFailed, whose text holds what was printed.
    command(script, *args, heapsize="16m") -> list[str]
    environment(image=None) -> dict[str, str]
        For a test that starts the process itself (to kill it, to read its lines as they come).
    checked(script, *args, **options) -> int
        For scripts that print `checked N` last, as those made with `report()` of runner.py do: returns N.

The same checks under both interpreters: put a function `check_x(data) -> int` (how many cases it checked, AssertionError otherwise) in
tests/micropython/checks_x.py, call it directly in the pytest test, and call `check_json("checks_x", "check_x", path_of_json)` to run
the very same function in MicroPython over the same file.
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
HEAPSIZE = "16m"
TIMEOUT_S = 120


class MicroPythonFailed(AssertionError):
    """The script ended with an error; the text holds what it printed."""


def binary() -> str:
    """The interpreter of this environment."""
    beside = Path(sys.executable).parent / "micropython"
    return str(beside) if beside.exists() else "micropython"


def command(script: str, *args: object, heapsize: str = HEAPSIZE) -> list[str]:
    """The command line that runs the script."""
    return [binary(), "-X", "heapsize=" + heapsize, str(HERE / script), *(str(arg) for arg in args)]


def environment(image: object = None) -> dict[str, str]:
    """The environment in which `shared` and `edge` are found: in the sources, or in `image`."""
    return dict(os.environ, MICROPYPATH=str(image or ROOT) + ":.frozen")


def run(script: str, *args: object, heapsize: str = HEAPSIZE, image: object = None, timeout_s: float = TIMEOUT_S) -> str:
    """What the script printed. Raises MicroPythonFailed when it fails."""
    try:
        done = subprocess.run(
            command(script, *args, heapsize=heapsize),
            env=environment(image),
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise MicroPythonFailed(f"{script} {args}: not done in {timeout_s} s") from None
    if done.returncode != 0 or "Traceback" in done.stderr + done.stdout:
        raise MicroPythonFailed(f"{script} {args}: exit {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def checked(script: str, *args: object, **options: object) -> int:
    """How many cases the script says it checked in its last line."""
    last = run(script, *args, **options).strip().rsplit("\n", 1)[-1].split()  # type: ignore[arg-type]
    assert len(last) == 2 and last[0] == "checked", last
    return int(last[1])


def check_json(module: str, function: str, path: object, **options: object) -> int:
    """Runs `function(json)` of tests/micropython/<module>.py in MicroPython over the JSON file; how many cases it checked."""
    return checked("runner.py", module, function, path, **options)
