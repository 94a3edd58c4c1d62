"""Statements: what a device signs and the log keeps forever (SPEC 3). Three kinds in one chain: readings, gap, time repair.

In: a Statement, or the bytes of a signed one. Out: the payload to be signed, or the parts. Never signs, never verifies a signature.

Errors: DecodeError 100..107 for what is not our CBOR, 110 and 111 for what is not one of the three signed objects, 120 for wrong fields.
"""

from . import cbor, cose
from .errors import DecodeError
from .ids import IDENTITY_BYTES, check_device
from .types import Lost, Repair, Statement

STATEMENT_BYTES_MAX = 2048
COUNT_MAX = 1024
SEQ_END_MAX = 1 << 63
LOST_MAX = 32
TIER_MAX = 3
CLOCK_MAX = 4
CHANNEL_MAX = 255
LOST_REASON_MAX = 3

CONTENT_TYPES = {"readings": cose.CT_READINGS, "gap": cose.CT_GAP, "time-repair": cose.CT_TIME_REPAIR}
_COMMON = (1, 2, 3, 4, 5)
_KEYS = {"readings": _COMMON + (6, 7, 8, 9, 10, 11, 12), "gap": _COMMON + (13,), "time-repair": _COMMON + (14,)}
_LAST_KEY = 14


def content_type_of(kind: str) -> str:
    """What a statement of this kind is signed as. Raises DecodeError 120."""
    if kind not in CONTENT_TYPES:
        raise DecodeError(120, "no such kind of statement")
    return CONTENT_TYPES[kind]


def encode_statement(statement: Statement) -> bytes:
    """The payload to sign. Raises DecodeError 120 for anything that a reader would refuse."""
    content_type_of(statement.kind)
    fields = {}
    for key in range(1, _LAST_KEY + 1):
        if key in _KEYS[statement.kind]:
            fields[key] = statement[key]
        elif statement[key] is not None:
            raise DecodeError(120, "field " + str(key) + " does not belong to this kind")
    if statement.kind == "gap":
        fields[13] = [list(lost) for lost in statement.lost or ()]
    elif statement.kind == "time-repair":
        fields[14] = list(statement.repair or ())
    _read(statement.kind, fields)
    return cbor.encode(fields)


def open_statement(data: bytes) -> tuple[cose.Signed, Statement]:
    """(signed object, statement) of the bytes in the log. The signature is not verified: that needs the device's key."""
    signed = cose.decode_sign1(data, tuple(CONTENT_TYPES.values()), STATEMENT_BYTES_MAX)
    for kind in CONTENT_TYPES:
        if CONTENT_TYPES[kind] == signed.content_type:
            return signed, _read(kind, cbor.decode(signed.payload))
    raise DecodeError(111, "not a statement")


def _read(kind: str, value: object) -> Statement:
    try:
        fields = cbor.check_map(value, _KEYS[kind])
        _check_common(fields)
        if kind == "readings":
            _check_readings(fields)
        elif kind == "gap":
            fields[13] = _read_lost(fields[13])
        else:
            fields[14] = _read_repair(fields[14])
    except DecodeError as error:
        raise DecodeError(120, "statement: " + error.text)
    return Statement(kind, *[fields.get(key) for key in range(1, _LAST_KEY + 1)])


def _check_common(fields: dict[int, object]) -> None:
    check_device(fields[1])
    cbor.check_int(fields[2], 1)
    if fields[3] is not None:
        cbor.check_bytes(fields[3], IDENTITY_BYTES)
    cbor.check_bytes(fields[4], 32)
    cbor.check_int(fields[5], 1, TIER_MAX)


def _check_readings(fields: dict[int, object]) -> None:
    cbor.check_uint(fields[6], CHANNEL_MAX)
    check_range(fields[7], fields[8], COUNT_MAX)
    cbor.check_uint(fields[9])
    cbor.check_uint(fields[10], CLOCK_MAX)
    cbor.check_bytes(fields[11], 32)
    cbor.check_bytes(fields[12], 32)


def check_range(first_seq: object, count: object, most: int = SEQ_END_MAX) -> int:
    """End of a range of 1..most sequences, all below 2⁶³. Raises DecodeError 108."""
    end = cbor.check_uint(first_seq) + cbor.check_int(count, 1, most)
    if end > SEQ_END_MAX:
        raise DecodeError(108, "sequences end at 2^63")
    return end


def _read_lost(value: object) -> list[Lost]:
    found = []
    end = 0
    for item in cbor.check_list(value, LOST_MAX, 1):
        first_seq, count, identity, reason = cbor.check_list(item, 4, 4)
        if cbor.check_uint(first_seq) < end:
            raise DecodeError(108, "lost ranges out of order or overlapping")
        end = check_range(first_seq, count)
        if identity is not None:
            cbor.check_bytes(identity, IDENTITY_BYTES)
        cbor.check_int(reason, 1, LOST_REASON_MAX)
        found.append(Lost(first_seq, count, identity, reason))
    return found


def _read_repair(value: object) -> Repair:
    boot, uptime_s, utc_s, clock = cbor.check_list(value, 4, 4)
    cbor.check_int(boot, 1)
    cbor.check_uint(uptime_s)
    cbor.check_uint(utc_s)
    # An unsynced clock has no UTC to repair anything with.
    cbor.check_int(clock, 1, CLOCK_MAX)
    return Repair(boot, uptime_s, utc_s, clock)
