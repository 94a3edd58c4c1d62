"""The harness really runs MicroPython, and no failure in there passes for a success."""

import json
from pathlib import Path

import pytest

from tests.micropython import MicroPythonFailed, check_json, checked, run


def script(tmp_path: Path, text: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(text)
    return str(path)


def test_it_is_micropython_with_the_heap_and_arguments_given(tmp_path: Path) -> None:
    path = script(tmp_path, "import gc, sys\nprint(sys.implementation[0], sys.argv[1:], gc.mem_free() + gc.mem_alloc())")
    name, arguments, heap_bytes = run(path, 7, heapsize="96k").split()
    assert name == "micropython" and arguments == "['7']"
    assert 90_000 < int(heap_bytes) <= 96 * 1024
    assert "['a b', '7']" in run(path, "a b", 7)


def test_shared_and_edge_come_from_the_sources_or_from_an_image(tmp_path: Path) -> None:
    path = script(tmp_path, "from shared import errors\nimport edge.flash\nprint(getattr(errors, 'MARK', 'sources'))")
    assert run(path) == "sources\n"
    for folder, name, text in (("shared", "errors", "MARK = 'image'"), ("edge", "flash", "")):
        (tmp_path / "image" / folder).mkdir(parents=True)
        (tmp_path / "image" / folder / "__init__.py").write_text("")
        (tmp_path / "image" / folder / f"{name}.py").write_text(text)
    assert run(path, image=tmp_path / "image") == "image\n"


@pytest.mark.parametrize(
    "text",
    [
        "assert 1 == 2, 'wrong'",
        "import sys\nprint('wrong')\nsys.exit(3)",
        "raise MemoryError('wrong')",
        "print('wrong'",
        "b'wrong' * (1 << 30)",
    ],
)
def test_a_failing_script_fails(tmp_path: Path, text: str) -> None:
    with pytest.raises(MicroPythonFailed):
        run(script(tmp_path, text))


def test_a_script_that_does_not_end_fails(tmp_path: Path) -> None:
    with pytest.raises(MicroPythonFailed, match="not done in 1"):
        run(script(tmp_path, "while True:\n    pass"), timeout_s=1)


def test_a_script_that_says_nothing_checked_nothing(tmp_path: Path) -> None:
    assert checked(script(tmp_path, "print('checked 12')")) == 12
    for text in ("print('done')", "print('checked 1 of 2')", "print('checked')"):
        with pytest.raises(AssertionError):
            checked(script(tmp_path, text))


def test_an_empty_file_is_no_success(tmp_path: Path) -> None:
    path = tmp_path / "empty.json"
    path.write_text(json.dumps([]))
    with pytest.raises(MicroPythonFailed, match="nothing was checked"):
        check_json("checks_ed25519", "check_sha512", path)


HEAP_LIMITS = {"heap_table_peak": 16_384, "heap_sign_peak": 8_192, "heap_verify_table_peak": 8_192, "heap_node_table": 3_500}


def test_signing_is_measured_and_needs_little_heap() -> None:
    lines = [line.split() for line in run("measure_sign.py", 3, heapsize="256k").splitlines()]
    assert all(len(line) == 3 and line[2] in ("ms", "B", "slices") for line in lines)
    values = {name: float(value) for name, value, _ in lines}
    assert {"sign_ms", "sign_step_ms_max", "verify_ms", "verify_table_ms", "table_ms", "sha512_ms"} <= set(values)
    assert all(0 < values[name] <= limit for name, limit in HEAP_LIMITS.items()), values
