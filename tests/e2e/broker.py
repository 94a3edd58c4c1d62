"""A broker between real devices and the real backend that can do to messages whatever it likes. In: MQTT connections of both sides. Out:
what it chooses to pass on. Contains no test.
"""

import asyncio

from nacl.signing import SigningKey

from shared import cose, messages
from shared.bundle import decode_envelope
from shared.statement import open_statement
from tests.edge.broker import Broker, frame

Message = tuple[str, bytes]


class HostileBroker(Broker):
    """`to_node` and `to_device` decide; `acks` are what the node really said, whether it was passed on or not."""

    def __init__(self) -> None:
        super().__init__(self._route)
        self.acks: list[messages.Ack] = []
        self.refusals: list[messages.Refusal] = []

    async def _route(self, topic: str, payload: bytes) -> None:
        what = topic.rsplit("/", 1)[1]
        if what in messages.TO_NODE:
            self._deliver(self.subscribers.get(f"{messages.TOPIC_ROOT}+/+/{what}"), topic, payload)
            return
        if what == "ack":
            self._remember(payload)
        await self.publish(topic, payload)

    def _deliver(self, writer: asyncio.StreamWriter | None, topic: str, payload: bytes) -> None:
        if writer is not None and not writer.is_closing():
            self._packet_id = self._packet_id % 60000 + 1
            writer.write(frame(0x32, len(topic).to_bytes(2, "big") + topic.encode() + self._packet_id.to_bytes(2, "big") + payload))

    def _remember(self, payload: bytes) -> None:
        signed = cose.decode_sign1(payload, (cose.CT_ACK, cose.CT_REFUSAL))
        if signed.content_type == cose.CT_ACK:
            self.acks.append(messages.decode_ack(signed.payload))
        else:
            self.refusals.append(messages.decode_refusal(signed.payload))


def is_bundle(topic: str) -> bool:
    return topic.endswith("/bundle")


def is_answer(topic: str) -> bool:
    return topic.endswith("/ack")


def pass_on(topic: str, payload: bytes) -> list[Message]:
    return [(topic, payload)]


def withhold_answers(topic: str, payload: bytes) -> list[Message]:
    return [] if is_answer(topic) else [(topic, payload)]


class Forger:
    """Answers in the node's place, as well as one can without its key: every ack becomes one for everything, by another key, under its own
    name and under the node's, and with the node's own signature beside it."""

    def __init__(self, node_key: bytes) -> None:
        self.stranger = SigningKey.generate()
        self.own_kid = cose.kid_of(cose.encode_key_ed25519(bytes(self.stranger.verify_key)))
        self.node_kid = cose.kid_of(node_key)
        self.forged = 0

    def __call__(self, topic: str, payload: bytes) -> list[Message]:
        if not is_answer(topic):
            return [(topic, payload)]
        signed = cose.decode_sign1(payload, (cose.CT_ACK,))
        ack = messages.decode_ack(signed.payload)
        everything = messages.encode_ack(ack._replace(next_seq=1 << 40, missing=[]))
        lies = [self.sign(everything, kid) for kid in (self.own_kid, self.node_kid)]
        lies.append(cose.assemble_sign1(cose.build_protected(cose.EDDSA, cose.CT_ACK, self.node_kid), everything, signed.signature))
        self.forged += len(lies)
        return [(topic, lie) for lie in lies]

    def sign(self, payload: bytes, kid: bytes) -> bytes:
        return cose.build_sign1(cose.EDDSA, cose.CT_ACK, kid, payload, lambda message: bytes(self.stranger.sign(message).signature))


class Spoiler:
    """Changes one byte of every `each`th bundle when it first comes, at another place each time."""

    def __init__(self, each: int) -> None:
        self.each = each
        self.seen: list[bytes] = []
        self.spoiled: list[bytes] = []

    def __call__(self, topic: str, payload: bytes) -> list[Message]:
        if not is_bundle(topic):
            return [(topic, payload)]
        identity = open_statement(decode_envelope(payload).statement)[0].identity
        if identity in self.seen:
            return [(topic, payload)]
        self.seen.append(identity)
        if len(self.seen) % self.each:
            return [(topic, payload)]
        self.spoiled.append(identity)
        data = bytearray(payload)
        data[len(self.spoiled) * 7919 % len(data)] ^= 1 << len(self.spoiled) % 8
        return [(topic, bytes(data))]


class Shuffler:
    """Every bundle waits for the next one, goes after it, and both go twice."""

    def __init__(self) -> None:
        self.held: list[Message] = []
        self.shuffled = 0

    def __call__(self, topic: str, payload: bytes) -> list[Message]:
        if not is_bundle(topic):
            return [(topic, payload)]
        self.held.append((topic, payload))
        if len(self.held) < 2:
            return []
        first, second = self.held
        self.held = []
        self.shuffled += 1
        return [second, first, second, first]
