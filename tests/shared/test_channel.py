"""shared/channel: tables at both ends of every limit. The golden files hold the malformed bytes."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cbor, channel
from shared.errors import DecodeError
from tests.shared.makers import REGISTER, TABLE, TABLE_BYTES, code_of
from tests.shared.strategies import mutations


def test_round_trip() -> None:
    assert channel.decode_table(TABLE_BYTES) == TABLE
    assert channel.table_hash(TABLE_BYTES) == sha256(TABLE_BYTES).digest()


@pytest.mark.parametrize(
    "changes",
    [
        {"obis": "0.0.0"},
        {"obis": "255.255.255"},
        {"direction": "import"},
        {"direction": "none"},
        {"unit": "m³"},
        {"unit": "x" * 16},
        {"exponent": -9},
        {"exponent": 9},
        {"kind": "instant"},
    ],
)
def test_register_allowed(changes: dict) -> None:
    table = TABLE._replace(registers=[REGISTER._replace(**changes)])
    assert channel.decode_table(channel.encode_table(table)) == table


@pytest.mark.parametrize(
    "changes",
    [
        {"obis": "1.8"},
        {"obis": "1-0:1.8.0"},
        {"obis": "1.8.0.255"},
        {"obis": "256.8.0"},
        {"obis": "01.8.0"},
        {"obis": "1..0"},
        {"obis": "1.8.-0"},
        {"obis": "1.8.٣"},
        {"obis": "1.8.0000"},
        {"obis": ""},
        {"obis": None},
        {"direction": "both"},
        {"direction": 1},
        {"unit": ""},
        {"unit": "x" * 17},
        {"unit": None},
        {"exponent": -10},
        {"exponent": 10},
        {"exponent": True},
        {"exponent": 1.0},
        {"kind": "total"},
        {"kind": None},
    ],
)
def test_register_refused(changes: dict) -> None:
    assert code_of(channel.encode_table, TABLE._replace(registers=[REGISTER._replace(**changes)])) == 123


def test_registers_at_both_ends() -> None:
    for count in (1, 32):
        assert len(channel.decode_table(channel.encode_table(TABLE._replace(registers=[REGISTER] * count))).registers) == count
    for count in (0, 33):
        assert code_of(channel.encode_table, TABLE._replace(registers=[REGISTER] * count)) == 123
    assert code_of(channel.encode_table, TABLE._replace(registers=[REGISTER[:4]])) == 123


def test_texts() -> None:
    for name in ("make", "model", "serial", "firmware"):
        assert channel.decode_table(channel.encode_table(TABLE._replace(**{name: "é"}))) == TABLE._replace(**{name: "é"})
        for value in (None, 1, b"x"):
            assert code_of(channel.encode_table, TABLE._replace(**{name: value})) == 123


def test_bytes_at_both_sides_of_the_limit() -> None:
    spare = 2048 - len(channel.encode_table(TABLE._replace(make="x" * 256)))
    data = channel.encode_table(TABLE._replace(make="x" * (256 + spare)))
    assert len(data) == 2048 and channel.decode_table(data).model == "Model"
    longer = TABLE._replace(make="x" * (257 + spare))
    assert code_of(channel.encode_table, longer) == 123
    registers = [list(register) for register in longer.registers]
    assert code_of(channel.decode_table, cbor.encode({1: longer.make, 2: longer.model, 3: "0815", 4: "1.0", 5: registers})) == 106


@given(st.binary(max_size=60) | mutations(st.just(TABLE_BYTES)))
def test_any_bytes(data: bytes) -> None:
    try:
        table = channel.decode_table(data)
    except DecodeError:
        return
    assert channel.encode_table(table) == data
