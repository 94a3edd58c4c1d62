"""A small MQTT 3.1.1 broker of its own, with faults. In: connections of devices, what a node sends. Out: what the node gets. Contains no
test.

Shares no code with edge/mqtt.py. Every PUBLISH is acknowledged at once, whatever becomes of it: as a real broker may.
"""

import asyncio
from collections.abc import Awaitable, Callable


def text_at(body: bytes, at: int) -> tuple[str, int]:
    end = at + 2 + int.from_bytes(body[at : at + 2], "big")
    return body[at + 2 : end].decode(), end


def frame(first: int, body: bytes) -> bytes:
    length, out = len(body), bytearray([first])
    while True:
        length, digit = divmod(length, 128)
        out.append(digit | (0x80 if length else 0))
        if not length:
            return bytes(out) + body


class Broker:
    """`on_publish(topic, payload)` is the node. `to_node` and `to_device` change traffic: each gets (topic, payload) and gives a list of
    them."""

    def __init__(self, on_publish: Callable[[str, bytes], Awaitable[None]]) -> None:
        self.on_publish = on_publish
        self.to_node: Callable[[str, bytes], list[tuple[str, bytes]]] = lambda topic, payload: [(topic, payload)]
        self.to_device: Callable[[str, bytes], list[tuple[str, bytes]]] = lambda topic, payload: [(topic, payload)]
        self.subscribers: dict[str, asyncio.StreamWriter] = {}
        self.connects = 0
        self.pubacks_got = 0
        self.client_ids: list[str] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._packet_id = 0

    async def __aenter__(self) -> "Broker":
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Goes down with all connections."""
        if self._server:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()

    async def publish(self, topic: str, payload: bytes) -> None:
        """From the node to the device, if it is there."""
        for topic_, payload_ in self.to_device(topic, payload):
            writer = self.subscribers.get(topic_)
            if writer and not writer.is_closing():
                self._packet_id = self._packet_id % 60000 + 1
                body = len(topic_).to_bytes(2, "big") + topic_.encode() + self._packet_id.to_bytes(2, "big") + payload_
                writer.write(frame(0x32, body))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                first = (await reader.readexactly(1))[0]
                length = shift = 0
                while True:
                    digit = (await reader.readexactly(1))[0]
                    length |= (digit & 0x7F) << shift
                    shift += 7
                    if not digit & 0x80:
                        break
                await self._packet(first, await reader.readexactly(length), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _packet(self, first: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        kind = first >> 4
        if kind == 1:
            assert body[:8] == b"\x00\x04MQTT\x04\x02"
            self.client_ids.append(text_at(body, 10)[0])
            self.connects += 1
            writer.write(b"\x20\x02\x00\x00")
        elif kind == 8:
            at, codes = 2, b""
            while at < len(body):
                topic, at = text_at(body, at)
                assert body[at] == 1
                at += 1
                codes += b"\x01"
                self.subscribers[topic] = writer
            writer.write(frame(0x90, body[:2] + codes))
        elif kind == 3:
            topic, at = text_at(body, 0)
            assert first == 0x32
            writer.write(b"\x40\x02" + body[at : at + 2])
            for message in self.to_node(topic, body[at + 2 :]):
                await self.on_publish(*message)
        elif kind == 4:
            self.pubacks_got += 1
        elif kind == 12:
            writer.write(b"\xd0\x00")
