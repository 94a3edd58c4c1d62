"""The MQTT shell of ingest: subscribes, hands messages over in the order they came, publishes answers.

In: a broker's address. Out: calls of `Ingest.accept`, answers at QoS 1. Never trusts the broker with anything: a message lost here is
sent again by its device, since only a signed ack frees its journal.
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiomqtt

from shared.messages import TO_NODE, TOPIC_ROOT

QUEUE_MAX = 2048
ANSWERS_MAX = 4096
PAYLOAD_BYTES_MAX = 65535
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0
PUBLISH_TIMEOUT_S = 10.0
_LOG = logging.getLogger("meterproof.mqtt")


class Ingest(Protocol):
    """What takes the messages."""

    async def accept(self, topic: str, payload: bytes) -> Coroutine[Any, Any, None] | None: ...


@dataclass(frozen=True)
class Broker:
    """Where the broker is and who we are there."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    identifier: str | None = None


class MqttShell:
    """`counts`: messages taken, dropped (queue full, too long), answers published or unsent."""

    def __init__(self, broker: Broker, queue_max: int = QUEUE_MAX) -> None:
        self._broker = broker
        self._queue: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue(queue_max)
        self._client: aiomqtt.Client | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self.counts: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Whether answers can be sent now."""
        return self._client is not None

    async def run(self, ingest: Ingest) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen(), name="mqtt-listen")
            group.create_task(self._work(ingest, group), name="mqtt-work")

    async def publish(self, topic: str, payload: bytes) -> None:
        """Sends an answer if the broker is there; otherwise the device will ask again."""
        client = self._client
        try:
            if client is None:
                raise aiomqtt.MqttError("not connected")
            await client.publish(topic, payload, qos=1, timeout=PUBLISH_TIMEOUT_S)
            self.counts["published"] += 1
        except aiomqtt.MqttError:
            self.counts["unsent"] += 1

    async def _listen(self) -> None:
        """Connects, again and again with back-off."""
        backoff_s = BACKOFF_FIRST_S
        while True:
            try:
                async with self._new_client() as client:
                    for what in TO_NODE:
                        await client.subscribe(f"{TOPIC_ROOT}+/+/{what}", qos=1)
                    self._client = client
                    self.counts["connects"] += 1
                    backoff_s = BACKOFF_FIRST_S
                    async for message in client.messages:
                        self._take(message)
            except aiomqtt.MqttError as error:
                _LOG.warning("broker at %s:%d: %s", self._broker.host, self._broker.port, error)
            finally:
                self._client = None
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    def _new_client(self) -> aiomqtt.Client:
        broker = self._broker
        return aiomqtt.Client(
            broker.host,
            broker.port,
            username=broker.username,
            password=broker.password,
            identifier=broker.identifier,
            clean_session=True,
            max_queued_incoming_messages=QUEUE_MAX,
            tls_context=ssl.create_default_context() if broker.tls else None,
        )

    def _take(self, message: aiomqtt.Message) -> None:
        payload = message.payload if isinstance(message.payload, bytes) else b""
        if len(payload) > PAYLOAD_BYTES_MAX or self._queue.full():
            self.counts["dropped"] += 1
            return
        self.counts["taken"] += 1
        self._queue.put_nowait((str(message.topic), payload))

    async def _work(self, ingest: Ingest, group: asyncio.TaskGroup) -> None:
        while True:
            topic, payload = await self._queue.get()
            while len(self._answers) >= ANSWERS_MAX:
                await asyncio.wait(self._answers, return_when=asyncio.FIRST_COMPLETED)
            answer = await ingest.accept(topic, payload)
            if answer is not None:
                task = group.create_task(answer)
                self._answers.add(task)
                task.add_done_callback(self._answers.discard)
