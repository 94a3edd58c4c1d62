"""server/fastcbor gives what shared/cbor gives: the same value, or the same error, for every input.

In: hypothesis, golden files. Out: nothing. Never a timing assertion: `meterproof bench` measures.
"""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server import fastcbor
from shared import cbor
from shared.errors import DecodeError
from tests.independent.cbor_out import cbor as independent
from tests.independent.cbor_out import head
from tests.independent.make_vectors import VECTORS
from tests.shared.strategies import mutations, values
from tests.shared.test_cbor_agrees_with_cbor2 import same


def outcome(decode, data: bytes, limit: int = cbor.LIMIT_BYTES) -> object:
    try:
        return decode(data, limit)
    except DecodeError as error:
        return error.code


def agree(data: bytes, limit: int = cbor.LIMIT_BYTES) -> object:
    ours, fast = outcome(cbor.decode, data, limit), outcome(fastcbor.decode, data, limit)
    if isinstance(ours, cbor.Tagged):
        assert isinstance(fast, cbor.Tagged) and fast.tag == 18
        assert same(ours.value, fast.value)
    else:
        assert same(ours, fast), data.hex()
    return fast


@given(values())
def test_valid_values(value: object) -> None:
    assert agree(cbor.encode(value)) == value


@given(values())
def test_tagged_values(value: object) -> None:
    agree(cbor.encode(cbor.Tagged(18, value)))


@given(st.one_of(st.binary(max_size=80), mutations(values().map(independent)), mutations(values().map(lambda v: b"\xd2" + independent(v)))))
@settings(max_examples=400)
@example(bytes.fromhex("d81c81d81d00"))  # a list that holds itself
@example(bytes.fromhex("a2018001f5"))
@example(bytes.fromhex("a201f5f500"))  # keys 1 and true are one key to Python
@example(bytes.fromhex("a1f93c0000"))
@example(bytes.fromhex("a1820102f6"))
@example(bytes.fromhex("a1a10102f6"))
def test_everything_else(data: bytes) -> None:
    agree(data)


def golden() -> list[dict]:
    cases = json.loads((VECTORS / "cbor.json").read_text(encoding="utf-8"))["cases"]
    return [case for case in cases if case["do"] == "cbor"]


@pytest.mark.parametrize("case", golden(), ids=lambda case: case["desc"])
def test_golden(case: dict) -> None:
    found = agree(bytes.fromhex(case["input"].get("hex", "")))
    if "error" in case:
        assert found == case["error"]


def test_depth_and_limit() -> None:
    for depth in range(14, 20):
        agree(b"\x81" * depth + b"\x00")
        agree(b"\x81" * depth + b"\x80")
        agree(b"\xd2" + b"\x81" * depth + b"\x00")
        agree(b"\xa1\x01" * depth + b"\x00")
    data = cbor.encode(bytes(97))
    for limit in (len(data) - 1, len(data), len(data) + 1, 0):
        agree(data, limit)


@pytest.mark.parametrize("tag", [*fastcbor._KNOWN_TAGS, 6, 17, 18, 19, 24, 61, 394, 2**32, 2**64 - 1])
def test_every_tag_is_refused(tag: int) -> None:
    for inner in (b"\x00", b"\x40", b"\x41\x01", b"\x80", b"\x82\x01\x02", b"\x60", b"\xa0", b"\x1a\x00\x01\x00\x00"):
        if tag != 18:
            assert agree(head(6, tag) + inner) == 103
        assert agree(b"\x81" + head(6, tag) + inner) == 103
        assert agree(b"\xa1\x01" + head(6, tag) + inner) == 103


def test_the_fast_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Valid bytes never reach the slow decoder."""
    good = cbor.encode([b"statement", {1: [1, None, True], 256: "ü", -1: {}}, [[60, 60], [5, -5]]])
    want = cbor.decode(good)
    monkeypatch.setattr(cbor, "decode", lambda *_: pytest.fail("fell back"))
    assert fastcbor.decode(good) == want
