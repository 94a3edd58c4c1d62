"""Sets the clock from a time server (SNTP, RFC 4330). In: a UDP answer. Out: the clock synced, quality NTP. Never believes an answer that
does not carry the random number of the question.

Errors: DecodeError 108 (not a usable answer).
"""

import asyncio
import os
import socket
from errno import EAGAIN

from edge import clock as clocks
from shared.errors import DecodeError

PORT = 123
PACKET_BYTES = 48
ASK = b"\x23" + bytes(39)  # version 4, mode 3 (client); then our random transmit timestamp
MODE_SERVER = 4
LEAP_UNKNOWN = 3
STRATUM_MAX = 15
UNIX_S = 2_208_988_800  # 1970 in seconds since 1900
ERA_S = 1 << 32
WAIT_MS = 3_000
POLL_MS = 20
RETRY_MS = 5_000
RETRY_MS_MAX = 900_000
RESYNC_MS = 3_600_000
STALE_AFTER_MS = 86_400_000  # a crystal drifts seconds a day: then it is no more than an RTC


def read_answer(packet: bytes, nonce: bytes) -> int:
    """UTC in milliseconds when the server sent it."""
    if len(packet) < PACKET_BYTES or packet[0] & 7 != MODE_SERVER or packet[24:32] != nonce:
        raise DecodeError(108, "not a time server's answer to our question")
    if packet[0] >> 6 == LEAP_UNKNOWN or not 1 <= packet[1] <= STRATUM_MAX:
        raise DecodeError(108, "the time server is not synchronized itself")
    seconds = int.from_bytes(packet[40:44], "big")
    fraction = int.from_bytes(packet[44:48], "big")
    if seconds == 0:
        raise DecodeError(108, "a time server without a time")
    era = 0 if seconds & 0x80000000 else ERA_S  # the count wraps in 2036
    return (seconds + era - UNIX_S) * 1000 + (fraction * 1000 >> 32)


async def ask(host: str, port: int) -> int:
    """UTC in milliseconds now. Raises OSError without an answer, DecodeError 108 for a bad one."""
    nonce = os.urandom(8)
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect(socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)[0][-1])
        sock.setblocking(False)
        started = clocks.Uptime()
        sock.send(ASK + nonce)
        # A short bounded poll: MicroPython's asyncio has no datagrams, and this way both interpreters run the same lines.
        while started.ms() < WAIT_MS:
            await asyncio.sleep(POLL_MS / 1000)
            try:
                packet = sock.recv(PACKET_BYTES)
            except OSError as error:
                if error.errno != EAGAIN:
                    raise
                continue
            return read_answer(packet, nonce) + started.ms() // 2
    finally:
        sock.close()
    raise OSError("the time server does not answer")


async def keep_synced(clock: clocks.Clock, settings: dict, health: object, on_sync: object) -> None:
    """For ever: asks until there is an answer, then every hour."""
    wait_ms = RETRY_MS
    since = clocks.Uptime()
    while True:
        try:
            clock.apply_sync(await ask(settings["host"], settings.get("port", PORT)), clocks.NTP)
            since = clocks.Uptime()
            wait_ms = RETRY_MS
            health.count("time_syncs")
            on_sync()
            await asyncio.sleep(RESYNC_MS / 1000)
        except (OSError, DecodeError):
            health.count("time_unanswered")
            if since.ms() > STALE_AFTER_MS and clock.now().quality == clocks.NTP:
                clock.apply_sync(clock.now_ms(), clocks.RTC)
            await asyncio.sleep(wait_ms / 1000)
            wait_ms = min(2 * wait_ms, RETRY_MS_MAX)
