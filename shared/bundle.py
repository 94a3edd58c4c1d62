"""Bundles: reading leaves with their salts and root, and the envelope that carries rows as delta-coded columns (SPEC 3 and 4).

In: readings and a bundle salt, or the bytes of an envelope. Out: bytes, hashes, or readings that rebuild the signed root. Never trusts
rows beyond that root, never accepts a second way to write the same rows.

Errors: DecodeError 121 (envelope), 122 (rows, readings); VerifyError 232 (rows are missing), 233 (they do not rebuild the root).
"""

from hashlib import sha256

from . import cbor, merkle
from .channel import REGISTERS_MAX
from .errors import DecodeError, VerifyError
from .statement import COUNT_MAX, STATEMENT_BYTES_MAX
from .types import Envelope, Reading, Statement

ENVELOPE_BYTES_MAX = 65535
SALT_BYTES = 16
LEAF_BYTES_MAX = 512
STATUS_NO_DATA = 1
STATUS_METER_ERROR = 3
STATUS_MAX = 5
_INT64_MAX = (1 << 63) - 1


# --- reading leaves


def reading_salt(bundle_salt: bytes, place: int) -> bytes:
    """Salt of the reading at this place of its bundle: it can be shown without revealing the salts of its neighbours."""
    cbor.check_bytes(bundle_salt, SALT_BYTES)
    cbor.check_uint(place, COUNT_MAX - 1)
    return sha256(bundle_salt + place.to_bytes(2, "big")).digest()[:SALT_BYTES]


def reading_leaf(salt: bytes, reading: Reading) -> bytes:
    """The leaf of a reading. Raises DecodeError 122 for a reading that no reader would take."""
    check_reading(reading)
    return _encode_leaf(salt, reading)


def _encode_leaf(salt: bytes, reading: Reading) -> bytes:
    return cbor.encode([salt, reading.seq, reading.time_s, reading.registers, reading.status])


def decode_reading_leaf(data: bytes) -> tuple[bytes, Reading]:
    """(salt, reading) of a leaf. Raises DecodeError 100..107, 122."""
    value = cbor.decode(data, LEAF_BYTES_MAX)
    if not isinstance(value, list) or len(value) != 5:
        raise DecodeError(122, "not a reading leaf of five items")
    salt, seq, time_s, registers, status = value
    if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
        raise DecodeError(122, "salt is not of 16 bytes")
    reading = Reading(seq, time_s, registers, status)
    check_reading(reading)
    return salt, reading


def check_reading(reading: Reading) -> None:
    """Raises DecodeError 122 unless types and ranges are right and the nulls go with the status."""
    try:
        cbor.check_uint(reading.seq)
        cbor.check_uint(reading.time_s)
        status = cbor.check_uint(reading.status, STATUS_MAX)
        for value in cbor.check_list(reading.registers, REGISTERS_MAX, 1):
            if value is not None:
                cbor.check_int(value)
            if (value is None) != (status == STATUS_NO_DATA) and status != STATUS_METER_ERROR:
                raise DecodeError(122, "a null that does not go with the status")
    except DecodeError as error:
        raise DecodeError(122, "reading: " + error.text)


def leaf_hashes(bundle_salt: bytes, readings: list[Reading]) -> list[bytes]:
    """RFC 9162 leaf hashes of a bundle, in order."""
    return [merkle.leaf_hash(reading_leaf(reading_salt(bundle_salt, i), reading)) for i, reading in enumerate(readings)]


def readings_root(bundle_salt: bytes, readings: list[Reading]) -> bytes:
    """The root that a statement signs; holds no more than the tree's edge in memory."""
    for reading in readings:
        check_reading(reading)
    return _checked_root(bundle_salt, readings)


def _checked_root(bundle_salt: bytes, readings: list[Reading]) -> bytes:
    frontier = merkle.Frontier()
    for i, reading in enumerate(readings):
        frontier.append(merkle.leaf_hash(_encode_leaf(reading_salt(bundle_salt, i), reading)))
    return frontier.root()


# --- envelope


def encode_envelope(statement: bytes, salt: bytes | None, readings: list[Reading] | None) -> bytes:
    """Bytes to publish; salt and readings are None but for a statement of readings. Raises DecodeError 121, 122."""
    _check_parts(statement, salt, None if readings is None else [])  # any sequence of readings will do
    out = bytearray()
    cbor.write_head(out, 4, 3)
    out.extend(cbor.encode(statement))
    out.extend(cbor.encode(salt))
    if readings is None:
        out.extend(cbor.encode(None))
    else:
        _write_rows(out, readings)
    if len(out) > ENVELOPE_BYTES_MAX:
        raise DecodeError(121, "envelope longer than " + str(ENVELOPE_BYTES_MAX) + " bytes")
    return bytes(out)


def decode_envelope(data: bytes) -> Envelope:
    """The three parts; that rows are right columns is checked by `check_rows`. Raises DecodeError 100..107, 121."""
    return read_envelope(cbor.decode(data, ENVELOPE_BYTES_MAX))


