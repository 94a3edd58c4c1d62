"""A SunSpec meter and the bus to it. In: what the firmware asks of its Modbus transport. Out: words, or silence. Which meter, the host
of the running code says."""

import asyncio
import random

from shared.errors import Unavailable
from tests.edge.meter import BASE, EXPORT, MODEL, build_words
from tests.simulation.seams import HOST


class Meter:
    """The words a SunSpec meter serves; each read of it counts some energy."""

    def __init__(self, rng: random.Random, serial: str) -> None:
        self._rng = rng
        self.silent = False
        self.total = rng.randrange(1_000_000)
        self.replace(serial)

    def replace(self, serial: str) -> None:
        self.serial = serial
        self.words = build_words(serial)

    def read(self, address: int, count: int) -> bytes:
        self.total = (self.total + self._rng.randrange(40)) & 0xFFFFFFFF
        self.words[MODEL + EXPORT : MODEL + EXPORT + 2] = self.total >> 16, self.total & 0xFFFF
        words = self.words[address - BASE : address - BASE + count]
        return b"".join(word.to_bytes(2, "big") for word in words)


class Bus:
    """What the firmware takes for its Modbus transport."""

    def __init__(self, *_: object) -> None:
        pass

    async def read(self, unit: int, address: int, count: int) -> bytes:
        meter = HOST.get().meter
        await asyncio.sleep(3.0 if meter.silent else 0.02)
        if meter.silent:
            raise Unavailable(440, "the meter does not answer")
        return bytes(meter.read(address, count))

    def close(self) -> None:
        pass
