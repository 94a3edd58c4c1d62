"""Readings in a sector: each as the difference to the one before, so that a minute of four registers takes about ten bytes.

In: readings in order. Out: record bytes, and back. The first reading of a sector is absolute, so every sector is read by itself. Pure.

Body: [zigzag varint of the change of time, status,] then per register a varint: 0 for null, else 1 + zigzag(change to the last value that
was not null). The part in brackets is left out (bit R of the frame) when time step and status are as before.
"""

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
