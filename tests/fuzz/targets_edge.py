"""The decoders of edge/ as targets: what a broker, a meter, a time server or the flash may hand to a device.

In: bytes that may come in pieces of any size. Out: targets. Never a network: coroutines are driven by hand.
"""

from edge import config, mqtt, ntp
from edge.flash import SECTOR_BYTES
from edge.journal import Journal
from edge.meters import modbus, sunspec
from shared import channel
from shared.errors import DecodeError, MeterproofError, Unavailable
from tests.device.journal_model import Model
from tests.device.memory_flash import MemoryFlash
from tests.fuzz.target import Target
from tests.fuzz.targets_shared import text_target

NONCE = bytes(range(8))
SECTORS = 4
FLASH_BYTES = SECTORS * SECTOR_BYTES
MODBUS_BYTES_MAX = 260


# --- MQTT


def read_packets(data: bytes, piece_bytes: int) -> tuple[list[mqtt.Packet], int]:
    """(packets, code of the error that ended them) of a stream that comes in pieces."""
    reader = mqtt.Reader()
    packets = []
    for at in range(0, len(data), piece_bytes):
        try:
            reader.feed(data[at : at + piece_bytes])
            while (packet := reader.next()) is not None:
                packets.append(packet)
        except DecodeError as error:
            return packets, error.code
    return packets, 0


