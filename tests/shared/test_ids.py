"""shared/ids: text forms round-trip, and a text with one or two wrong characters is refused. The golden files hold more malformed texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids
from tests.shared.makers import DEVICE, code_of

PREFIXES = sorted(ids.BYTES)


@pytest.mark.parametrize("prefix", PREFIXES)
@given(data=st.data())
def test_round_trip(prefix: str, data: st.DataObject) -> None:
    raw = data.draw(st.binary(min_size=ids.BYTES[prefix], max_size=ids.BYTES[prefix]))
    text = ids.encode_id(prefix, raw)
    assert text == text.lower() and text.startswith(prefix + "1") and len(text) <= 90
    assert ids.decode_id(prefix, text) == raw
    for other in PREFIXES:
        if other != prefix:
            assert code_of(ids.decode_id, other, text) == 170


@given(st.binary(min_size=17, max_size=17), st.data())
def test_up_to_two_wrong_characters_are_found(raw: bytes, data: st.DataObject) -> None:
    """bech32m finds up to four; every other character is a way to mistype."""
    text = ids.encode_id(ids.DEVICE, raw)
    wrong = list(text)
    for _ in range(data.draw(st.integers(1, 2))):
        wrong[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.sampled_from("qpzry9x8gf2tvdw0s3jn54khce6mua7l1bio-Q é"))
    if "".join(wrong) != text:
        assert code_of(ids.decode_id, ids.DEVICE, "".join(wrong)) == 170


@pytest.mark.parametrize("prefix", PREFIXES)
def test_another_length(prefix: str) -> None:
    count = ids.BYTES[prefix]
    for length in (0, count - 1, count + 1):
        assert code_of(ids.encode_id, prefix, bytes(length)) == 170
    assert code_of(ids.encode_id, "mpother", bytes(count)) == 170
    text = ids.encode_id(prefix, bytes(count))
    for changed in (
        text[:-1],
        text + "q",
        text.upper(),
        text[1:],
        " " + text,
        text + "\n",
        "",
        prefix + "1",
        text[: len(prefix) + 1] + text[-6:],
    ):
        assert code_of(ids.decode_id, prefix, changed) == 170


def test_bech32_of_another_constant_is_refused() -> None:
    """The checksum of BIP 173 (constant 1) over the same data."""
    values = ids._to_fives(bytes(10))
    check = ids._polymod(ids._expand(ids.ORG) + values + bytes(6)) ^ 1
    old = "mporg1" + "".join(ids._CHARSET[value] for value in [*values, *(check >> 5 * (5 - i) & 31 for i in range(6))])
    assert code_of(ids.decode_id, ids.ORG, old) == 170


def test_padding_must_be_zero() -> None:
    """17 bytes leave four bits: they have one form."""
    values = ids._to_fives(DEVICE)
    values[-1] |= 1
    check = ids._polymod(ids._expand(ids.DEVICE) + values + bytes(6)) ^ ids._BECH32M
    text = "mpdev1" + "".join(ids._CHARSET[value] for value in [*values, *(check >> 5 * (5 - i) & 31 for i in range(6))])
    assert code_of(ids.decode_id, ids.DEVICE, text) == 170


def test_device() -> None:
    assert ids.check_device(DEVICE) == DEVICE
    for value in (DEVICE[:16], DEVICE + b"\x00", b"\x02" + bytes(16), "\x01" * 17, None, b""):
        assert code_of(ids.check_device, value) == 108


def test_origin_at_both_sides() -> None:
    for text in ("x", "example.org/demo/evidence", "x" * 128, "é" * 64, "meterproof.ledger/demo-chain"):
        assert ids.check_origin(text) == text
    for value in ("", "x" * 129, "é" * 64 + "x", "a b", "a+b", "a\n", "\t", "\x7f", "\u00a0", "\u2003", "\u3000", "\ud800", None, b"x", 1):
        assert code_of(ids.check_origin, value) == 108
