"""Our own small Modbus TCP client, for MicroPython. In: unit, address, count. Out: register bytes. One request at a time; reconnects when
next asked.

Errors: Unavailable 440 (no connection, no answer in time), 441 (exception reply); DecodeError 175. After any of them but 441 the connection
is closed, so that a late reply is never taken for the next one's.
"""

import asyncio

from edge.meters.modbus import ReplyReader, build_read
from edge.streams import close_stream, open_stream
from shared.errors import DecodeError, Unavailable

TIMEOUT_S = 3
CHUNK_BYTES = 256


class ModbusTcp:
    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._reader = None
        self._writer = None
        self._transaction = 0

    async def read(self, unit: int, address: int, count: int) -> bytes:
        try:
            return await asyncio.wait_for(self._exchange(unit, address, count), TIMEOUT_S)
        except (OSError, EOFError, asyncio.TimeoutError):
            self.close()
            raise Unavailable(440, "the meter does not answer")
        except DecodeError:
            self.close()
            raise

    async def _exchange(self, unit: int, address: int, count: int) -> bytes:
        if self._writer is None:
            self._reader, self._writer = await open_stream(self._host, self._port, TIMEOUT_S)
        self._transaction = self._transaction + 1 & 0xFFFF
        self._writer.write(build_read(self._transaction, unit, address, count))
        await self._writer.drain()
        reply = ReplyReader(self._transaction, unit, count)
        while True:
            data = await self._reader.read(CHUNK_BYTES)
            if not data:
                raise EOFError
            words = reply.feed(data)
            if words is not None:
                return words

    def close(self) -> None:
        if self._writer is not None:
            close_stream(self._writer)
            self._reader = self._writer = None
