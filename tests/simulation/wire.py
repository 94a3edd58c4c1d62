"""One connection of a device to the broker. In: bytes that the firmware's MQTT client writes. Out: packets to the broker, bytes to the
firmware, in order, a moment later; nothing at all once it is half-open."""

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.network import Broker

LATENCY_S_MAX = 0.2


class Wire:
    """One connection of a device, as the broker sees it."""

    def __init__(self, broker: "Broker", device: str) -> None:
        self.broker = broker
        self.device = device
        self.reader = asyncio.StreamReader()
        self.open = True
        self.dumb = False  # half-open: nothing arrives any more, on either side
        self.topics: set[str] = set()
        self._received = bytearray()
        self._sends_s = 0.0

    def write(self, data: bytes) -> None:
        if not self.open:
            raise ConnectionResetError("the connection is closed")
        if self.dumb:
            return
        self._received += data
        while (packet := self._next()) is not None:
            self.broker.packet(self, *packet)

    def _next(self) -> tuple[int, bytes] | None:
        length = shift = 0
        for place, digit in enumerate(self._received[1:5], 1):
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                start, end = place + 1, place + 1 + length
                if len(self._received) < end:
                    return None
                first, body = self._received[0], bytes(self._received[start:end])
                del self._received[:end]
                return first, body
        return None

    async def drain(self) -> None:
        await asyncio.sleep(0)
        if not self.open:
            raise ConnectionResetError("the connection is closed")

    def close(self) -> None:
        self.open = False
        self.reader.feed_eof()

    def send(self, data: bytes) -> None:
        """To the device, in order, after a moment."""
        loop = asyncio.get_running_loop()
        self._sends_s = max(self._sends_s + 1e-6, loop.time() + self.broker.rng.uniform(0, LATENCY_S_MAX))
        loop.call_at(self._sends_s, self._arrive, data)

    def _arrive(self, data: bytes) -> None:
        if self.open and not self.dumb:
            self.reader.feed_data(data)
