"""shared/cbor and the library cbor2 agree: on what is valid, and on the value of everything that ours accepts.

In: hypothesis. Out: nothing. cbor2 accepts much that the profile refuses; that the server refuses it too is tests/server/test_fastcbor.py.
"""

import json

import cbor2
from hypothesis import given
from hypothesis import strategies as st

from shared import cbor
from shared.errors import DecodeError
from tests.independent.make_vectors import VECTORS
from tests.shared.strategies import ONE_KIND_OF_KEYS, mutations, values


def same(ours: object, theirs: object) -> bool:
    """Equal, and of the same types: `true` is not 1 (cbor2 gives frozen containers inside a tag)."""
    if isinstance(ours, list):
        return isinstance(theirs, (list, tuple)) and len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, dict):
        pairs = zip(ours.items(), theirs.items(), strict=True) if len(ours) == len(theirs) else [(0, None)]
        return all(same(list(a), list(b)) for a, b in pairs)
    return type(ours) is type(theirs) and ours == theirs


@given(ONE_KIND_OF_KEYS)
def test_canonical_encoding_is_ours(value: object) -> None:
    assert cbor2.dumps(value, canonical=True) == cbor.encode(value)


@given(values())
def test_cbor2_decodes_what_ours_encodes(value: object) -> None:
    data = cbor.encode(value)
    assert same(cbor.decode(data), cbor2.loads(data))
    # In the order decoded, which is bytewise, its plain encoding is ours for keys of every kind.
    assert cbor2.dumps(cbor2.loads(data)) == data


@given(values())
def test_tag_18(value: object) -> None:
    theirs = cbor2.loads(cbor.encode(cbor.Tagged(18, value)))
    assert theirs.tag == 18
    assert cbor2.dumps(theirs) == cbor.encode(cbor.Tagged(18, value))


@given(st.one_of(st.binary(max_size=80), mutations(values().map(cbor.encode))))
def test_whatever_ours_accepts_cbor2_decodes_to_the_same(data: bytes) -> None:
    try:
        ours = cbor.decode(data)
    except DecodeError:
        return
    theirs = cbor2.loads(data)
    assert same(ours.value, theirs.value) if isinstance(ours, cbor.Tagged) else same(ours, theirs)


def test_the_golden_file_too() -> None:
    cases = [
        case for case in json.loads((VECTORS / "cbor.json").read_text(encoding="utf-8"))["cases"] if case["do"] == "cbor" and "want" in case
    ]
    assert len(cases) > 50
    for case in cases:
        data = bytes.fromhex(case["input"]["hex"])
        assert cbor2.dumps(cbor2.loads(data)) == data, case["desc"]
