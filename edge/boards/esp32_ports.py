"""What the ESP32 gives the agent: network, RS-485, watchdog. Pins and limits come from the board's generated table.

In: settings. Out: ports with the methods the agent uses. Never decides when to read or send.
Written from MicroPython's documentation, checked by type against its stubs and with a simulated board: not yet run on a board.
"""

import asyncio
import time

import network
from machine import UART, WDT, Pin

from edge.boards import esp32s3 as board

CONNECT_MS_MAX = 30_000
POLL_MS = 100
GUARD_MS = 5_000
ROUNDS_MISSED_MAX = 3


def connect_network(ssid: str, password: str) -> bool:
    """Joins the Wi-Fi; False when it is not there yet. The chip goes on trying by itself, and readings are taken meanwhile."""
    station = network.WLAN(network.WLAN.IF_STA)
    station.active(True)
    station.connect(ssid, password)
    waited_ms = 0
    while not station.isconnected() and waited_ms < CONNECT_MS_MAX:
        time.sleep_ms(POLL_MS)
        waited_ms += POLL_MS
    return station.isconnected()


class Rs485:
    """Half duplex: the driver is on only while bytes leave."""

    def __init__(self, baud: int = board.RS485_BAUD_DEFAULT, parity: int | None = None) -> None:
        if not 300 <= baud <= board.RS485_BAUD_MAX:
            raise ValueError(f"the board's transceiver does 300 to {board.RS485_BAUD_MAX} baud")
        self._uart = UART(
            board.RS485_UART,
            baudrate=baud,
            parity=parity,
            tx=Pin(board.RS485_TX_PIN),
            rx=Pin(board.RS485_RX_PIN),
            rxbuf=board.RS485_RX_BUFFER_BYTES,
            timeout=0,
        )
        self._drive = Pin(board.RS485_DE_RE_PIN, Pin.OUT, value=0)

    def send(self, request: bytes) -> None:
        """Drops what was left of an earlier answer and sends. Blocks for the bytes' time on the wire, 9 ms for a request at 9600 baud:
        letting another task run in between would keep the driver on while the meter already answers."""
        self._uart.read()
        self._drive.on()
        try:
            self._uart.write(request)
            self._uart.flush()
        finally:
            self._drive.off()

    async def receive(self, count: int, timeout_ms: int) -> bytes:
        """Up to `count` bytes: fewer when the time is over."""
        answer = b""
        waited_ms = 0
        while len(answer) < count and waited_ms < timeout_ms:
            answer += self._uart.read(count - len(answer)) or b""
            await asyncio.sleep_ms(POLL_MS // 10)
            waited_ms += POLL_MS // 10
        return answer


class Watchdog:
    """The hardware's watchdog, which wants to be fed more often than a meter is read. It is fed as long as the event loop turns and the
    sampling loop called `feed` within the last rounds; when either stops, the board restarts."""

    def __init__(self, round_s: int) -> None:
        self._hardware = WDT(timeout=board.WATCHDOG_TIMEOUT_S * 1000)
        self._allowed = ROUNDS_MISSED_MAX * round_s * 1000 // GUARD_MS + board.WATCHDOG_TIMEOUT_S * 1000 // GUARD_MS
        self._left = self._allowed

    def feed(self) -> None:
        self._left = self._allowed

    def guard_once(self) -> None:
        if self._left > 0:
            self._left -= 1
            self._hardware.feed()

    async def guard(self) -> None:
        while True:
            self.guard_once()
            await asyncio.sleep_ms(GUARD_MS)
