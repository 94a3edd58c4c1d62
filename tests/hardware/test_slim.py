"""hardware/slim: error texts go, codes and line numbers stay."""

import ast

import pytest

from hardware.build_firmware import ROOT, source_files
from hardware.slim import error_texts, fold_constants, leave_out_texts, slim_sources

SOURCE = """\
def check(x):
    if x:
        raise DecodeError(101, "bytes " + str(x) + " after the end €")  # why
    raise Unavailable(
        421,
        f"the flash holds {x}"
        " and more",
    )
raise ValueError(1, "kept")
raise DecodeError(code, text) from None
last = "raise DecodeError(1, 'kept')"
"""


def test_texts_go_and_lines_stay() -> None:
    slim = leave_out_texts(SOURCE)
    assert slim.splitlines()[2] == '        raise DecodeError(101, "")  # why'
    assert "the flash" not in slim and "and more" not in slim and slim.count("kept") == 2
    assert 'raise DecodeError(code, "") from None' in slim
    assert slim.count("\n") == SOURCE.count("\n")
    assert slim.splitlines()[-1] == SOURCE.splitlines()[-1]


@pytest.mark.parametrize("path", [str(path) for path in source_files()])
def test_every_device_file_differs_in_nothing_else(path: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    slim = leave_out_texts(source)
    whole, small = ast.parse(source), ast.parse(slim)
    assert [ast.unparse(text) for text in error_texts(small)] == ["''"] * len(error_texts(whole))
    for text, empty in zip(error_texts(whole), error_texts(small), strict=True):
        assert text.lineno == empty.lineno
    blank(whole), blank(small)
    assert ast.dump(whole) == ast.dump(small)


def blank(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and len(node.exc.args) == 2:
            node.exc.args[1] = ast.Constant("")


FILES = {
    "edge/__init__.py": '"""Package."""\n',
    "edge/main.py": "from edge import used\nfrom edge.used import start\n\nstart()\n",
    "edge/used.py": (
        "import sys\nfrom edge.other import helper\n\nLIMIT = 1 << 4\nFAR = 1 << 40\nOPEN = 3\nunused_name = 5\n\n\n"
        'def start():\n    return helper(LIMIT, FAR)\n\n\n@decorated\ndef unused():\n    return "x"\n'
    ),
    "edge/other.py": (
        "from edge import used\n\nSEEN = 7\n\n\ndef helper(a, b):\n    return used.OPEN + SEEN + a + b\n\n\nclass Unused:\n    pass\n"
    ),
    "edge/nowhere.py": '"""Nobody needs this."""\n\n\ndef unreached():\n    return 1\n',
}


def test_what_nothing_reaches_goes_and_the_rest_stays_in_its_line() -> None:
    slim = slim_sources(FILES)
    assert set(slim) == {"edge/__init__.py", "edge/main.py", "edge/used.py", "edge/other.py"}
    assert slim["edge/main.py"] == FILES["edge/main.py"]
    lines = slim["edge/used.py"].splitlines()
    assert "unused" not in slim["edge/used.py"] and "decorated" not in slim["edge/used.py"] and "import sys" not in slim["edge/used.py"]
    assert len(lines) <= len(FILES["edge/used.py"].splitlines())
    assert lines[9] == "def start():"
    assert "class Unused" not in slim["edge/other.py"]


def test_only_small_constants_of_one_file_are_folded() -> None:
    slim = slim_sources(FILES)
    assert "_LIMIT = const(1 << 4)" in slim["edge/used.py"] and "helper(_LIMIT, FAR)" in slim["edge/used.py"]
    assert "\nFAR = 1 << 40\n" in slim["edge/used.py"], "too large to be kept without an object"
    assert "\nOPEN = 3\n" in slim["edge/used.py"], "used by another file"
    assert "_SEEN = const(7)" in slim["edge/other.py"] and "used.OPEN + _SEEN" in slim["edge/other.py"]


@pytest.mark.parametrize("source", ["A = 1\nA = 2\n", "A = True\n", "A = 'x'\n", "A = f()\n", "a = 1\n", "A = 1.5\n", "A = B = 1\n"])
def test_what_is_no_plain_constant_stays(source: str) -> None:
    assert fold_constants(source, set()) == source


def test_a_constant_others_use_stays() -> None:
    assert fold_constants("A = -1\nB = A\n", {"A"}) == "A = -1\nB = A\n"
    assert fold_constants("A = -1\nB = A\n", set()) == "_A = const(-1)\nB = _A\n"


def test_the_device_keeps_what_it_needs() -> None:
    """A sample by name of what must be there and of what must not."""
    paths = [path for path in source_files() if path.as_posix() != "shared/codes.py"]
    slim = slim_sources({path.as_posix(): (ROOT / path).read_text(encoding="utf-8") for path in paths})
    assert "def encode_envelope" in slim["shared/bundle.py"] and "def decode_envelope" not in slim["shared/bundle.py"]
    assert "class Frontier" in slim["shared/merkle.py"] and "def verify_consistency" not in slim["shared/merkle.py"]
    assert "def verify_steps" in slim["shared/ed25519.py"]
