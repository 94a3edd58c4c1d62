"""pymodbus behind our transport interface, for gateways (CPython). In: unit, address, count. Out: register bytes.

Its API moves often: pinned, and touched in this file only. Errors: Unavailable 440 (silent), 441 (exception reply); DecodeError 175.
"""

import logging

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException

from shared.errors import DecodeError, Unavailable

TIMEOUT_S = 3

# It writes a line for every lost connection; the readings' status says the same.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL)


class ModbusGateway:
    def __init__(self, host: str, port: int) -> None:
        # Made anew after trouble and never reconnecting by itself: when to try again is the sampler's to say.
        self._host = host
        self._port = port
        self._client: AsyncModbusTcpClient | None = None

    async def read(self, unit: int, address: int, count: int) -> bytes:
        try:
            answer = await (await self._connected()).read_holding_registers(address, count=count, device_id=unit)
        except (ModbusException, OSError):
            self.close()
            raise Unavailable(440, "the meter does not answer")
        if answer.isError():
            raise Unavailable(441, "the meter refused")
        if len(answer.registers) != count:
            self.close()
            raise DecodeError(175, "a reply of the wrong length")
        return b"".join(word.to_bytes(2, "big") for word in answer.registers)

    async def _connected(self) -> AsyncModbusTcpClient:
        if self._client is None or not self._client.connected:
            self._client = AsyncModbusTcpClient(self._host, port=self._port, timeout=TIMEOUT_S, retries=0, reconnect_delay=0)
            if not await self._client.connect():
                raise OSError("no connection")
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
