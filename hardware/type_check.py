"""Checks the code for the board by type against MicroPython's ESP32 stubs (part of `make check`).

In: edge/ and shared/ and the installed packages micropython-esp32-stubs and micropython-stdlib-stubs. Out: mypy's messages and exit
code. Never looks at CPython's own library: a call that MicroPython does not have must not pass because CPython has it.
"""

import re
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STUB_PACKAGES = ("micropython-esp32-stubs", "micropython-stdlib-stubs")
MYPY_SECONDS_MAX = 300

# Only code that runs on a board is held to the stubs: the rest takes ports as plain objects and runs in both interpreters' tests.
BOARD_MODULES = re.compile(r"^\s*(?:import|from)\s+(?:machine|network|esp32|esp)\b", re.MULTILINE)
CONFIG = """[mypy]
mypy_path = {stubs}
custom_typeshed_dir = {stubs}
cache_dir = {stubs}/.mypy_cache
python_version = 3.11
no_site_packages = True
explicit_package_bases = True
namespace_packages = True
follow_imports = silent
follow_imports_for_stubs = True
check_untyped_defs = True
disallow_untyped_defs = True
warn_unreachable = True
strict_bytes = False
# Config fills its slots from tables that mypy cannot follow.
[mypy-edge.config]
follow_imports = skip
"""


def board_files(root: Path = ROOT) -> list[Path]:
    """Modules of edge/ that import something only a board has."""
    return sorted(path for path in (root / "edge").rglob("*.py") if BOARD_MODULES.search(path.read_text()))


def copy_stubs(destination: Path) -> None:
    """The stubs alone, so that nothing else installed here is found. They bring their own standard library, MicroPython's."""
    for package in STUB_PACKAGES:
        try:
            listed = files(package) or []
        except PackageNotFoundError:
            raise SystemExit(f"{package} is missing: install the project's `dev` dependencies (make setup)") from None
        for entry in listed:
            if entry.suffix == ".pyi" or entry.name in ("VERSIONS", "py.typed"):
                target = destination / entry
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(str(entry.locate()), target)


def run_mypy(sources: list[Path], stubs: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """mypy over the sources with nothing but the stubs and the project around them."""
    copy_stubs(stubs)
    config = stubs / "mypy.ini"
    config.write_text(CONFIG.format(stubs=stubs))
    command = [sys.executable, "-m", "mypy", "--config-file", str(config), *map(str, sources)]
    return subprocess.run(command, capture_output=True, text=True, cwd=root, timeout=MYPY_SECONDS_MAX)


def check_board_code() -> int:
    """Prints what mypy says; 0 when the board code fits the stubs."""
    sources = board_files()
    if not sources:
        raise SystemExit("no board code found: the check would pass without checking anything")
    done = run_mypy(sources, ROOT / "build" / "stubs")
    print("ESP32 board code:", (done.stdout + done.stderr).strip())
    return done.returncode
