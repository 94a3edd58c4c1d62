"""SunSpec: what the words of a meter become, and what becomes of a meter that misbehaves."""

import asyncio

import pytest

from edge.meters import open_meter, sunspec
from shared.channel import decode_table
from shared.errors import DecodeError, Unavailable
from tests.edge.meter import BASE, EXPORT, IMPORT, MODEL, POWER, VOLTAGE, build_words


class Words:
    """A transport over a list of words."""

    def __init__(self, words: list[int], base: int = BASE) -> None:
        self.words = words
        self.base = base
        self.error: Exception | None = None
        self.reads = 0

    async def read(self, unit: int, address: int, count: int) -> bytes:
        self.reads += 1
        if self.error:
            raise self.error
        start = address - self.base
        if unit != 7 or start < 0 or start + count > len(self.words):
            raise Unavailable(441, "no such register")
        return b"".join(word.to_bytes(2, "big") for word in self.words[start : start + count])

    def close(self) -> None:
        self.closed = True


def read(meter: sunspec.SunspecMeter) -> tuple[list[int | None], int]:
    return asyncio.run(meter.read())


def test_registers_and_table() -> None:
    words = build_words("SN 42")
    words[MODEL + EXPORT : MODEL + EXPORT + 2] = [0x0001, 0x0002]
    words[MODEL + IMPORT : MODEL + IMPORT + 2] = [0xFFFF, 0xFFFF]
    words[MODEL + POWER] = 0x10000 - 1500
    meter = sunspec.SunspecMeter(Words(words), 7)
    assert read(meter) == ([0x10002, 2**32 - 1, -1500, 2301], 0)
    table = decode_table(meter.table)
    assert (table.make, table.model, table.serial, table.firmware) == ("Maker", "M 3", "SN 42", "1.2")
    assert [tuple(register) for register in table.registers] == [
        ("2.8.0", "export", "Wh", 0, "cumulative"),
        ("1.8.0", "import", "Wh", 0, "cumulative"),
        ("16.7.0", "none", "W", 0, "instant"),
        ("32.7.0", "none", "V", -1, "instant"),
    ]


def test_wrap_is_passed_on() -> None:
    """acc32 wraps to 0: the meter's own total, neither corrected nor hidden."""
    words = build_words()
    words[MODEL + EXPORT : MODEL + EXPORT + 2] = [0xFFFF, 0xFFFF]
    meter = sunspec.SunspecMeter(Words(words), 7)
    assert read(meter)[0][0] == 2**32 - 1
    words[MODEL + EXPORT : MODEL + EXPORT + 2] = [0, 3]
    assert read(meter) == ([3, 0, 0, 2301], 0)


def test_one_request_a_reading() -> None:
    transport = Words(build_words())
    meter = sunspec.SunspecMeter(transport, 7)
    read(meter)
    identified = transport.reads
    read(meter)
    assert transport.reads == identified + 1


@pytest.mark.parametrize(("base", "model"), [(40000, 201), (50000, 203), (0, 204)])
def test_found_at_every_base(base: int, model: int) -> None:
    meter = sunspec.SunspecMeter(Words(build_words(model=model), base), 7)
    assert read(meter)[1] == 0


def test_models_before_the_meter_are_passed_over() -> None:
    words = build_words()
    words[MODEL:MODEL] = [120, 26, *[0] * 26]
    assert read(sunspec.SunspecMeter(Words(words), 7))[1] == 0


def test_not_implemented_is_null_and_a_meter_error() -> None:
    words = build_words()
    words[MODEL + VOLTAGE] = 0x8000
    assert read(sunspec.SunspecMeter(Words(words), 7)) == ([0, 0, 0, None], 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda words: words.__setitem__(0, 0),  # no marker
        lambda words: words.__setitem__(2, 2),  # no common model
        lambda words: words.__setitem__(3, 64),
        lambda words: words.__setitem__(MODEL, 103),  # an inverter model and nothing after it
        lambda words: words.__setitem__(MODEL + 1, 50),  # shorter than the model is
        lambda words: words.__setitem__(MODEL + 54, 0x8000),  # no scale factor
        lambda words: words.__setitem__(MODEL + 22, 10),
    ],
)
def test_a_map_that_is_not_as_it_should_be(change: object) -> None:
    words = build_words()
    change(words)
    meter = sunspec.SunspecMeter(Words(words), 7)
    assert read(meter) == ([None] * 4, 3)
    assert meter.table is None


@pytest.mark.parametrize(
    ("error", "status"), [(Unavailable(440, "silent"), 1), (Unavailable(441, "busy"), 3), (DecodeError(175, "garbled"), 3)]
)
def test_trouble_is_a_status_and_the_meter_identified_anew(error: Exception, status: int) -> None:
    transport = Words(build_words("old"))
    meter = sunspec.SunspecMeter(transport, 7)
    read(meter)
    old = meter.table
    transport.error = error
    assert read(meter) == ([None] * 4, status)
    assert meter.table == old
    transport.error = None
    transport.words = build_words("new")
    assert read(meter)[1] == 0
    assert decode_table(meter.table).serial == "new"


def test_scale_factor_that_changes_changes_the_table() -> None:
    words = build_words()
    meter = sunspec.SunspecMeter(Words(words), 7)
    read(meter)
    old = meter.table
    words[MODEL + 22] = 1
    assert read(meter)[1] == 0
    assert meter.table != old
    assert decode_table(meter.table).registers[2].exponent == 1


def test_texts_are_printable() -> None:
    words = build_words()
    words[4] = 0xC3BC  # "ü"
    words[5] = 0x0A41
    meter = sunspec.SunspecMeter(Words(words), 7)
    read(meter)
    assert decode_table(meter.table).make == "???Ar"


def test_open_meter() -> None:
    meter = open_meter({"kind": "sunspec", "host": "127.0.0.1", "port": 1, "unit": 1})
    assert read(meter) == ([None] * 4, 1)
    meter.close()
    with pytest.raises(DecodeError) as raised:
        open_meter({"kind": "dlt645"})
    assert raised.value.code == 195
