"""The golden files of tests/vectors/ against the code: under CPython, and in the real MicroPython what runs on a device.

In: the JSON files and the second encoder. Out: nothing. Never changes a vector to fit the code.
"""

import ast
import copy
import json
from pathlib import Path

import pytest

from tests.independent.make_vectors import VECTORS, all_books
from tests.micropython import check_json, checks_golden
from tests.shared import server_formats

server_formats.install()
BOOKS = {book.name: book for book in all_books()}
# Their code is in server/ or shared/verify/, which no device has.
CPYTHON_ONLY = {"tiles", "transaction", "genesis", "block", "access", "evidence", "policy"}
INDEPENDENT = VECTORS.parent / "independent"


def load(name: str) -> dict:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", BOOKS)
def test_cpython(name: str) -> None:
    assert checks_golden.check_golden(load(name)) == len(BOOKS[name].cases)


@pytest.mark.parametrize("name", sorted(set(BOOKS) - CPYTHON_ONLY))
def test_micropython(name: str) -> None:
    assert check_json("checks_golden", "check_golden", VECTORS / f"{name}.json", heapsize="32m") == len(BOOKS[name].cases)


@pytest.mark.parametrize("name", BOOKS)
def test_files_are_what_the_second_encoder_makes(name: str) -> None:
    """`make vectors` changes nothing; every run makes the same bytes."""
    assert (VECTORS / f"{name}.json").read_text(encoding="utf-8") == BOOKS[name].to_json()


def test_no_file_without_its_maker() -> None:
    assert {path.stem for path in VECTORS.glob("*.json")} == set(BOOKS)


@pytest.mark.parametrize("name", BOOKS)
def test_five_negatives_for_each_positive(name: str) -> None:
    counts = BOOKS[name].counts()
    assert counts
    for operation, (good, bad) in counts.items():
        assert bad >= 5 * good, (operation, good, bad)


def test_the_second_encoder_shares_no_code() -> None:
    allowed = ("tests.independent", "cryptography", "nacl")
    standard = {"json", "hashlib", "base64", "pathlib", "collections.abc"}
    for path in INDEPENDENT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert name in standard or name.startswith(allowed), f"{Path(path).name} imports {name}"


# --- the runner itself: a wrong vector must fail


def first_case(name: str, do: str, outcome: str) -> dict:
    return copy.deepcopy(next(case for case in load(name)["cases"] if case["do"] == do and outcome in case))


def fails(case: dict) -> None:
    with pytest.raises(AssertionError):
        checks_golden.check_case(case)


def test_a_changed_byte_of_the_input_fails() -> None:
    case = first_case("messages", "ack", "want")
    case["input"]["hex"] = case["input"]["hex"][:-2] + "00"
    fails(case)


def test_another_want_fails() -> None:
    case = first_case("messages", "ack", "want")
    case["want"]["Ack"]["log_size"] += 1
    fails(case)


def test_true_is_not_one() -> None:
    case = first_case("cbor", "cbor", "want")
    case.update(input={"hex": "01"}, want=True)
    fails(case)
    case.update(input={"hex": "f5"}, want=1)
    fails(case)


def test_another_error_code_fails() -> None:
    case = first_case("cbor", "cbor", "error")
    case["error"] = 101 if case["error"] != 101 else 100
    fails(case)


def test_a_good_value_where_an_error_is_wanted_fails() -> None:
    case = first_case("cbor", "cbor", "want")
    del case["want"]
    case["error"] = 100
    fails(case)


def test_encoding_to_other_bytes_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    case = first_case("messages", "hello", "want")
    decode, _ = checks_golden.OPERATIONS["hello"]
    monkeypatch.setitem(checks_golden.OPERATIONS, "hello", (decode, lambda parts: b"\x80"))
    fails(case)