def decode_stream(data: bytes) -> list[mqtt.Packet]:
    """Whole packets and what of them is published is the same however the stream is cut."""
    found = read_packets(data, mqtt.PACKET_BYTES_MAX // 2)
    assert found == read_packets(data, 1), "packets depend on how the stream was cut"
    if found[1]:
        raise DecodeError(found[1], "stream")
    for packet in found[0]:
        if packet.type == mqtt.PUBLISH and packet.packet_id:
            whole = mqtt.build_publish_head(packet.topic, len(packet.payload), packet.packet_id) + packet.payload
            assert read_packets(whole, 7) == ([packet], 0)
    return found[0]


def packets() -> list[bytes]:
    found = [b"\x20\x02\x00\x00", b"\x20\x02\x00\x05", b"\x90\x03\x00\x01\x01", b"\x40\x02\x00\x07", b"\xd0\x00"]
    for payload in (b"", b"ack", bytes(150)):
        found.append(mqtt.build_publish_head("meterproof/v1/a/b/ack", len(payload), 3) + payload)
        head = mqtt.build_text("t") + payload
        found.append(b"\x30" + mqtt.build_length(len(head)) + head)
    return found + [b"".join(found[:7])]


# --- Modbus and SunSpec


def decode_reply(data: bytes) -> bytes:
    """The first two bytes choose the question; the rest is the answer, whole and byte by byte."""
    if data and data[0] >= modbus.WORDS_MAX:
        raise DecodeError(175, "no question asks for so much")
    count = data[0] + 1 if data else 1
    unit = data[1] if len(data) > 1 else 0
    outcomes = []
    for piece_bytes in (MODBUS_BYTES_MAX, 1):
        reader = modbus.ReplyReader(7, unit, count)
        words: bytes | None = None
        code = 0
        try:
            for at in range(2, len(data), piece_bytes):
                words = reader.feed(data[at : at + piece_bytes])
        except (DecodeError, Unavailable) as error:
            words, code = None, error.code
        outcomes.append((words, code))
    assert outcomes[0] == outcomes[1], "a reply depends on how it was cut"
    words, code = outcomes[0]
    if words is None:
        raise DecodeError(code or 175, "no reply")
    assert len(words) == 2 * count
    return bytes((count - 1, unit)) + b"\x00\x07\x00\x00" + (3 + len(words)).to_bytes(2, "big") + bytes((unit, 3, len(words))) + words


def replies() -> list[bytes]:
    found = []
    for count in (1, 2, 53, 125):
        words = bytes(range(250))[: 2 * count]
        found.append(
            bytes((count - 1, 17)) + b"\x00\x07\x00\x00" + (3 + len(words)).to_bytes(2, "big") + bytes((17, 3, len(words))) + words
        )
    return found


class Registers:
    """A transport over bytes that are the meter's registers from 40000 on."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    async def read(self, unit: int, address: int, count: int) -> bytes:
        modbus.build_read(1, unit, address, count)  # refuses what cannot be asked
        at = 2 * (address - sunspec.BASES[0])
        if at < 0 or at + 2 * count > len(self._data):
            raise Unavailable(441, "no such registers")
        return self._data[at : at + 2 * count]

    def close(self) -> None:
        """Nothing is open."""


def decode_meter(data: bytes) -> tuple[list[int | None], int]:
    """A reading of whatever claims to be a SunSpec meter: a device must live through all of it, and sign only what it can decode."""
    meter = sunspec.SunspecMeter(Registers(data), 1)
    try:
        meter.read().send(None)
    except StopIteration as stop:
        registers, status = stop.value
    assert len(registers) == meter.registers
    if meter.table is None:
        raise DecodeError(175, "no meter there")
    channel.decode_table(meter.table)
    assert (None in registers) == (status != 0)
    return registers, status


def meters() -> list[bytes]:
    common = b"\x00\x01\x00\x42" + b"".join(
        text.ljust(size, b"\x00") for text, size in ((b"Make", 32), (b"Model", 32), (b"", 16), (b"1.0", 16), (b"S1", 32), (b"\x00\x01", 4))
    )
    found = []
    for model, point in ((203, 1), (201, 0x8000)):
        words = [0] * 105
        for place in sunspec.POINTS:
            words[place.offset - 2] = point
            words[place.scale_offset - 2] = 0xFFFE
        block = b"".join(word.to_bytes(2, "big") for word in (model, 105, *words))
        found.append(b"SunS" + common + block + b"\xff\xff\x00\x00")
    return found


# --- time server, configuration


def decode_time(data: bytes) -> int:
    time_ms = ntp.read_answer(data, NONCE)
    assert -(1 << 33) * 1000 < time_ms < (1 << 33) * 1000
    return time_ms


def answers() -> list[bytes]:
    return [b"\x24\x02" + bytes(22) + NONCE + bytes(8) + seconds.to_bytes(4, "big") + b"\x80\x00\x00\x00" for seconds in (1, 3_900_000_000)]


def configs() -> list[bytes]:
    text = """{"org": "mporg1x", "device_dir": "d", "origin": "example.org/x", "node_key": "a0", "broker_host": "h",
    "broker_port": 1883, "meter": {"kind": "sunspec", "host": "h", "port": 502, "unit": 1}, "channel": 0, "period_s": 60,
    "bundle_count": 60, "bundle_max_s": 3600, "clock": {"kind": "ntp", "host": "h"}, "flash": {"path": "f", "sectors": 64},
    "hwmodel": "unix"}"""
    return [text.encode()]


# --- flash


def decode_flash(data: bytes) -> int:
    """Starts a journal from a flash whose first sectors hold these bytes, and works on: it counts, or says that it cannot know."""
    if len(data) > FLASH_BYTES:
        raise DecodeError(108, "more than the flash")
    flash = MemoryFlash(SECTORS)
    flash.content[: len(data)] = data
    journal = Journal(flash)
    next_seq = journal.next_seq
    boot = journal.start_boot()
    again = Journal(flash)
    assert again.boot >= boot
    assert again.next_seq >= next_seq
    return next_seq


def flashes() -> list[bytes]:
    found = []
    for readings in (30, 700):
        model = Model(MemoryFlash(SECTORS))
        for i in range(readings):
            model.take()
            if i % 20 == 19:
                model.seal()
            if i % 50 == 49:
                model.free(1)
        model.seal_gap()
        found.append(bytes(model.flash.content).rstrip(b"\xff"))
    return found


def targets() -> list[Target]:
    refused: tuple[type[MeterproofError], ...] = (Unavailable,)  # a flash of which nothing can be known (421)
    return [
        Target("mqtt", decode_stream, None, packets(), tree=False),
        Target("modbus", decode_reply, None, replies(), lambda found: found, tree=False),
        Target("sunspec", decode_meter, None, meters(), tree=False),
        Target("ntp", decode_time, None, answers(), tree=False),
        text_target("config", config.decode_config, config.CONFIG_BYTES_MAX, configs()),
        # All of a flash is looked at, however little of it is written.
        Target("flash", decode_flash, FLASH_BYTES, flashes(), tree=False, also=refused, steps_fixed=10 * FLASH_BYTES, peak_per_byte=600),
    ]
