"""hardware/link and hardware/shorten: fewer files, short names, and the same behaviour, which the linked code itself shows by running."""

import ast
import sys
import types
from pathlib import Path

import pytest

from hardware import link
from hardware.build_firmware import ROOT, link_texts, source_files
from hardware.link import LinkError, link_sources
from hardware.shorten import ROM_NAMES, shorten
from tests.micropython import run

FILES = {
    "edge/__init__.py": '"""Package."""\n\nVERSION = "1.2.3"\n',
    "edge/main.py": (
        "import sys\n\n\ndef main():\n    from edge import device\n\n    return device.start(2, named=4)\n\n\n"
        'if __name__ == "__main__":\n    sys.exit(main())\n'
    ),
    "edge/device.py": (
        "from collections import namedtuple\n\nfrom edge import VERSION, parts as p\nfrom edge.parts import LIMIT, Thing\n\n"
        'Pair = namedtuple("Pair", ("left_side", "right_side"))\nunused = Thing\n\n\ndef start(count, *, named=3):\n'
        "    from edge import config\n\n    thing = Thing(count)\n    thing.add_up(LIMIT)\n    p.change(thing)\n"
        "    pair = Pair(thing.total_sum, config.read())\n    count = [count for count in (pair.left_side, pair.right_side)]\n"
        "    return count, named, VERSION, getattr(thing, 'by_name'), p.helper()\n\n\ndef nobody():\n    return unused\n"
    ),
    "edge/config.py": "from edge.parts import helper\n\n\ndef read():\n    return helper() + other()\n\n\ndef other():\n    return 100\n",
    "edge/parts.py": (
        "LIMIT = 1 << 4\nSTEPS = (1, 2)\n_state = 0\n\n\nclass Thing:\n    __slots__ = ('total_sum', 'by_name')\n    start = 7\n\n"
        "    def __init__(self, total):\n        self.total_sum = total\n        self.by_name = 'n'\n\n"
        "    def add_up(self, more):\n        self.total_sum += more + self.start\n\n    def not_used(self):\n        return 1\n\n\n"
        "def helper():\n    global _state\n    _state += 1\n    return _state\n\n\ndef change(thing):\n    thing.total_sum += len(STEPS)\n"
    ),
    "edge/nowhere.py": "def unreached():\n    return 1\n",
}


def load(texts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> dict[str, types.ModuleType]:
    """The linked files as modules of this interpreter, under the names they import each other by."""
    modules = {path[: -len(".py")].replace("/", "."): types.ModuleType(path) for path in texts}
    package = types.ModuleType("edge")
    monkeypatch.setitem(sys.modules, "edge", package)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
        if name.startswith("edge."):
            setattr(package, name[len("edge.") :], module)
    for name in sorted(modules, key=lambda name: len(link.before(name))):
        exec(compile(texts[name.replace(".", "/") + ".py"], name, "exec"), modules[name].__dict__)  # noqa: S102 - code of this test
    return modules


def linked(files: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    trees = link_sources(files)
    names = shorten(trees)
    return {path: ast.unparse(tree) for path, tree in trees.items()}, names


def test_linked_code_does_what_the_sources_do(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, names = linked(FILES)
    assert set(texts) == {"edge/main.py", "edge/device.py", "edge/config.py"}
    modules = load(texts, monkeypatch)
    short = {long: name for name, long in names.items()}
    assert modules["edge.main"].__dict__[short["edge.main:main"]]() == ([2 + 16 + 7 + 2, 101], 4, "1.2.3", "n", 2)


def test_names_are_short_and_told_apart() -> None:
    texts, names = linked(FILES)
    whole = "\n".join(texts.values())
    assert "unreached" not in whole and "nobody" not in whole and "not_used" not in whole and "LIMIT" not in whole
    assert "left_side" not in whole and "total_sum" not in whole, "fields and slots too"
    assert "by_name" in whole, "it stands in a text"
    assert "named=" in whole, "keywords stay"
    assert len({name for name in names if not name.startswith(".")}) == len({long for long in names.values() if ":" in long})
    assert all(name.lstrip(".") in ROM_NAMES for name in names)


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("edge/device.py", "import edge.parts\n\n\ndef start(count):\n    return 1\n", "import of edge.parts"),
        ("edge/device.py", "from edge import parts\n\n\ndef start(count):\n    return parts\n", "used as a value"),
        ("edge/device.py", "from edge.parts import missing\n\n\ndef start(count):\n    return missing\n", "has no missing"),
        ("edge/device.py", "from edge.gone import x\n\n\ndef start(count):\n    return x\n", "no device file edge.gone"),
        ("edge/device.py", "def start(count):\n    from edge import config\n\n    config = 1\n    return config\n", "imports and sets"),
        ("edge/device.py", "class A:\n    x = 1\n    y = x\n\n\ndef start(count):\n    return A\n", "uses its own x"),
        ("edge/device.py", "class A:\n    for x in (1, 2):\n        pass\n\n\ndef start(count):\n    return A\n", "in a class"),
    ],
)
def test_what_cannot_be_followed_is_refused(path: str, text: str, why: str) -> None:
    with pytest.raises(LinkError, match=why):
        link_sources({**FILES, path: text})


def test_what_a_function_sets_is_never_in_two_parts() -> None:
    config = "from edge.parts import helper\n\n\ndef read():\n    return helper()\n"
    texts, names = linked({**FILES, "edge/config.py": config})
    (short,) = (name for name, long in names.items() if long == "edge.parts:_state")
    assert [path for path, text in texts.items() if f"global {short}" in text] == ["edge/device.py"]


def test_the_device_keeps_what_it_needs() -> None:
    """A sample by name of what must be there, where, and of what must not."""
    sources = {path.as_posix(): (ROOT / path).read_text(encoding="utf-8") for path in source_files() if path.name != "codes.py"}
    texts, names = link_texts(sources, ("edge.main",))
    long = dict(names.items())
    defined = {path: {long.get(node.name, "") for node in ast.parse(text).body if hasattr(node, "name")} for path, text in texts.items()}
    assert "edge.journal:Journal" in defined["edge/device.py"] and "edge.signer:Signer" in defined["edge/device.py"]
    assert "shared.ed25519:sign_steps" in defined["shared/ed25519.py"] and "shared.combs:comb_steps" in defined["shared/combs.py"]
    assert "shared.messages:decode_ack" in defined["edge/answers.py"]
    everything = set[str]().union(*defined.values())
    assert not everything & {
        "shared.bundle:decode_envelope",
        "shared.merkle:verify_consistency",
        "shared.p256:verify",
        "edge.gateway:until_signal",
    }


def test_names_of_the_program_are_in_the_program(tmp_path: Path) -> None:
    """hardware/rom_names.txt, asked of the interpreter itself: none of them adds to its heap."""
    script = "import micropython, sys\nfor name in open(sys.argv[1]).read().split():\n    hasattr(sys, name)\nmicropython.qstr_info()\n"
    (tmp_path / "script.py").write_text(script)
    found = run(str(tmp_path / "script.py"), ROOT / "hardware" / "rom_names.txt")
    assert int(found.split("n_qstr=")[1].split(",")[0]) < 40, "those of the script and the command line"
