"""MQTT connections over asyncio streams, one after the other.

In: topics and payloads. Out: messages of the broker. A connection ends with an exception, never by itself.

A PUBACK is only counted: what the broker says it has means nothing to the journal.

Errors: OSError, EOFError, asyncio.TimeoutError (network), DecodeError 160 (a broker that does not speak MQTT), Unavailable 410 (it refused
us).
"""

import asyncio

from edge import mqtt
from edge.memory import let_go
from edge.streams import close_stream, open_stream
from shared.errors import DecodeError, Unavailable

TIMEOUT_S = 10
KEEPALIVE_S = 60
PING_S = 20  # silence after which we ask; as long again without an answer and the connection is dead
CHUNK_BYTES = 256


def build_connect(client_id: str, user: str | None, password: str | None) -> bytes:
    from edge import mqtt_opening  # code is memory

    return mqtt_opening.build_connect(client_id, KEEPALIVE_S, user, password)


def build_subscribe(packet_id: int, topics: tuple[str, ...]) -> bytes:
    from edge import mqtt_opening

    try:
        return mqtt_opening.build_subscribe(packet_id, topics)
    finally:
        let_go("mqtt_opening")


class Client:
    """`pubacks` counts what the broker says it took."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._input = mqtt.Reader()
        self._lock = asyncio.Lock()  # MicroPython's drain loses what another task writes meanwhile
        self._reader = None
        self._writer = None
        self._packet_id = 0
        self.pubacks = 0

    async def connect(self, client_id: str, user: str | None, password: str | None) -> None:
        self._input.reset()
        self._reader, self._writer = await open_stream(self._host, self._port, TIMEOUT_S)
        await self._send(build_connect(client_id, user, password))
        packet = await asyncio.wait_for(self._packet(), TIMEOUT_S)
        if packet.type != mqtt.CONNACK:
            raise DecodeError(160, "the broker did not answer the connect first")
        if packet.payload[1]:
            raise Unavailable(410, f"the broker refused the connection with code {packet.payload[1]}")

    async def subscribe(self, topics: tuple[str, ...]) -> None:
        """Before anything else is sent or received."""
        packet_id = self._next_id()
        await self._send(build_subscribe(packet_id, topics))
        packet = await asyncio.wait_for(self._packet(), TIMEOUT_S)
        if packet.type != mqtt.SUBACK or packet.packet_id != packet_id or len(packet.payload) != len(topics):
            raise DecodeError(160, "the broker did not answer the subscribe")
        if any(code != 1 for code in packet.payload):
            raise Unavailable(410, "the broker refused the subscription")

    async def publish(self, topic: str, payload: bytes) -> None:
        await self._send(mqtt.build_publish_head(topic, len(payload), self._next_id()), payload)

    async def receive(self) -> tuple[str, bytes]:
        """(topic, payload) of the next message, acknowledged to the broker. Keeps the connection alive while it waits."""
        asked = False
        while True:
            try:
                packet = await asyncio.wait_for(self._packet(), PING_S)
            except asyncio.TimeoutError:
                if asked:
                    raise
                asked = True
                await self._send(mqtt.PING)
                continue
            asked = False
            if packet.type == mqtt.PUBLISH:
                if packet.packet_id:
                    await self._send(mqtt.build_puback(packet.packet_id))
                return packet.topic, packet.payload
            if packet.type == mqtt.PUBACK:
                self.pubacks += 1
            elif packet.type != mqtt.PINGRESP:
                raise DecodeError(160, "the broker answered what was not asked")

    async def _packet(self) -> mqtt.Packet:
        while True:
            packet = self._input.next()
            if packet is not None:
                return packet
            data = await self._reader.read(min(CHUNK_BYTES, self._input.room()))
            if not data:
                raise EOFError
            self._input.feed(data)

    async def _send(self, head: bytes, payload: bytes = b"") -> None:
        async with self._lock:
            self._writer.write(head)
            if payload:
                self._writer.write(payload)
            await asyncio.wait_for(self._writer.drain(), TIMEOUT_S)

    def _next_id(self) -> int:
        self._packet_id = self._packet_id % 0xFFFF + 1
        return self._packet_id

    async def disconnect(self) -> None:
        await self._send(mqtt.DISCONNECT)

    def close(self) -> None:
        if self._writer is not None:
            close_stream(self._writer)
            self._reader = self._writer = None
