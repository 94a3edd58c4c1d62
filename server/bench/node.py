"""A node without broker and API, and devices that sign for it: what `serve` wires, as far as bundles go through it.

In: an empty folder. Out: a running Node; envelopes. Never leaves out a check that `serve` makes.
"""

import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from server.config import Config, load_config
from server.evidence.log import EvidenceLog
from server.evidence.rows import open_evidence_store
from server.ingest.core import Ingest
from server.ingest.quarantine import Quarantine
from server.keystore import SigningKey, sign_object
from server.ledger.anchor import Anchor
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.transactions import build_tx
from server.registry.attestation import Attestations
from server.registry.records import open_registry
from shared import bundle, channel, cose, ids, messages
from shared.errors import Unavailable
from shared.statement import content_type_of, encode_statement
from shared.types import ChannelTable, Reading, Register, Statement

READINGS = 60
FIRMWARE = sha256(b"bench").digest()
REGISTERS = [
    Register("1.8.0", "import", "Wh", 0, "cumulative"),
    Register("2.8.0", "export", "Wh", 0, "cumulative"),
    Register("16.7.0", "none", "W", 0, "instant"),
    Register("32.7.0", "none", "V", -1, "instant"),
]
TABLE = channel.encode_table(ChannelTable("Bench", "B1", "1", "1", REGISTERS))
START_S = 1_700_000_000
WAITING_MAX = 1024  # bundles in flight, as from a busy broker
TURN = 16  # of them are handed in before everything else has its turn


def registers_at(minute: int) -> list[int]:
    """Export grows with the sun, import hardly; power and voltage wander."""
    power = 40 * (minute % 97) - 1000
    return [55_000 + minute // 90, 7_000_000 + 60 * minute + minute % 7, power, 2400 + minute % 11]


class BenchDevice:
    """Signs bundles of readings, one minute apart, in one chain."""

    def __init__(self) -> None:
        self.id = b"\x01" + secrets.token_bytes(16)
        self.key = SigningKey.generate()
        self.next_seq = 0
        self._previous: bytes | None = None

    def statement(self, readings: Sequence[Reading], salt: bytes) -> bytes:
        """The next statement, signed."""
        first = readings[0]
        place = (FIRMWARE, 1, 0, first.seq, len(readings), first.time_s, 2, channel.table_hash(TABLE))
        root = bundle.readings_root(salt, list(readings))
        made = Statement("readings", self.id, 1, self._previous, *place, root, None, None)
        data = sign_object(self.key, content_type_of("readings"), encode_statement(made))
        self._previous = cose.decode_sign1(data, (content_type_of("readings"),)).identity
        self.next_seq = first.seq + len(readings)
        return data

    def readings(self, count: int) -> list[Reading]:
        """The next ones."""
        return [Reading(seq, START_S + 60 * seq, registers_at(seq), 0) for seq in range(self.next_seq, self.next_seq + count)]

    def envelope(self, count: int = READINGS) -> bytes:
        """The next bundle as it is published."""
        readings, salt = self.readings(count), secrets.token_bytes(16)
        return bytes(bundle.encode_envelope(self.statement(readings, salt), salt, readings))


@dataclass
class Node:
    """The parts of a backend that bundles go through; `acks` counts the answers."""

    config: Config
    ledger: EmbeddedLedger
    log: EvidenceLog
    ingest: Ingest
    anchor: Anchor
    admin: SigningKey
    acks: int = 0

    def topic(self, device: BenchDevice) -> str:
        return str(messages.topic(ids.encode_id(ids.ORG, self.config.org), ids.encode_id(ids.DEVICE, device.id), "bundle"))

    def transactions(self, bodies: Sequence[tuple[str, dict[int, object]]]) -> list[bytes]:
        """Signed by the admin, with the nonces that come next."""
        nonce = self.ledger.next_nonce(self.admin.kid)
        return [build_tx(self.admin, self.config.chain_id, self.config.org, nonce + i, kind, body) for i, (kind, body) in enumerate(bodies)]

    async def enroll(self, devices: Sequence[BenchDevice]) -> None:
        """Firmware, one metering point, every device: all as transactions."""
        bodies: list[tuple[str, dict[int, object]]] = [
            ("firmware.add", {1: FIRMWARE, 2: "bench", 3: "1"}),
            ("point.create", {1: "bench", 2: None, 3: "UTC"}),
        ]
        _, receipt = [await self.ledger.submit(data) for data in self.transactions(bodies)]
        point = sha256(b"point" + receipt.identity).digest()[:10]
        assignment = [0, point, "1", channel.table_hash(TABLE), START_S]
        fixed: dict[int, object] = {3: 1, 4: FIRMWARE, 5: self.config.origin, 6: [assignment], 7: bytes(32)}
        enrolments = [("device.enroll", {1: device.id, 2: device.key.cose_key, **fixed}) for device in devices]
        await asyncio.gather(*(self.ledger.submit(data) for data in self.transactions(enrolments)))
        await self.log.store.keep_tables([TABLE])

    async def take(self, messages_in: Sequence[tuple[str, bytes]]) -> None:
        """Hands all of them in as the MQTT shell does; returns after the last ack. Raises Unavailable 400 if one was not logged."""
        before, room = self.ingest.counts["logged"], asyncio.Semaphore(WAITING_MAX)
        async with asyncio.TaskGroup() as group:
            for number, (topic, payload) in enumerate(messages_in):
                await room.acquire()
                answer = await self.ingest.accept(topic, payload)
                if answer is None:
                    break  # counted below
                group.create_task(answer).add_done_callback(lambda _: room.release())
                if number % TURN == 0:
                    await asyncio.sleep(0)
        if self.ingest.counts["logged"] - before != len(messages_in):
            raise Unavailable(400, f"not every bundle was logged: {dict(self.ingest.counts)}")


def make_home(home: Path, *options: str) -> Config:
    """By the command that people use. Raises Unavailable 460."""
    command = [sys.executable, "-m", "server.cli", "init", str(home), "--org", "Bench", "--chain-id", "bench", *options]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise Unavailable(460, f"meterproof init failed: {done.stderr.strip()[-400:]}")
    return load_config(home)


@asynccontextmanager
async def open_node(home: Path, *options: str) -> AsyncIterator[Node]:
    """A fresh node, made with these options of `init`; its tasks end with the block. The anchor does nothing by itself."""
    config = await asyncio.to_thread(make_home, home, *options)
    key, validator, admin = (SigningKey.load(config.key_path(name)) for name in ("node", "validator", "admin"))
    ledger = await EmbeddedLedger.open(home, config.genesis_path.read_bytes(), key)
    async with open_evidence_store(home / "evidence.sqlite") as store, open_registry(home / "registry.sqlite") as registry:
        log = await EvidenceLog.open(home / "evidence-log", store, config.origin, key)
        attestations = Attestations(registry, ledger, key, config.origin, config.unknown_firmware, secrets.token_bytes)

        async def publish(topic: str, payload: bytes) -> None:
            node.acks += 1

        ingest = Ingest(ledger, log, attestations, Quarantine(store), key, publish, lambda: int(time.time()))
        node = Node(config, ledger, log, ingest, Anchor(ledger, log, key, validator), admin)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(ledger.run())
                sequencing = group.create_task(log.run())
                try:
                    yield node
                finally:
                    sequencing.cancel()
                    await ledger.close()
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors  # the one that ended the others
