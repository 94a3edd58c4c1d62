"""A fleet that sends: enrolled devices and strangers, over a real broker, in a process of its own.

In: a plan as JSON. Out: one JSON object, what was sent and acked and when. Devices sign beforehand, keep to the firmware's rules of sending
(edge/outbox.py: a window, again after a while, doubled) and stop when all is acked. Never looks into the backend: it knows what acks say.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from edge import mqtt, mqtt_opening
from server import fastcbor
from server.bench.node import BenchDevice
from server.keystore import SigningKey
from shared import cose, ids, messages

TICK_S = 0.02
SAMPLE_S = 0.5
ASKED_S = 1.0
UNCONFIRMED_MAX = 1000  # messages of one connection that the broker has not confirmed
BUFFER_BYTES_MAX = 1 << 20
READ_BYTES = 65536
KEEPALIVE_S = 600


@dataclass(frozen=True)
class Plan:
    """`rate`: bundles a second of the whole fleet, 0 for as fast as the window lets; `stranger_rate`: messages a second."""

    port: int
    org: str
    seeds: tuple[str, ...]
    bundles: int
    readings: int
    rate: float = 0.0
    window: int = 4
    resend_s: float = 5.0
    resend_s_max: float = 300.0
    connections: int = 8
    strangers: int = 0
    stranger_rate: float = 0.0
    seconds_max: float = 300.0


@dataclass
class Report:
    """`samples`: (seconds, bundles offered, bundles acked); `first_ms`: device → wall clock of each bundle's first publication."""

    published: int = 0
    published_again: int = 0
    acks: int = 0
    refusals: int = 0
    shouted: int = 0
    reconnects: int = 0
    bundles: int = 0
    acked: int = 0
    seconds: float = 0.0
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    first_ms: dict[str, list[int]] = field(default_factory=dict)


def device_of(seed: str) -> BenchDevice:
    """The same device wherever its seed is known."""
    device = BenchDevice()
    device.key = SigningKey.from_seed(bytes.fromhex(seed))
    device.id = b"\x01" + sha256(b"bench device" + bytes.fromhex(seed)).digest()[:16]
    return device


