"""The broker and the wires to it. It loses, doubles, delays, reorders and confirms what it throws away; with a liar's mind it also changes,
replays, forges and misroutes.

In: MQTT bytes of devices (the firmware's real client), publishes of the backend (through what looks like aiomqtt's client). Out: the same
to the other side, or not. Devices' bytes are parsed here by the tests' own reading of MQTT, not by the firmware's.
"""

import asyncio
import random
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import aiomqtt

from tests.edge.broker import frame, text_at
from tests.simulation.faults import Trace
from tests.simulation.plan import Plan
from tests.simulation.wire import LATENCY_S_MAX, Wire

HISTORY = 200


class Client:
    """What the backend takes for aiomqtt.Client."""

    broker: "Broker"

    def __init__(self, *_: object, queue_type: "type[asyncio.Queue[aiomqtt.Message]]" = asyncio.Queue, **__: object) -> None:
        self.queue: asyncio.Queue[tuple[str, bytes] | None] = asyncio.Queue()
        self.taken = queue_type(0)  # as in aiomqtt: a queue of the application's own may take every message by itself

    async def __aenter__(self) -> Self:
        await asyncio.sleep(0.01)
        if self.broker.down:
            raise aiomqtt.MqttError("connection refused")
        self.broker.node = self
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.broker.node is self:
            self.broker.node = None

    async def subscribe(self, topic: str, qos: int = 0) -> None:
        assert qos == 1 and topic.startswith("meterproof/v1/+/+/")

    async def publish(self, topic: str, payload: bytes, qos: int = 0, timeout: float = 0) -> None:  # noqa: ASYNC109
        assert qos == 1
        if self.broker.node is self:
            self.broker.on_answer(topic, payload)
        await asyncio.sleep(self.broker.rng.uniform(0, 0.01))
        if self.broker.node is not self:
            raise aiomqtt.MqttError("disconnected")
        self.broker.carry(topic, payload, self.broker.to_device)

    @property
    def messages(self) -> AsyncIterator[aiomqtt.Message]:
        return self._messages()

    async def _messages(self) -> AsyncIterator[aiomqtt.Message]:
        while (item := await self.queue.get()) is not None:
            self.taken.put_nowait(aiomqtt.Message(item[0], item[1], 1, False, 0, None))
            while self.taken.qsize():
                yield self.taken.get_nowait()
        raise aiomqtt.MqttError("disconnected during message iteration")


