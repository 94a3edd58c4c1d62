"""TCP connections that are closed for sure. In: host, port. Out: an asyncio reader and writer.

MicroPython's own `close` closes nothing, and a connection given up before it was made is left open by its `open_connection`: with a meter
or broker that is away, a device would run out of sockets. There, one object is both reader and writer.
"""

import asyncio
import socket
import sys
from errno import EINPROGRESS


def _writable(sock: object) -> object:
    """Awaitable on MicroPython, where coroutines are generators."""
    yield asyncio.core._io_queue.queue_write(sock)


async def _connect(sock: object, address: object) -> None:
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno != EINPROGRESS:
            raise
    await _writable(sock)


async def open_stream(host: str, port: int, timeout_s: int) -> tuple:
    """Raises OSError or asyncio.TimeoutError; whether a peer is there shows at the first write at the latest."""
    if sys.implementation.name != "micropython":
        return await asyncio.wait_for(asyncio.open_connection(host, port), timeout_s)
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    stream = None
    try:
        sock.setblocking(False)
        await asyncio.wait_for(_connect(sock, address), timeout_s)
        stream = asyncio.StreamReader(sock)
    finally:
        if stream is None:
            sock.close()
    return stream, stream


def close_stream(writer: object) -> None:
    writer.close()
    if hasattr(writer, "s"):
        writer.s.close()
