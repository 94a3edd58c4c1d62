"""The Modbus codec: fed whole, byte by byte and with trailing bytes; both transports against a real server (pymodbus)."""

import asyncio
import random

import pytest
from pymodbus.constants import ExcCodes

from edge.meters.modbus import ReplyReader, build_read
from edge.meters.modbus_gateway import ModbusGateway
from edge.meters.modbus_tcp import ModbusTcp
from shared.errors import DecodeError, Unavailable
from tests.edge.meter import Meter

REPLY = bytes.fromhex("0007 0000 0007 11 03 04 0102 fffe")


def test_request() -> None:
    assert build_read(7, 17, 40000, 2) == bytes.fromhex("0007 0000 0006 11 03 9c40 0002")
    for unit, address, count in ((256, 0, 1), (-1, 0, 1), (1, -1, 1), (1, 65535, 2), (1, 0, 0), (1, 0, 126)):
        with pytest.raises(DecodeError) as raised:
            build_read(1, unit, address, count)
        assert raised.value.code == 109


def test_whole_and_byte_by_byte() -> None:
    assert ReplyReader(7, 17, 2).feed(REPLY) == b"\x01\x02\xff\xfe"
    reader = ReplyReader(7, 17, 2)
    for i in range(len(REPLY) - 1):
        assert reader.feed(REPLY[i : i + 1]) is None
    assert reader.feed(REPLY[-1:]) == b"\x01\x02\xff\xfe"


def test_every_changed_byte_of_the_head_is_refused() -> None:
    for i in range(9):
        changed = bytearray(REPLY)
        changed[i] ^= 0x04
        for step in (len(changed), 1):
            reader = ReplyReader(7, 17, 2)
            with pytest.raises((DecodeError, Unavailable)) as raised:
                for at in range(0, len(changed), step):
                    reader.feed(bytes(changed[at : at + step]))
            assert raised.value.code == 175


def test_trailing_bytes_and_other_lengths() -> None:
    with pytest.raises(DecodeError):
        ReplyReader(7, 17, 2).feed(REPLY + b"\x00")
    with pytest.raises(DecodeError):
        ReplyReader(7, 17, 1).feed(REPLY)
    with pytest.raises(DecodeError):
        ReplyReader(7, 17, 3).feed(REPLY)


def test_exception_reply() -> None:
    with pytest.raises(Unavailable) as raised:
        ReplyReader(7, 17, 2).feed(bytes.fromhex("0007 0000 0003 11 83 02"))
    assert raised.value.code == 441


def test_random_bytes() -> None:
    random.seed(3)
    for _ in range(3000):
        try:
            ReplyReader(7, 17, 2).feed(REPLY[: random.randrange(9)] + random.randbytes(random.randrange(12)))
        except (DecodeError, Unavailable) as error:
            assert error.code in (175, 441)


@pytest.mark.parametrize("transport_class", [ModbusTcp, ModbusGateway])
def test_transport_against_a_real_server(transport_class: type) -> None:
    """The same answers and the same errors from our client and from pymodbus."""

    async def story() -> None:
        async with Meter() as meter:
            transport = transport_class("127.0.0.1", meter.port)
            assert await transport.read(1, 40000, 2) == b"SunS"
            with pytest.raises(Unavailable) as refused:
                await transport.read(1, 100, 2)
            assert refused.value.code == 441
            meter.fault = ExcCodes.DEVICE_BUSY
            with pytest.raises(Unavailable) as busy:
                await transport.read(1, 40000, 2)
            assert busy.value.code == 441
            meter.fault = None
            assert await transport.read(1, 40002, 1) == b"\x00\x01"
        with pytest.raises(Unavailable) as gone:
            await transport.read(1, 40000, 2)
        assert gone.value.code == 440
        transport.close()

    asyncio.run(story())


@pytest.mark.parametrize("transport_class", [ModbusTcp, ModbusGateway])
def test_silent_meter_is_not_waited_for(transport_class: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{transport_class.__module__}.TIMEOUT_S", 0.2)

    async def story() -> None:
        async with Meter() as meter:
            meter.fault = "silent"
            transport = transport_class("127.0.0.1", meter.port)
            with pytest.raises(Unavailable) as raised:
                await transport.read(1, 40000, 2)
            assert raised.value.code == 440
            transport.close()

    asyncio.run(story())


def test_garbled_reply_closes_the_connection() -> None:
    """What comes late or twice must never be taken for the next reply."""

    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readexactly(12)
            writer.write(request[:2] + bytes.fromhex("0000 0007 01 03 04 0000 0000") + b"extra")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        transport = ModbusTcp("127.0.0.1", server.sockets[0].getsockname()[1])
        for _ in range(2):
            with pytest.raises(DecodeError) as raised:
                await transport.read(1, 40000, 2)
            assert raised.value.code == 175
        server.close()

    asyncio.run(story())
