"""Every vector file from outside, by the same code under CPython and MicroPython."""

import importlib
import json
import sys
from pathlib import Path

import pytest

from tests.micropython import HERE, MicroPythonFailed, check_json

VECTORS = Path(__file__).parent.parent / "vectors" / "external"

FILES = {
    # file: (check, cases)
    "cbor_appendix_a.json": ("check_cbor", 82),
    "cose_sign1.json": ("check_cose", 13),
    "ed25519_speccheck.json": ("check_speccheck", 12),
    "ics23_smt.json": ("check_ics23", 6),
    "rfc9162_proofs.json": ("check_rfc9162", 96),
    "wycheproof_ed25519.json": ("check_wycheproof_ed25519", 151),
    "wycheproof_p256_sha256_p1363.json": ("check_wycheproof_p256", 262),
}


def check_here(function: str, data: object) -> int:
    sys.path.insert(0, str(HERE))
    try:
        return getattr(importlib.import_module("checks_external"), function)(data)
    finally:
        sys.path.remove(str(HERE))


def load(name: str) -> object:
    return json.loads((VECTORS / name).read_text())


def test_every_file_is_checked_and_has_its_source() -> None:
    assert {path.name for path in VECTORS.glob("*.json")} == set(FILES)
    readme = (VECTORS / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in FILES)


@pytest.mark.parametrize("name", FILES)
def test_cpython(name: str) -> None:
    function, cases = FILES[name]
    assert check_here(function, load(name)) == cases


@pytest.mark.parametrize("name", FILES)
def test_micropython(name: str) -> None:
    function, cases = FILES[name]
    assert check_json("checks_external", function, VECTORS / name, heapsize="64m") == cases


BROKEN = {
    # file: a change after which its check must fail
    "cbor_appendix_a.json": lambda data: data[3].update(decoded=24),
    "cose_sign1.json": lambda data: data[2]["output"].update(cbor=data[2]["output"]["cbor"][:-2] + "00"),
    "ed25519_speccheck.json": lambda data: data["cases"][4].update(libsodium=True),
    "ics23_smt.json": lambda data: data["cases"]["nonexist_middle"].update(root="00" * 32),
    "rfc9162_proofs.json": lambda data: data[1].update(wantErr=True),
    "wycheproof_ed25519.json": lambda data: data["testGroups"][0]["tests"][0].update(msg="00"),
    "wycheproof_p256_sha256_p1363.json": lambda data: data["testGroups"][0]["tests"][1].update(result="valid"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_check_notices_a_wrong_case(name: str) -> None:
    data = load(name)
    BROKEN[name](data)
    with pytest.raises((AssertionError, importlib.import_module("shared.errors").VerifyError)):
        check_here(FILES[name][0], data)


def test_micropython_notices_a_wrong_case(tmp_path: Path) -> None:
    data = load("rfc9162_proofs.json")
    BROKEN["rfc9162_proofs.json"](data)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(data))
    with pytest.raises(MicroPythonFailed, match="inclusion/0/happy-path"):
        check_json("checks_external", "check_rfc9162", path)