def read_envelope(value: object) -> Envelope:
    """The same of CBOR decoded already (a server has a faster decoder). Raises DecodeError 121."""
    if not isinstance(value, list) or len(value) != 3:
        raise DecodeError(121, "not an envelope of three items")
    _check_parts(value[0], value[1], value[2])
    return Envelope(value[0], value[1], value[2])


def _check_parts(statement: object, salt: object, rows: object) -> None:
    if not isinstance(statement, bytes) or not 0 < len(statement) <= STATEMENT_BYTES_MAX:
        raise DecodeError(121, "statement is not a byte string of allowed length")
    if salt is None and rows is None:
        return
    if not isinstance(salt, bytes) or len(salt) != SALT_BYTES or not isinstance(rows, list):
        raise DecodeError(121, "salt and rows are not both there")


def _write_rows(out: bytearray, readings: list[Reading]) -> None:
    """Column by column, so that no more than one column is held beside the readings."""
    if not 0 < len(readings) <= COUNT_MAX:
        raise DecodeError(122, "not 1.." + str(COUNT_MAX) + " readings")
    width = len(readings[0].registers)
    for i, reading in enumerate(readings):
        check_reading(reading)
        if len(reading.registers) != width or reading.seq != readings[0].seq + i:
            raise DecodeError(122, "readings of a bundle share their registers and follow each other")
    cbor.write_head(out, 4, 3)
    _write_column(out, _time_column(readings))
    cbor.write_head(out, 4, width)
    for register in range(width):
        _write_column(out, _register_column(readings, register))
    _write_column(out, [reading.status for reading in readings])


def _write_column(out: bytearray, values: list[int | None]) -> None:
    out.extend(cbor.encode(values[0] if _is_uniform(values) else values))


def _is_uniform(values: list[int | None]) -> bool:
    """At least one value and all equal: such a column must be written as that value alone."""
    return len(values) > 0 and all(value == values[0] for value in values)


def _time_column(readings: list[Reading]) -> list[int | None]:
    deltas: list[int | None] = []
    last_s = readings[0].time_s
    for reading in readings:
        if reading.time_s < last_s:
            raise DecodeError(122, "time falls inside a bundle")
        deltas.append(reading.time_s - last_s)
        last_s = reading.time_s
    return deltas[1:]


def _register_column(readings: list[Reading], register: int) -> list[int | None]:
    column: list[int | None] = []
    last = 0
    for reading in readings:
        value = reading.registers[register]
        column.append(None if value is None else value - last)
        last = last if value is None else value
    return column


# --- rows


def rows_to_readings(statement: Statement, rows: object) -> list[Reading]:
    """The readings that the columns stand for. Raises DecodeError 122."""
    try:
        times, registers, statuses = cbor.check_list(rows, 3, 3)
        columns = cbor.check_list(registers, REGISTERS_MAX, 1)
        _check_column(times, statement.count - 1)
        for column in columns:
            _check_column(column, statement.count)
        _check_column(statuses, statement.count)
        return _expand(statement, times, columns, statuses)
    except DecodeError as error:
        raise DecodeError(122, "rows: " + error.text)


def _check_column(column: object, count: int) -> None:
    """In the one form allowed, before anything of it is expanded."""
    if isinstance(column, list):
        if len(column) != count or _is_uniform(column):
            raise DecodeError(122, "a column of wrong length or form")
    elif count == 0:
        raise DecodeError(122, "a value in an empty column")


def _item(column: object, place: int) -> object:
    return column[place] if isinstance(column, list) else column


def _expand(statement: Statement, times: object, columns: list[object], statuses: object) -> list[Reading]:
    readings = []
    time_s = statement.start_s
    last = [0] * len(columns)
    for i in range(statement.count):
        if i:
            time_s += cbor.check_uint(_item(times, i - 1))
        values = []
        for register, column in enumerate(columns):
            delta = _item(column, i)
            if delta is not None:
                last[register] = cbor.check_int(last[register] + cbor.check_int(delta, -1 << 64, (1 << 64) - 1))
            values.append(None if delta is None else last[register])
        reading = Reading(statement.first_seq + i, time_s, values, _item(statuses, i))
        check_reading(reading)
        readings.append(reading)
    return readings


def check_rows(statement: Statement, salt: object, rows: object, registers: int | None = None) -> list[Reading]:
    """The readings, when they rebuild the root that the statement signs; none for the other kinds, which have no rows.

    `registers`: for a caller that takes no other number of them; a backend logs what a device signed, with a finding (SPEC 3).
    Raises VerifyError 232, 233; DecodeError 121, 122.
    """
    if statement.kind != "readings":
        if salt is not None or rows is not None:
            raise DecodeError(121, "rows with a statement that has none")
        return []
    if salt is None or rows is None:
        raise VerifyError(232, "the rows are missing")
    if not isinstance(salt, bytes) or len(salt) != SALT_BYTES:
        raise DecodeError(121, "bundle salt is not of 16 bytes")
    readings = rows_to_readings(statement, rows)
    if registers is not None and len(readings[0].registers) != registers:
        raise DecodeError(122, "not as many registers as the channel table names")
    if _checked_root(salt, readings) != statement.root:
        raise VerifyError(233, "the rows do not rebuild the signed root")
    return readings
