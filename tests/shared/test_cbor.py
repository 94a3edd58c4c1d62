"""shared/cbor: what goes in comes out, one encoding for each value, limits that are reached.

In: hypothesis values, single cases; the golden file cbor.json holds the rest. Out: nothing. Never cbor2: see test_cbor_agrees_with_cbor2.
"""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cbor
from shared.errors import DecodeError
from tests.independent.cbor_out import cbor as independent
from tests.independent.cbor_out import head
from tests.shared.strategies import mutations, values


def code_of(call, *arguments: object) -> int:
    with pytest.raises(DecodeError) as caught:
        call(*arguments)
    return caught.value.code


@given(values())
def test_round_trip(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(values())
def test_encodes_as_the_second_encoder_does(value: object) -> None:
    assert cbor.encode(value) == independent(value)


@given(values())
def test_tag_18_outermost(value: object) -> None:
    tagged = cbor.Tagged(18, value)
    assert cbor.decode(cbor.encode(tagged)) == tagged
    assert cbor.encode(tagged)[1:] == cbor.encode(value)


@given(st.one_of(st.binary(max_size=60), mutations(values().map(independent))))
def test_what_is_accepted_encodes_to_the_same_bytes(data: bytes) -> None:
    """So nobody on the way can make a second encoding of a value."""
    try:
        value = cbor.decode(data)
    except DecodeError as error:
        assert 100 <= error.code <= 107
        return
    assert cbor.encode(value) == data


@given(values(), st.data())
def test_every_prefix_and_every_longer_input_is_refused(value: object, data: st.DataObject) -> None:
    good = cbor.encode(value)
    cut = data.draw(st.integers(0, len(good) - 1))
    assert code_of(cbor.decode, good[:cut]) == 100
    assert code_of(cbor.decode, good + data.draw(st.binary(min_size=1, max_size=5))) == 101


def test_tuples_memoryviews_and_bytearrays_are_encoded_as_lists_and_bytes() -> None:
    assert cbor.encode((1, 2)) == cbor.encode([1, 2])
    assert cbor.encode(bytearray(b"ab")) == cbor.encode(memoryview(b"ab")) == cbor.encode(b"ab")


@pytest.mark.parametrize("view", [bytearray, memoryview])
def test_decodes_any_buffer_to_bytes(view: type) -> None:
    value = cbor.decode(view(cbor.encode([b"ab", "ü", {1: b""}])))
    assert value == [b"ab", "ü", {1: b""}]
    assert type(value[0]) is bytes


@pytest.mark.parametrize("value", [1.0, object(), {1, 2}, [1.5], {1: float("nan")}, {(1,): 0}, {1.0: 0}])
def test_types_outside_the_profile_cannot_be_encoded(value: object) -> None:
    assert code_of(cbor.encode, value) == 109


@pytest.mark.parametrize("head_bytes", [head(major, 2**width - 1) for major in (2, 3, 4, 5) for width in (16, 32, 48, 64)])
def test_a_length_that_is_not_there_allocates_nothing(head_bytes: bytes) -> None:
    tracemalloc.start()
    try:
        assert code_of(cbor.decode, head_bytes + bytes(20)) == 100
        assert tracemalloc.get_traced_memory()[1] < 20_000
    finally:
        tracemalloc.stop()


def test_nested_lengths_allocate_no_more_than_the_input() -> None:
    """Every list says that it holds all bytes that are left."""
    data = b"".join(head(4, 900 - 3 * depth) for depth in range(16)) + bytes(800)
    tracemalloc.start()
    try:
        assert code_of(cbor.decode, data) == 100
        assert tracemalloc.get_traced_memory()[1] < 100_000
    finally:
        tracemalloc.stop()


def test_depth() -> None:
    assert cbor.decode(b"\x81" * 16 + b"\x00") is not None
    assert code_of(cbor.decode, b"\x81" * 17 + b"\x00") == 105
    assert code_of(cbor.decode, b"\xd2" + b"\x81" * 17 + b"\x00") == 105


def test_limit_is_inclusive() -> None:
    data = cbor.encode(bytes(97))
    assert cbor.decode(data, len(data)) == bytes(97)
    assert code_of(cbor.decode, data, len(data) - 1) == 106


def test_tagged_equality() -> None:
    assert cbor.Tagged(18, [1]) == cbor.Tagged(18, [1])
    assert cbor.Tagged(18, [1]) != cbor.Tagged(18, [2])
    assert cbor.Tagged(18, [1]) != [1]


# --- the checks of fields


def test_check_map() -> None:
    assert cbor.check_map({1: 0, 2: 0}, (1,), (2, 3)) == {1: 0, 2: 0}
    for value in ([], None, {2: 0}, {1: 0, 4: 0}, {1: 0, "1": 0}):
        assert code_of(cbor.check_map, value, (1,), (2, 3)) == 108


@pytest.mark.parametrize("value", [True, False, None, "1", b"\x01", [1], 1.0, -1, 11])
def test_check_int_refuses(value: object) -> None:
    assert code_of(cbor.check_int, value, 0, 10) == 108
    assert code_of(cbor.check_uint, value, 10) == 108


def test_check_int_bounds() -> None:
    for value in (0, 10):
        assert cbor.check_int(value, 0, 10) == cbor.check_uint(value, 10) == value
    assert cbor.check_int(2**63 - 1) == 2**63 - 1
    assert cbor.check_int(-(2**63)) == -(2**63)
    assert code_of(cbor.check_int, 2**63) == code_of(cbor.check_int, -(2**63) - 1) == code_of(cbor.check_uint, 2**63) == 108


def test_check_bytes_text_and_list() -> None:
    assert cbor.check_bytes(b"ab", 2) == cbor.check_bytes(b"ab", 0, 2) == b"ab"
    for value, low, high in (
        (b"a", 2, None),
        (b"abc", 2, None),
        (b"", 1, 2),
        (b"abc", 1, 2),
        ("ab", 2, None),
        (None, 0, 9),
        ([1, 2], 2, None),
    ):
        assert code_of(cbor.check_bytes, value, low, high) == 108
    assert cbor.check_text("üü", 4) == "üü"
    for value in ("üü", b"ab", None, 1):
        assert code_of(cbor.check_text, value, 3) == 108
    assert cbor.check_list([1], 1, 1) == [1]
    for value in ([], [1, 2], (1,), {}, None):
        assert code_of(cbor.check_list, value, 1, 1) == 108
