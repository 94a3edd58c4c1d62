"""One direction: what may import what, read from the syntax trees of every file (design.md 1, style.md house rule 1)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OURS = ("shared", "edge", "server", "hardware", "tests")

# server/: each part may import itself and the parts above it in this list, never one below. Layers on one line do not know each other.
# Findings and rows live in evidence; the ledger's batches are made from the evidence log; a device's standing comes from the ledger.
ORDER = (
    ("keystore", "failpoints", "config", "supervisor", "fastcbor"),
    ("store", "broker"),
    ("evidence",),
    ("ledger",),
    ("registry",),
    ("ingest",),
    ("fsck", "home", "health"),
    ("backup",),
    ("rules",),
    ("carbon",),
    ("finance",),
    ("api",),
    ("main",),
    ("cli", "demo", "bench"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}
SHELLS = {"api": ("main",), "ingest.mqtt": ("main",), "broker": ("cli",), "main": ("cli", "demo", "bench")}


def modules(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def name_of(path: Path) -> str:
    """Dotted name of a module."""
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, text: str | None = None) -> Iterator[tuple[str, bool, int]]:
    """(dotted name of the imported module or name, whether the import is relative, line)."""
    package = list(path.relative_to(ROOT).parent.parts)
    for node in ast.walk(ast.parse(text if text is not None else path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{start}.{alias.name}", node.level > 0, node.lineno) for alias in node.names)


def part_of(name: str) -> str:
    """`evidence` of `server.evidence.log`."""
    return name.split(".")[1] if "." in name else ""


def faults_of_server(path: Path, text: str | None = None) -> list[str]:
    own = part_of(name_of(path))
    faults = []
    for name, _, line in imports(path, text):
        where = f"{path.relative_to(ROOT)}:{line} imports {name}"
        top = name.split(".")[0]
        if top == "tests" or top == "hardware":
            faults.append(where)
        if top == "edge" and own not in ("demo", "bench"):
            faults.append(f"{where}: only demo and bench use the firmware")
        if top != "server" or part_of(name) in ("", own) or own == "":
            continue
        other = part_of(name)
        if other not in RANK or own not in RANK:
            faults.append(f"{where}: not in the order of parts")
        elif RANK[other] > RANK[own]:
            faults.append(f"{where}: {own} is left of {other}")
        for shell, users in SHELLS.items():
            if (name == f"server.{shell}" or name.startswith(f"server.{shell}.")) and own not in users and own != shell.split(".")[0]:
                faults.append(f"{where}: a shell, only for {', '.join(users)}")
    return faults


@pytest.mark.parametrize("path", modules("server"), ids=name_of)
def test_server_imports_only_leftwards(path: Path) -> None:
    assert faults_of_server(path) == []


@pytest.mark.parametrize("path", modules("shared"), ids=name_of)
def test_shared_imports_itself_only_and_relatively(path: Path) -> None:
    for name, relative, line in imports(path):
        top = name.split(".")[0]
        assert top not in OURS or (top == "shared" and relative), f"{path.name}:{line} imports {name}"


@pytest.mark.parametrize("path", modules("edge"), ids=name_of)
def test_edge_imports_shared_and_itself_only(path: Path) -> None:
    for name, _, line in imports(path):
        assert name.split(".")[0] not in ("server", "hardware", "tests"), f"{path.name}:{line} imports {name}"
        assert not name.startswith("shared.verify"), f"{path.name}:{line} imports {name}: it is not on a device"


@pytest.mark.parametrize("folder", ["shared", "edge", "server"])
def test_every_file_says_what_it_is(folder: str) -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in modules(folder)
        if path.read_text().strip() and not ast.get_docstring(ast.parse(path.read_text()))
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("server/store/x.py", "from server.evidence import log"),
        ("server/evidence/x.py", "from server.api.app import build_app"),
        ("server/evidence/log.py", "import server.ledger.query"),
        ("server/evidence/evidence_file.py", "from ..ledger.query import LedgerProof"),
        ("server/ingest/core.py", "from server import main"),
        ("server/registry/x.py", "from server.ingest.mqtt import MqttShell"),
        ("server/cli/x.py", "from server.api.app import build_app"),
        ("server/ledger/x.py", "from edge import journal"),
        ("server/ledger/x.py", "from tests.evidence import fleet"),
        ("server/ledger/x.py", "from ..cli import main"),
        ("server/ledger/x.py", "from server.unheard import of"),
    ],
)
def test_the_check_finds_a_wrong_import(place: str, text: str) -> None:
    assert len(faults_of_server(ROOT / place, text)) >= 1


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("server/ledger/publish.py", "from ..evidence.tiles import TileWriter"),
        ("server/fsck.py", "from server.ledger.history import LedgerHistory"),
        ("server/main.py", "from server.api.app import build_app"),
        ("server/demo/run.py", "from edge import notebook"),
    ],
)
def test_the_check_lets_right_imports_pass(place: str, text: str) -> None:
    assert faults_of_server(ROOT / place, text) == []


def test_relative_imports_are_resolved() -> None:
    found = {
        name
        for name, _, _ in imports(ROOT / "server/ledger/engines/x.py", "from ...store import sqlite\nfrom .. import tree\nfrom .y import z")
    }
    assert found == {"server.store.sqlite", "server.ledger.tree", "server.ledger.engines.y.z"}
