"""A SunSpec meter on Modbus TCP (pymodbus), whose words a test may change. In: unit ids, words. Out: a running server. Contains no test."""

import asyncio

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

BASE = 40000
MODEL = 70  # words from the base to the meter model
EXPORT, IMPORT, POWER, VOLTAGE = 38, 46, 18, 8


def text_words(text: str, count: int) -> list[int]:
    data = text.encode().ljust(2 * count, b"\0")
    return [data[i] << 8 | data[i + 1] for i in range(0, 2 * count, 2)]


def build_words(serial: str = "S-1", model: int = 203) -> list[int]:
    """A whole map: common model, meter model, end."""
    words = [0x5375, 0x6E53, 1, 66, *text_words("Maker", 16), *text_words("M 3", 16), *text_words("", 8), *text_words("1.2", 8)]
    words += [*text_words(serial, 16), 1, 0, model, 105, *[0] * 105, 0xFFFF, 0]
    for offset, scale in ((54, 0), (22, 0), (15, -1)):
        words[MODEL + offset] = scale & 0xFFFF
    words[MODEL + VOLTAGE] = 2301
    return words


class Meter:
    """`words` are served as they stand; `fault` None, an exception code, or "silent". Every read of the export register counts it up."""

    def __init__(self) -> None:
        self.words = build_words()
        self.fault: ExcCodes | str | None = None
        self.reads = 0
        self.port = 0

    async def __aenter__(self) -> "Meter":
        data = SimData(BASE, values=self.words, datatype=DataType.REGISTERS)
        self.server = ModbusTcpServer([SimDevice(1, simdata=[data], action=self._action)], address=("127.0.0.1", 0))
        await self.server.serve_forever(background=True)
        self.port = self.server.transport.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.shutdown()

    async def _action(self, _f: int, start: int, address: int, _count: int, current: list[int], _new: object) -> ExcCodes | None:
        if self.fault == "silent":
            await asyncio.sleep(30)
        if isinstance(self.fault, ExcCodes):
            return self.fault
        if address > BASE + MODEL:
            self.reads += 1
            self.words[MODEL + EXPORT + 1] = self.reads
        current[BASE - start : BASE - start + len(self.words)] = self.words
        return None