class Sender:
    """One device: bundles signed beforehand; those below `acked` are acked, those below `sent` were published at least once."""

    def __init__(self, seed: str, plan: Plan) -> None:
        device = device_of(seed)
        self.id = device.id
        self.text = str(ids.encode_id(ids.DEVICE, device.id))
        self.topic = str(messages.topic(plan.org, self.text, "bundle"))
        self.payloads = [device.envelope(plan.readings) for _ in range(plan.bundles)]
        self.first_ms = [0] * plan.bundles
        self.offered = self.sent = self.acked = 0
        self._plan = plan
        self._due_s: dict[int, float] = {}
        self._tries: dict[int, tuple[int, float]] = {}  # how often, when last

    def pick(self, now_s: float) -> Iterator[int]:
        """Bundles to publish now: those due again, then new ones that the window lets out."""
        yield from [i for i, due_s in self._due_s.items() if due_s <= now_s]
        while self.sent < self.offered and len(self._due_s) < self._plan.window:
            yield self.sent

    def apply_sent(self, i: int, now_s: float) -> bool:
        """True if it was sent before."""
        tries = self._tries.get(i, (0, 0.0))[0] + 1
        self._tries[i] = (tries, now_s)
        self._due_s[i] = now_s + min(self._plan.resend_s * 2 ** min(tries - 1, 16), self._plan.resend_s_max)
        if i == self.sent:
            self.sent += 1
            self.first_ms[i] = time.time_ns() // 1_000_000
            return False
        return True

    def apply_ack(self, next_seq: int, missing: Sequence[Sequence[int]], now_s: float) -> None:
        """Lets go what is confirmed; hurries with what is missing and with what was sent in vain."""
        self.acked = max(self.acked, next_seq // self._plan.readings)
        self._due_s = {i: due_s for i, due_s in self._due_s.items() if i >= self.acked}
        self._tries = {i: tries for i, tries in self._tries.items() if i >= self.acked}
        wanted = {seq // self._plan.readings for first, count in missing for seq in range(first, first + count, self._plan.readings)}
        for i, (tries, last_s) in self._tries.items():
            if i in wanted or tries > 1:
                self._due_s[i] = min(self._due_s[i], max(now_s, last_s + ASKED_S))


class Link:
    """One connection to the broker; `unconfirmed` QoS 1 messages wait for its PUBACK."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._parser = mqtt.Reader(READ_BYTES)
        self._packet_id = 0
        self.unconfirmed = 0

    @classmethod
    async def open(cls, port: int, name: str, topics: tuple[str, ...] = ()) -> "Link":
        link = cls(*await asyncio.open_connection("127.0.0.1", port))
        link._writer.write(mqtt_opening.build_connect(name, KEEPALIVE_S, None, None))
        if topics:
            link._writer.write(mqtt_opening.build_subscribe(1, topics))
        wanted = mqtt.SUBACK if topics else mqtt.CONNACK
        async for packet in link.packets():
            if packet.type == wanted:
                return link
        raise ConnectionError("the broker hung up")

    @property
    def has_room(self) -> bool:
        return self.unconfirmed < UNCONFIRMED_MAX and self._writer.transport.get_write_buffer_size() < BUFFER_BYTES_MAX

    def publish(self, topic: str, payload: bytes) -> None:
        self._packet_id = self._packet_id % 60_000 + 1
        self.unconfirmed += 1
        self._writer.write(mqtt.build_publish_head(topic, len(payload), self._packet_id) + payload)

    async def packets(self) -> Any:
        """Until the broker hangs up; confirms what it brings and counts what it confirms."""
        while True:
            while (packet := self._parser.next()) is not None:
                if packet.type == mqtt.PUBACK:
                    self.unconfirmed -= 1
                elif packet.type == mqtt.PUBLISH and packet.packet_id:
                    self._writer.write(mqtt.build_puback(packet.packet_id))
                yield packet
            data = await self._reader.read(self._parser.room())
            if not data:
                return
            self._parser.feed(data)

    def close(self) -> None:
        self._writer.close()


class Fleet:
    """Everything of one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.senders = [Sender(seed, plan) for seed in plan.seeds]
        self.report = Report(bundles=len(plan.seeds) * plan.bundles)
        self._by_text = {sender.text: sender for sender in self.senders}
        self._shouts = [shout(plan.org, i) for i in range(plan.strangers)]
        self._start_s = 0.0

    @property
    def acked(self) -> int:
        return sum(sender.acked for sender in self.senders)

    async def run(self) -> Report:
        """Until everything is acked, or the plan's time is over."""
        self._start_s = time.monotonic()
        tasks = [asyncio.create_task(self._keep(self._session)), asyncio.create_task(self._sample())]
        if self._shouts:
            tasks.append(asyncio.create_task(self._keep(self._shouting)))
        while self.acked < self.report.bundles and time.monotonic() - self._start_s < self.plan.seconds_max:
            await asyncio.sleep(TICK_S)
        self.report.seconds = time.monotonic() - self._start_s
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.report.acked = self.acked
        self.report.first_ms = {sender.id.hex(): sender.first_ms[: sender.sent] for sender in self.senders}
        return self.report

    async def _keep(self, session: Any) -> None:
        """A session again and again: brokers may go away."""
        while True:
            try:
                await session()
            except OSError:
                self.report.reconnects += 1
            await asyncio.sleep(0.2)

    async def _session(self) -> None:
        """All connections, until one of them ends."""
        links = [await Link.open(self.plan.port, f"fleet-{i}") for i in range(self.plan.connections)]
        links.append(await Link.open(self.plan.port, "fleet-acks", (f"{messages.TOPIC_ROOT}+/+/ack",)))
        tasks = [asyncio.create_task(self._listen(link)) for link in links]
        tasks.append(asyncio.create_task(self._send(links[:-1])))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            raise ConnectionError("the broker hung up")
        finally:
            for task in tasks:
                task.cancel()
            for link in links:
                link.close()

    async def _listen(self, link: Link) -> None:
        async for packet in link.packets():
            if packet.type == mqtt.PUBLISH:
                self._on_answer(packet.topic, packet.payload)

    def _on_answer(self, topic: str, payload: bytes) -> None:
        sender = self._by_text.get(topic.split("/")[3])
        if sender is None:
            return
        # The signature is the real firmware's business (tests/e2e); here an answer only paces what is sent.
        signed: Any = fastcbor.decode(payload, messages.PAYLOAD_BYTES_MAX)
        protected, _, body, _ = signed.value
        if cose.CT_ACK.encode() not in protected:
            self.report.refusals += 1
            return
        answer: Any = fastcbor.decode(body, messages.PAYLOAD_BYTES_MAX)
        self.report.acks += 1
        sender.apply_ack(answer[3], answer[5], time.monotonic())

    async def _send(self, links: list[Link]) -> None:
        while True:
            now_s = time.monotonic()
            self._offer(now_s - self._start_s)
            for place, sender in enumerate(self.senders):
                link = links[place % len(links)]
                for i in sender.pick(now_s):
                    if not link.has_room:
                        break
                    link.publish(sender.topic, sender.payloads[i])
                    self.report.published += 1
                    self.report.published_again += sender.apply_sent(i, now_s)
            await asyncio.sleep(TICK_S)

    def _offer(self, passed_s: float) -> None:
        """What the meters have measured by now; the devices take turns."""
        released = self.report.bundles if not self.plan.rate else min(self.report.bundles, int(passed_s * self.plan.rate))
        each, more = divmod(released, len(self.senders))
        for place, sender in enumerate(self.senders):
            sender.offered = each + (place < more)

    async def _shouting(self) -> None:
        link = await Link.open(self.plan.port, "strangers")
        listening = asyncio.create_task(self._listen(link))
        try:
            while not listening.done():
                due = int((time.monotonic() - self._start_s) * self.plan.stranger_rate)
                while self.report.shouted < due and link.has_room:
                    link.publish(*self._shouts[self.report.shouted % len(self._shouts)])
                    self.report.shouted += 1
                await asyncio.sleep(TICK_S)
        finally:
            listening.cancel()
            link.close()

    async def _sample(self) -> None:
        while True:
            offered = sum(sender.offered for sender in self.senders)
            self.report.samples.append((round(time.monotonic() - self._start_s, 3), offered, self.acked))
            await asyncio.sleep(SAMPLE_S)


def shout(org: str, number: int) -> tuple[str, bytes]:
    """A well-formed message of a device that nobody enrolled: most often a signed bundle, sometimes a hello."""
    device = device_of(sha256(b"stranger" + number.to_bytes(4, "big")).hexdigest())
    text = str(ids.encode_id(ids.DEVICE, device.id))
    if number % 8 == 0:
        return str(messages.topic(org, text, "hello")), messages.encode_hello(device.id, 1)
    return str(messages.topic(org, text, "bundle")), device.envelope(2)


def main(path: Path) -> None:
    """Reads the plan in `path`, writes the report beside it as `.report`."""
    document = json.loads(path.read_text(encoding="utf-8"))
    fleet = Fleet(Plan(**{**document, "seeds": tuple(document["seeds"])}))
    report = asyncio.run(fleet.run())
    path.with_suffix(".report").write_text(json.dumps(asdict(report)), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
