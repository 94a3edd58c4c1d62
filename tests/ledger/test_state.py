"""Overlays, prefixes, and values that this ledger never wrote."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger import values
from server.ledger.state import KIND_PARTS, MapState, Overlay, Remembering, prefix_of
from shared import cbor, state
from shared.errors import VerifyError

maps = st.dictionaries(st.binary(min_size=1, max_size=2), st.binary(max_size=1), max_size=8)


@given(maps, maps, maps, st.binary(max_size=1))
def test_layers_read_as_one_map(base: dict, middle: dict, top: dict, prefix: bytes) -> None:
    store = MapState()
    store.values.update(base)
    lower, upper = Overlay(store), None
    for key, value in middle.items():
        lower.put(key, value)
    upper = Overlay(lower)
    for key, value in top.items():
        upper.put(key, value)
    whole = base | middle | top
    put = {key: value for key, value in (middle | top).items() if key.startswith(prefix)}
    assert upper.changed(prefix) == put and lower.changed(b"") == middle and store.changed(b"") == {}
    assert all(upper.get(key) == whole.get(key) for key in [*whole, b"missing"])
    assert store.values == base
    lower.absorb(upper)
    assert lower.changed(b"") == middle | top and store.values == base


def test_prefixes_are_of_one_kind() -> None:
    keys = {
        "org": state.org_key(b"o" * 10),
        "key": state.key_key(b"k" * 16),
        "nonce": state.nonce_key(b"k" * 16),
        "point": state.point_key(b"p" * 10),
        "firmware": state.firmware_key(b"f" * 32),
        "device": state.device_key(b"\x01" * 17),
        "log": state.log_key("example.org/a"),
        "batch": state.batch_key("example.org/a", 300),
    }
    assert keys.keys() == KIND_PARTS.keys()
    for kind in keys:
        assert [other for other in keys if keys[other].startswith(prefix_of(kind))] == [kind]
        assert not state.PARAMS_KEY.startswith(prefix_of(kind))
    assert keys["batch"].startswith(prefix_of("batch", "example.org/a"))
    assert not keys["batch"].startswith(prefix_of("batch", "example.org/b"))


@pytest.mark.parametrize("name", ["org", "key", "point", "firmware", "log"])
@pytest.mark.parametrize("data", [b"", b"\xff", cbor.encode([1]), cbor.encode({1: "x"}), cbor.encode({**dict.fromkeys(range(1, 9), 0)})])
def test_a_value_of_another_shape_is_corruption(name: str, data: bytes) -> None:
    with pytest.raises(VerifyError) as caught:
        getattr(values, "decode_" + name)(data)
    assert caught.value.code == 271


def test_values_decode_to_what_was_encoded() -> None:
    found = [
        ("org", values.OrgValue("Ø", 3)),
        ("key", values.KeyValue(b"o" * 10, b"cose", ("admin", "node"), "x", 1, None)),
        ("key", values.KeyValue(b"o" * 10, b"cose", ("admin",), "x", 1, 9)),
        ("point", values.PointValue(b"o" * 10, "x", None, "UTC", 1)),
        ("firmware", values.FirmwareValue(b"o" * 10, "x", "1", 1, None)),
        ("log", values.LogValue(b"o" * 10, b"k" * 16, 5, b"r" * 32, 2)),
    ]
    for name, value in found:
        assert getattr(values, "decode_" + name)(getattr(values, "encode_" + name)(value)) == value
    assert values.decode_nonce(None) == 0 and values.decode_nonce(values.encode_nonce(300)) == 300
    assert values.decode_validators(values.encode_validators([(b"b" * 16, 1), (b"a" * 16, 2)])) == [(b"a" * 16, 2), (b"b" * 16, 1)]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.binary(max_size=1)), max_size=40))
def test_a_remembering_state_answers_as_the_store_it_stands_on(steps: list[tuple[bool, int, bytes]]) -> None:
    store = MapState()
    state_over = Remembering(store, kept_max=3)
    for block, number, value in steps:
        key = b"key %d" % number
        if block:
            store.values[key] = value
            state_over.forget([key])
        assert state_over.get(key) == store.get(key) and len(state_over._kept) <= 3


def test_what_is_remembered_is_read_once_and_absence_is_not() -> None:
    store, read = MapState(), []
    store.values[b"a"] = b"1"
    real = store.get
    store.get = lambda key: read.append(key) or real(key)  # type: ignore[method-assign]
    over = Remembering(store)
    assert [over.get(key) for key in (b"a", b"b", b"a", b"b")] == [b"1", None, b"1", None]
    assert read == [b"a", b"b", b"b"]
    store.values[b"b"] = b"2"
    assert over.get(b"b") == b"2" and over.members(b"list", 9) == [] and over.changed(b"") == {}