class Broker:
    """`node`: the backend's connection; `on_answer(topic, payload)` sees what the backend publishes before anything can happen to it."""

    def __init__(self, plan: Plan, rng: random.Random, trace: Trace) -> None:
        self.rng = rng
        self.down = False
        self.node: Client | None = None
        self.on_answer: Callable[[str, bytes], None] = lambda topic, payload: None
        self.calm = False
        self.cut_off: set[str] = set()
        self._plan = plan
        self._trace = trace
        self._wires: list[Wire] = []
        self._life = 0
        self._history: deque[tuple[str, bytes]] = deque(maxlen=HISTORY)
        self._packet_id = 0

    # --- devices

    async def open_stream(self, device: str, timeout_s: float) -> tuple[asyncio.StreamReader, Wire]:
        """A new connection. Raises OSError, or TimeoutError where nothing answers."""
        await asyncio.sleep(self.rng.uniform(0, LATENCY_S_MAX))
        if device in self.cut_off:
            await asyncio.sleep(timeout_s)
            raise TimeoutError
        if self.down:
            raise ConnectionRefusedError("connection refused")
        wire = Wire(self, device)
        for old in [w for w in self._wires if w.device == device]:
            self._drop(old)  # the same client id takes over
        self._wires.append(wire)
        return wire.reader, wire

    def _drop(self, wire: Wire) -> None:
        self._wires.remove(wire)
        wire.close()

    def packet(self, wire: Wire, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == 1:
            wire.send(b"\x20\x02\x00\x00")
        elif kind == 8:
            at, codes = 2, b""
            while at < len(body):
                topic, at = text_at(body, at)
                at += 1
                codes += b"\x01"
                wire.topics.add(topic)
            wire.send(frame(0x90, body[:2] + codes))
        elif kind == 3:
            topic, at = text_at(body, 0)
            wire.send(b"\x40\x02" + body[at : at + 2])
            if self._happens("puback-false"):
                self._trace.fault("puback-false", topic[-12:])
                return
            self.carry(topic, body[at + 2 :], self.to_node)
        elif kind == 12:
            wire.send(b"\xd0\x00")

    # --- carrying

    def _happens(self, kind: str) -> bool:
        return not self.calm and self.rng.random() < self._plan.rate(kind)

    def inject(self, topic: str, payload: bytes) -> None:
        """From somebody who is no device of the fleet."""
        self.carry(topic, payload, self.to_node)

    def carry(self, topic: str, payload: bytes, deliver: Callable[[str, bytes], None]) -> None:
        """To the other side, in one of the ways that a network has."""
        self._history.append((topic, payload))
        loop, life = asyncio.get_running_loop(), self._life
        what = topic.rsplit("/", 1)[1]

        def send(topic: str, payload: bytes, delay_s: float) -> None:
            def arrive() -> None:
                if self._life == life and not self.down:
                    deliver(topic, payload)

            loop.call_later(delay_s, arrive)

        if self._happens("message-dropped"):
            self._trace.fault("message-dropped", what)
            return
        delay_s = self.rng.uniform(0, LATENCY_S_MAX)
        if self._happens("message-delayed"):
            delay_s = self.rng.choice((30.0, 600.0, 7200.0)) * self.rng.random()
            self._trace.fault("message-delayed", f"{what} {delay_s:.0f} s")
        send(*self._bend(topic, payload, what), delay_s)
        if self._happens("message-duplicated"):
            self._trace.fault("message-duplicated", what)
            send(topic, payload, delay_s + self.rng.expovariate(1 / 5))
        if self._happens("replay"):
            old = self.rng.choice(list(self._history))
            self._trace.fault("replay", old[0].rsplit("/", 1)[1])
            loop.call_later(delay_s, self._deliver_any, *old)

    def _deliver_any(self, topic: str, payload: bytes) -> None:
        (self.to_device if topic.endswith(("/ack", "/challenge")) else self.to_node)(topic, payload)

    def _bend(self, topic: str, payload: bytes, what: str) -> tuple[str, bytes]:
        """What a lying broker makes of a message."""
        if payload and self._happens("payload-spoiled"):
            self._trace.fault("payload-spoiled", what)
            at = self.rng.randrange(len(payload))
            payload = payload[:at] + bytes([payload[at] ^ 1 << self.rng.randrange(8)]) + payload[at + 1 :]
        if self._happens("misrouted"):
            self._trace.fault("misrouted", what)
            other = self.rng.choice(list(self._history))[0].rsplit("/", 1)[0]
            topic = f"{other}/{what}"
        return topic, payload

    def to_node(self, topic: str, payload: bytes) -> None:
        if self.node is not None:
            self._trace.note("to node", f"{topic[-24:]} {len(payload)}")
            self.node.queue.put_nowait((topic, payload))

    def to_device(self, topic: str, payload: bytes) -> None:
        for wire in self._wires:
            if topic in wire.topics:
                self._trace.note("to device", f"{wire.device} {topic.rsplit('/', 1)[1]} {len(payload)}")
                self._packet_id = self._packet_id % 60000 + 1
                body = len(topic).to_bytes(2, "big") + topic.encode() + self._packet_id.to_bytes(2, "big") + payload
                wire.send(frame(0x32, body))

    # --- its own troubles

    def stop(self) -> None:
        """Goes down with all connections and all that is on its way."""
        self.down = True
        self._life += 1
        for wire in list(self._wires):
            self._drop(wire)
        if self.node is not None:
            self.node.queue.put_nowait(None)
            self.node = None

    def start(self) -> None:
        self.down = False

    def hang_up(self, device: str) -> None:
        """Its connections carry nothing more; it will notice by itself."""
        for wire in self._wires:
            wire.dumb = wire.dumb or wire.device == device

    def make_dumb(self) -> str | None:
        """One connection becomes half-open; gives whose."""
        alive = [wire for wire in self._wires if wire.open and not wire.dumb]
        if not alive:
            return None
        wire = self.rng.choice(alive)
        wire.dumb = True
        return wire.device

    def seen(self, what: str) -> tuple[str, bytes] | None:
        """Some message of that kind that passed."""
        found = [item for item in self._history if item[0].endswith("/" + what)]
        return self.rng.choice(found) if found else None


def client_of(broker: Broker) -> Any:
    """The class that takes the place of aiomqtt.Client."""
    return type("SimClient", (Client,), {"broker": broker})
