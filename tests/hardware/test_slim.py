"""hardware/slim: annotations, docstrings, texts of errors and other interpreters' branches go; what is left does the same."""

import ast

import pytest

from hardware.build_firmware import ROOT, source_files
from hardware.slim import is_our_error, slim_tree


def slim(source: str) -> str:
    return ast.unparse(slim_tree(ast.parse(source)))


@pytest.mark.parametrize(
    ("source", "wanted"),
    [
        ('"""Doc."""\nX: int = 5\n', "X = 5"),
        ('def f(a: int, *, b: str = "x") -> None:\n    """Doc."""\n', "def f(a, *, b='x'):\n    pass"),
        ('class C:\n    """Doc."""\n\n    x: int\n', "class C:\n    pass"),
        ('raise DecodeError(101, "bytes " + str(x))\n', "raise DecodeError(101, '')"),
        ("raise Unavailable(421, f'{x}') from None\n", "raise Unavailable(421, '')"),
        ("raise ValueError(1, 'kept')\n", "raise ValueError(1, 'kept')"),
        ("raise DecodeError(code)\n", "raise DecodeError(code)"),
        (
            "@micropython.viper\ndef f(a: ptr8, b: int) -> int:\n    return a[b]\n",
            "@micropython.viper\ndef f(a: ptr8, b: int) -> int:\n    return a[b]",
        ),
        ("if sys.implementation.name == 'micropython':\n    a()\nelse:\n    b()\n", "a()"),
        ("if sys.implementation.name != 'micropython':\n    a()\n", ""),
        ("if x and hasattr(os, 'fsync'):\n    a()\n", "if x and False:\n    a()"),
        ("if hasattr(os, 'fsync') and x:\n    a()\nb()\n", "b()"),
        ("y = 1 if not None else 2\n", "y = 1"),
        ("y = 1 if None is not None else 2\n", "y = 2"),
        ("y = hasattr(sys.stdout, 'flush')\n", "y = hasattr(sys.stdout, 'flush')"),
        ("try:\n    import fcntl\nexcept ImportError:\n    fcntl = None\n", "fcntl = None"),
        ("try:\n    from hashlib import sha512\nexcept ImportError:\n    sha512 = None\n", "sha512 = None"),
        ("try:\n    import json\nexcept ImportError:\n    json = None\n", "try:\n    import json\nexcept ImportError:\n    json = None"),
        ("def f():\n    return 1\n    a()\n", "def f():\n    return 1"),
        ("def f():\n    if False:\n        a()\n", "def f():\n    pass"),
    ],
)
def test_what_goes_and_what_stays(source: str, wanted: str) -> None:
    assert slim(source) == wanted


@pytest.mark.parametrize("path", [str(path) for path in source_files()])
def test_no_device_file_keeps_a_text_of_an_error_and_all_keep_their_codes(path: str) -> None:
    source = (ROOT / path).read_text(encoding="utf-8")
    kept = {ast.unparse(node.exc.args[0]) for node in raised(slim(source))}
    assert all(ast.unparse(node.exc.args[1]) == "''" for node in raised(slim(source)))
    assert kept <= {ast.unparse(node.exc.args[0]) for node in raised(source)}
    assert '"""' not in slim(source)


def raised(source: str) -> list[ast.Raise]:
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Raise) and is_our_error(node.exc)]
