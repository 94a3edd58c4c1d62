"""A node in memory: challenges, checks and logs what a device sends, and acks it (SPEC 6, 7). In: topics, payloads. Out: signed answers.

Its chain keeping is the backend's own, so that device and backend are tried together. Contains no test.
"""

import os

from nacl.signing import SigningKey

from server.evidence.chain import Chain, apply_statement
from shared import cose, ids, messages
from shared.attest import open_evidence
from shared.bundle import check_rows, decode_envelope
from shared.channel import decode_table
from shared.statement import open_statement
from shared.types import Ack, Challenge, Evidence, Reading, Refusal, Statement
from tests.edge.broker import Broker

ORIGIN = "example.org/test/evidence"
ORG = ids.encode_id(ids.ORG, b"0123456789")


class Node:
    """`enrolled`: answers bundles; before that it only challenges. `log` holds statements in the order they came."""

    def __init__(self) -> None:
        self.key = SigningKey(os.urandom(32))
        self.cose_key = cose.encode_key_ed25519(bytes(self.key.verify_key))
        self.broker = Broker(self.on_publish)
        self.enrolled = True
        self.acking = True
        self.origin = ORIGIN
        self.evidence: list[Evidence] = []
        self.hellos: list[int] = []
        self.log: list[tuple[bytes, Statement, list[Reading]]] = []
        self.logged: set[int] = set()
        self.lost: set[int] = set()
        self.chain = Chain()
        self.duplicates = 0
        self.received: list[bytes] = []
        self.tables: dict[bytes, bytes] = {}

    # --- what others need

    def sign(self, content_type: str, payload: bytes, key: SigningKey | None = None, kid: bytes | None = None) -> bytes:
        signing = key or self.key
        return cose.build_sign1(
            cose.EDDSA, content_type, kid or cose.kid_of(self.cose_key), payload, lambda message: bytes(signing.sign(message).signature)
        )

    def topic(self, what: str, device: bytes) -> str:
        return messages.topic(ORG, ids.encode_id(ids.DEVICE, device), what)

    @property
    def device(self) -> bytes:
        return self.evidence[-1].device

    def kinds(self) -> list[str]:
        return [statement.kind for _, statement, _ in self.log]

    def readings(self) -> list[Reading]:
        found = [reading for _, _, readings in self.log for reading in readings]
        return sorted(found, key=lambda reading: reading.seq)

    def check_no_equivocation(self) -> None:
        """No sequence stands in two statements."""
        seqs = [reading.seq for reading in self.readings()]
        assert len(seqs) == len(set(seqs)), "a sequence in two statements"

    # --- what a device sends

    async def on_publish(self, topic: str, payload: bytes) -> None:
        _, device, what = messages.parse_topic(topic)
        if what == "hello":
            assert messages.decode_hello(payload)[0] == device
            self.hellos.append(messages.decode_hello(payload)[1])
            challenge = messages.encode_challenge(Challenge(self.origin, device, os.urandom(32), 1_800_000_000))
            await self.broker.publish(self.topic("challenge", device), self.sign(cose.CT_CHALLENGE, challenge))
        elif what == "attest":
            _, evidence = open_evidence(payload)
            assert evidence.device == device
            for table in evidence.channels.values():
                self.tables[cose.sha256(table).digest()] = table
            self.evidence.append(evidence)
        elif what == "bundle":
            self.received.append(payload)
            if self.enrolled and self.evidence:
                self.on_bundle(payload)
                if self.acking:
                    await self.send_ack()

    def on_bundle(self, payload: bytes) -> None:
        envelope = decode_envelope(payload)
        signed, statement = open_statement(envelope.statement)
        cose.verify_sign1(signed, self.evidence[-1].cose_key)
        assert statement.device == self.device
        table = self.tables.get(statement.channel_table)
        registers = len(decode_table(table).registers) if table else None
        readings = check_rows(statement, envelope.salt, envelope.rows, registers)
        if any(identity == signed.identity for identity, _, _ in self.log):
            self.duplicates += 1
            return
        self.log.append((signed.identity, statement, readings))
        self.logged.update(reading.seq for reading in readings)
        for lost in statement.lost or ():
            self.lost.update(range(lost.first_seq, lost.first_seq + lost.count))
        apply_statement(self.chain, statement, signed.identity)

    # --- what it answers

    def next_seq(self) -> int:
        return self.chain.next_seq

    def missing(self) -> list[tuple[int, int]]:
        return self.chain.missing()

    def build_ack(self, **changes: object) -> bytes:
        ack = Ack(self.origin, self.device, self.next_seq(), self.chain.head_identity, self.missing(), len(self.log))
        return messages.encode_ack(ack._replace(**changes))

    async def send_ack(self) -> None:
        await self.broker.publish(self.topic("ack", self.device), self.sign(cose.CT_ACK, self.build_ack()))

    async def send_refusal(self, identity: bytes, code: int) -> None:
        refusal = messages.encode_refusal(Refusal(self.origin, self.device, identity, code, "no"))
        await self.broker.publish(self.topic("ack", self.device), self.sign(cose.CT_REFUSAL, refusal))
