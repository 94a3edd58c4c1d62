"""Readings in a sector: each as the difference to the one before, so that a minute of four registers takes about ten bytes.

In: readings in order. Out: record bytes, and back. The first reading of a sector is absolute, so every sector is read by itself. Pure.

Body: [zigzag varint of the change of time, status,] then per register a varint: 0 for null, else 1 + zigzag(change to the last value that
was not null). The part in brackets is left out (bit R of the frame) when time step and status are as before.
"""

import array

from edge import records
from shared.types import Reading

NO_STEP = -(1 << 62)


def append_varint(out: bytearray, value: int) -> None:
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


def unzigzag(value: int) -> int:
    return value // 2 if value % 2 == 0 else -(value // 2) - 1


class Packed:
    """Consecutive readings in flat arrays, made once and used again: as objects, those of one bundle would take four times the heap, and a
    fragmented one has no room in one piece later. Reads like a list."""

    def __init__(self) -> None:
        self._count = self._first_seq = self._width = 0
        self._times = array.array("q")
        self._values = array.array("q")
        self._status = bytearray()
        self._nulls = bytearray()

    def reset(self, limit: int, width: int) -> None:
        """Empties it and makes room for `limit` readings of `width` registers, if there was never that much."""
        self._count = 0
        self._width = width
        if len(self._times) < limit:
            self._times = array.array("q", bytes(8 * limit))
            self._status = bytearray(limit)
        if len(self._values) < limit * width:
            self._values = array.array("q", bytes(8 * limit * width))
            self._nulls = bytearray(limit * width)

    def append(self, reading: Reading) -> None:
        if self._count == 0:
            self._first_seq = reading.seq
            self.reset(len(self._times), len(reading.registers))
        at = self._count * self._width
        for i in range(self._width):
            value = reading.registers[i]
            self._nulls[at + i] = value is None
            self._values[at + i] = value or 0
        self._times[self._count] = reading.time_s
        self._status[self._count] = reading.status
        self._count += 1

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, place: int) -> Reading:
        if not 0 <= place < self._count:
            raise IndexError
        at = place * self._width
        registers = [None if self._nulls[at + i] else self._values[at + i] for i in range(self._width)]
        return Reading(self._first_seq + place, self._times[place], registers, self._status[place])


class RowCodec:
    """Encodes or decodes the readings of one sector; `context` changes start the registers anew."""

    def __init__(self) -> None:
        self.time_s = 0
        self._step_s = NO_STEP
        self._status = NO_STEP
        self._last: list[int] = []

    def reset(self, registers: int) -> None:
        """A new context: how many registers follow."""
        self._last = [0] * registers
        self._step_s = NO_STEP

    def encode(self, time_s: int, registers: list[int | None], status: int) -> bytes:
        """The record of one reading. Leaves the state alone until `accept` (a record that does not fit goes to the next sector)."""
        same_step = time_s - self.time_s == self._step_s and status == self._status
        body = bytearray()
        if not same_step:
            append_varint(body, zigzag(time_s - self.time_s))
            body.append(status)
        for i in range(len(self._last)):
            value = registers[i]
            append_varint(body, 0 if value is None else 1 + zigzag(value - self._last[i]))
        if len(body) <= records.SHORT_BODY_MAX_BYTES:
            return records.build_short(bytes(body), same_step)
        return records.build_long(records.LONG_READING, bytes([same_step]) + bytes(body))

    def accept(self, time_s: int, registers: list[int | None], status: int) -> None:
        self._step_s = time_s - self.time_s
        self.time_s = time_s
        self._status = status
        for i in range(len(self._last)):
            value = registers[i]
            if value is not None:
                self._last[i] = value

    def decode(self, frame: records.Frame, seq: int) -> Reading:
        """The reading of a READING or LONG_READING frame, whose check has already held."""
        body = frame.body
        i = 0
        same_step = frame.same_step
        if frame.kind == records.LONG_READING:
            same_step = bool(body[0])
            i = 1
        time_s = self.time_s + self._step_s
        status = self._status
        if not same_step:
            change, i = read_varint(body, i)
            time_s = self.time_s + unzigzag(change)
            status = body[i]
            i += 1
        registers: list[int | None] = []
        for last in self._last:
            value, i = read_varint(body, i)
            registers.append(None if value == 0 else last + unzigzag(value - 1))
        self.accept(time_s, registers, status)
        return Reading(seq, time_s, registers, status)


def read_varint(body: bytes, at: int) -> tuple[int, int]:
    """(value, next place)."""
    value = shift = 0
    while body[at] & 0x80:
        value |= (body[at] & 0x7F) << shift
        shift += 7
        at += 1
    return value | body[at] << shift, at + 1


def decode_sector(ring: object, sector: int, first_seq: int, end_seq: int, found: object) -> None:
    """Appends the readings of [first_seq, end_seq) that this sector holds."""
    codec = RowCodec()
    seq = ring.first_seq[sector]
    for _, frame in ring.frames(sector):
        if frame.kind == records.CONTEXT:
            codec.reset(records.read_context(frame.body).registers)
        elif frame.kind in (records.READING, records.LONG_READING):
            if seq >= end_seq:
                return
            reading = codec.decode(frame, seq)
            if seq >= first_seq:
                found.append(reading)
            seq += 1
