"""The MQTT shell of ingest: subscribes, hands messages over in the order they came, publishes answers.

In: a broker's address. Out: calls of `Ingest.accept`, answers at QoS 1. Never trusts the broker with anything: a message lost here is
sent again by its device, since only a signed ack frees its journal. Never holds more than it is told: what is too much is shed and counted,
that of strangers first.

One thing it cannot bound: paho reads a packet whole before anybody can judge it, and its API sets no limit in MQTT 3.1.1. A broker that
passes on the largest packet of the protocol, 256 MiB, costs this process three times that for a moment. So the broker has to refuse what is
longer than PAYLOAD_BYTES_MAX (SPEC section 8).
"""

import asyncio
import logging
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, cast

import aiomqtt

from shared.messages import TO_NODE, TOPIC_ROOT

QUEUE_MAX = 2048
QUEUE_BYTES_MAX = 16 * 1024 * 1024
ANSWERS_MAX = 1024  # two rounds of the log: more would only wait there
INFLIGHT_MAX = 256  # answers that the broker has not confirmed
LOOK_MAX = 2  # packets read between two messages that are worked through
PAYLOAD_BYTES_MAX = 65535
BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 10.0
PUBLISH_TIMEOUT_S = 10.0
_LOG = logging.getLogger("meterproof.mqtt")


class Ingest(Protocol):
    """What takes the messages."""

    async def accept(self, topic: str, payload: bytes) -> Coroutine[Any, Any, None] | None: ...
    def expects(self, topic: str) -> bool: ...


@dataclass(frozen=True)
class Broker:
    """Where the broker is and who we are there."""

    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    identifier: str | None = None


class _Intake(asyncio.Queue[aiomqtt.Message]):
    """Stands where aiomqtt has its own queue, which would drop without a word what does not fit: hands every message on, keeps none."""

    def __init__(self, take: Callable[[aiomqtt.Message], None]) -> None:
        super().__init__()
        self._hand_on = take

    def put_nowait(self, item: aiomqtt.Message) -> None:
        self._hand_on(item)


class MqttShell:
    """`counts`: messages taken; shed (`dropped` when the queue is full or a payload too long, `dropped-unknown` of strangers while it is
    half full, `dropped-again` what waits here already, sent again by a device that lost patience); answers published or unsent."""

    def __init__(self, broker: Broker, queue_max: int = QUEUE_MAX, queue_bytes_max: int = QUEUE_BYTES_MAX) -> None:
        self._broker = broker
        self._queue: asyncio.Queue[tuple[int, str, bytes]] = asyncio.Queue(queue_max)
        self._unanswered: set[int] = set()  # hashes of what waits in the queue or for its answer: keyed, so nobody can make two alike
        self._queue_max, self._queue_bytes_max = queue_max, queue_bytes_max
        self._queued_bytes = 0
        self._expects: Callable[[str], bool] = lambda topic: True
        self._client: aiomqtt.Client | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(ANSWERS_MAX)
        self.counts: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Whether answers can be sent now."""
        return self._client is not None

    async def run(self, ingest: Ingest) -> None:
        """Until cancelled."""
        self._expects = ingest.expects
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
                    async for _ in client.messages:  # never comes to one, since the intake keeps none; ends with the connection
                        pass
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
            queue_type=cast("type[asyncio.Queue[aiomqtt.Message]]", lambda maxsize: _Intake(self._take)),
            max_inflight_messages=INFLIGHT_MAX,
            max_queued_outgoing_messages=ANSWERS_MAX,
            max_concurrent_outgoing_calls=ANSWERS_MAX,
            tls_context=ssl.create_default_context() if broker.tls else None,
        )

    def _take(self, message: aiomqtt.Message) -> None:
        topic, payload = str(message.topic), message.payload if isinstance(message.payload, bytes) else b""
        mark = hash((topic, payload))
        held = max(self._queue.qsize() / self._queue_max, (self._queued_bytes + len(payload)) / self._queue_bytes_max)
        if len(payload) > PAYLOAD_BYTES_MAX or held >= 1:
            self.counts["dropped"] += 1
        elif held >= 0.5 and not self._expects(topic):
            self.counts["dropped-unknown"] += 1
        elif mark in self._unanswered:
            self.counts["dropped-again"] += 1
        else:
            self.counts["taken"] += 1
            self._queued_bytes += len(payload)
            self._unanswered.add(mark)
            self._queue.put_nowait((mark, topic, payload))

    async def _look(self) -> None:
        """Lets more be read than is worked through, and everything else have its turn: what is too much is shed here, where it is counted
        and where strangers can be told from devices, and not by the broker."""
        if self._queue.full():
            await asyncio.sleep(0)  # nobody could come in: what waits at the broker costs less there
            return
        for _ in range(LOOK_MAX):
            seen = self.counts.total()
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # the first resumes before what was found readable in the same turn
            if self.counts.total() == seen:
                return

    async def _work(self, ingest: Ingest, group: asyncio.TaskGroup) -> None:
        while True:
            await self._look()
            mark, topic, payload = await self._queue.get()
            self._queued_bytes -= len(payload)
            answer = await ingest.accept(topic, payload)
            if answer is None:
                self._unanswered.discard(mark)
                continue
            await self._room.acquire()
            task = group.create_task(answer)
            self._answers.add(task)
            task.add_done_callback(partial(self._answered, mark))

    def _answered(self, mark: int, task: asyncio.Task[None]) -> None:
        self._answers.discard(task)
        self._room.release()
        self._unanswered.discard(mark)
