"""Channel tables: which meter a channel is, and what its registers mean (SPEC 3).

In: a ChannelTable, or its bytes. Out: bytes, or the table. Its SHA-256 is in every statement, so the bytes are kept as they came.
Never gives a number a unit by guessing.

Errors: DecodeError 100..107 for what is not our CBOR, 123 for everything else.
"""

from hashlib import sha256

from . import cbor
from .errors import DecodeError
from .types import ChannelTable, Register

TABLE_BYTES_MAX = 2048
REGISTERS_MAX = 32
UNIT_BYTES_MAX = 16
EXPONENT_MAX = 9
DIRECTIONS = ("import", "export", "none")
REGISTER_KINDS = ("cumulative", "instant")


def encode_table(table: ChannelTable) -> bytes:
    """Bytes of a table that a decoder will take. Raises DecodeError 123."""
    registers = [list(register) for register in table.registers]
    fields = {1: table.make, 2: table.model, 3: table.serial, 4: table.firmware, 5: registers}
    _read(fields)
    data = cbor.encode(fields)
    if len(data) > TABLE_BYTES_MAX:
        raise DecodeError(123, "channel table longer than " + str(TABLE_BYTES_MAX) + " bytes")
    return data


def decode_table(data: bytes) -> ChannelTable:
    """The table that `data` is."""
    return _read(cbor.decode(data, TABLE_BYTES_MAX))


def table_hash(data: bytes) -> bytes:
    """What a statement names: SHA-256 of the table's bytes."""
    return sha256(data).digest()


def _read(value: object) -> ChannelTable:
    try:
        fields = cbor.check_map(value, (1, 2, 3, 4, 5))
        texts = [cbor.check_text(fields[key], TABLE_BYTES_MAX) for key in (1, 2, 3, 4)]
        registers = [_read_register(item) for item in cbor.check_list(fields[5], REGISTERS_MAX, 1)]
    except DecodeError as error:
        raise DecodeError(123, "channel table: " + error.text)
    return ChannelTable(texts[0], texts[1], texts[2], texts[3], registers)


def _read_register(item: object) -> Register:
    obis, direction, unit, exponent, kind = cbor.check_list(item, 5, 5)
    if not _is_obis(cbor.check_text(obis)):
        raise DecodeError(123, "OBIS code is not three numbers as 2.8.0")
    if cbor.check_text(direction) not in DIRECTIONS or cbor.check_text(kind) not in REGISTER_KINDS:
        raise DecodeError(123, "direction or kind of register unknown")
    if not cbor.check_text(unit, UNIT_BYTES_MAX):
        raise DecodeError(123, "a register without a unit")
    cbor.check_int(exponent, -EXPONENT_MAX, EXPONENT_MAX)
    return Register(obis, direction, unit, exponent, kind)


def _is_obis(text: str) -> bool:
    """C.D.E of IEC 62056-61, each 0..255 without leading zeros."""
    parts = text.split(".")
    if len(parts) != 3:
        return False
    for part in parts:
        if not 1 <= len(part) <= 3 or not all(char in "0123456789" for char in part) or str(int(part)) != part or int(part) > 255:
            return False
    return True
