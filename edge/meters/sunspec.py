"""SunSpec meters over Modbus: the register tables as data, and what their words mean.

In: words read by a transport (`edge/meters/__init__.py`). Out: the channel table and readings as integers. No float anywhere.

Layout, zero-based holding registers, big-endian words (a simulated meter serves exactly this):

    40000  "SunS"                    two words, 0x53756e53
    40002  1, 66                     common model: id and length
    40004  make 16 words, model 16, options 8, version 8, serial 16, device address 1, pad 1; texts padded with NUL
    40070  203, 105                  meter model (201, 202 and 204 have the same places)
    40072  … 105 words; `POINTS` names by offset from 40070 those that are read, with their scale factors (sunssf, int16)
    40177  0xffff, 0                 end of the models

W is signed as OBIS 16.7.0: positive is import (from the grid), negative export. acc32 counts to 2³² − 1 and wraps to 0: it is the meter's
own total and is passed on as it is; what goes backward is a finding of the backend. Where a point says "not implemented" (0x8000) the
register is null and the status "meter error".
"""

from collections import namedtuple

from edge.memory import forget
from shared.errors import DecodeError, Unavailable

BASES = (40000, 50000, 0)
MARKER = b"SunS"
END_MODEL = 0xFFFF
COMMON_MODEL = 1
COMMON_WORDS = 68  # with id and length
METER_MODELS = (201, 202, 203, 204)
METER_LENGTH = 105
MODELS_MAX = 16

Point = namedtuple("Point", ("offset", "type", "scale_offset", "obis", "direction", "unit", "kind"))

POINTS = (
    Point(38, "acc32", 54, "2.8.0", "export", "Wh", "cumulative"),  # TotWhExp
    Point(46, "acc32", 54, "1.8.0", "import", "Wh", "cumulative"),  # TotWhImp
    Point(18, "int16", 22, "16.7.0", "none", "W", "instant"),  # W
    Point(8, "int16", 15, "32.7.0", "none", "V", "instant"),  # PhVphA
)
READ_FROM = 2
READ_WORDS = 53  # up to TotWh_SF: one request a reading

STATUS_OK = 0
STATUS_NO_DATA = 1
STATUS_METER_ERROR = 3
NOT_IMPLEMENTED = 0x8000
EXPONENT_MAX = 9
SILENT = 440


def word_at(data: bytes, offset: int) -> int:
    return data[2 * offset] << 8 | data[2 * offset + 1]


def signed16(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


def exponents(block: bytes) -> tuple[int, ...]:
    """The scale factor of each point, from the words of the meter model."""
    found = tuple(signed16(word_at(block, point.scale_offset - READ_FROM)) for point in POINTS)
    if any(not -EXPONENT_MAX <= exponent <= EXPONENT_MAX for exponent in found):
        raise DecodeError(175, "a scale factor of the meter is out of range")
    return found


def registers_of(block: bytes) -> list[int | None]:
    values: list[int | None] = []
    for point in POINTS:
        word = word_at(block, point.offset - READ_FROM)
        if point.type == "acc32":
            values.append(word << 16 | word_at(block, point.offset - READ_FROM + 1))
        else:
            values.append(None if word == NOT_IMPLEMENTED else signed16(word))
    return values


class SunspecMeter:
    """After any trouble the meter is identified anew: it may be another one."""

    registers = len(POINTS)

    def __init__(self, transport: object, unit: int) -> None:
        self._transport = transport
        self._unit = unit
        self._model_at = -1
        self._common = b""
        self._scales: tuple[int, ...] | None = None
        self.table: bytes | None = None

    async def read(self) -> tuple[list[int | None], int]:
        """(registers, status): 0 ok, 1 silent, 3 it answered, but not with all we need. `table` is up to date with them."""
        try:
            if self._model_at < 0:
                await self._identify()
            block = await self._transport.read(self._unit, self._model_at + READ_FROM, READ_WORDS)
            self._rescale(block)
        except (Unavailable, DecodeError) as error:
            self._model_at = -1
            return [None] * len(POINTS), STATUS_NO_DATA if error.code == SILENT else STATUS_METER_ERROR
        values = registers_of(block)
        return values, STATUS_METER_ERROR if None in values else STATUS_OK

    def _rescale(self, block: bytes) -> None:
        scales = exponents(block)
        if scales != self._scales or self.table is None:
            from edge import tables  # code is memory

            self.table = tables.build_table(self._common, POINTS, scales)
            forget("tables")
            self._scales = scales

    async def _identify(self) -> None:
        base = await self._find_base()
        common = await self._transport.read(self._unit, base + 2, COMMON_WORDS)
        length = word_at(common, 1)
        if word_at(common, 0) != COMMON_MODEL or length not in (65, 66):
            raise DecodeError(175, "no common model at the start of the SunSpec map")
        at = base + 2 + 2 + length
        for _ in range(MODELS_MAX):
            head = await self._transport.read(self._unit, at, 2)
            model, length = word_at(head, 0), word_at(head, 1)
            if model in METER_MODELS and length >= METER_LENGTH:
                self._common, self._scales, self._model_at = common, None, at
                return
            if model == END_MODEL:
                break
            at += 2 + length
        raise DecodeError(175, "no meter model in the SunSpec map")

    async def _find_base(self) -> int:
        for base in BASES:
            try:
                if await self._transport.read(self._unit, base, 2) == MARKER:
                    return base
            except Unavailable as error:
                if error.code == SILENT:
                    raise
        raise DecodeError(175, "no SunSpec map")

    def close(self) -> None:
        self._transport.close()
