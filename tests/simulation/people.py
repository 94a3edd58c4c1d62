"""The person who runs the fleet, and the liars around it.

In: the backend's own list of devices that wait, random choices. Out: transactions signed by a person's key; statements of devices that lie.
A transaction whose answer got lost is looked for before it is sent again.
"""

import asyncio
import random
from hashlib import sha256
from typing import Any

from server.keystore import sign_object
from shared import attest, channel, cose, ids, messages
from shared.errors import MeterproofError
from shared.state import LIVE, REVOKED, SUSPENDED
from shared.types import Ack
from tests.evidence.fleet import Device as Builder
from tests.simulation.checks import Checks
from tests.simulation.device import SimDevice
from tests.simulation.faults import Trace
from tests.simulation.network import Broker
from tests.simulation.node import FIRMWARE, ORG, ORIGIN, Node
from tests.simulation.seams import EPOCH_S
from tests.simulation.store import Killed

ROUND_S = 60.0


class Person:
    """Enrols what shows itself, after its time; assigns new meters; resumes what was suspended by hand."""

    def __init__(self, node: Node, checks: Checks, devices: list[SimDevice], trace: Trace) -> None:
        self._node = node
        self._checks = checks
        self._devices = devices
        self._trace = trace
        self.wanted: dict[bytes, int] = {}  # device: standing
        self.liars: list[Liar] = []
        self._assigned: set[tuple[bytes, bytes]] = set()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(ROUND_S)
            backend = self._node.backend
            try:
                await asyncio.wait_for(self._round(), ROUND_S)
            except (MeterproofError, TimeoutError) as error:
                self._trace.note("person", f"could not: {error}")
            except (Exception, Killed) as error:
                if backend is self._node.backend:
                    raise
                self._trace.note("person", f"the backend died meanwhile: {error!r}")

    async def _round(self) -> None:
        backend = self._node.backend
        if backend is None:
            return
        if backend.ledger.firmware(FIRMWARE) is None:
            await self._node.submit("firmware.add", {1: FIRMWARE, 2: "meterproof-edge", 3: "0.1.0"})
        for liar in self.liars:
            if backend.ledger.device(liar.builder.id) is None:
                await self._enroll(liar.builder.id, liar.builder.key.cose_key, {0: liar.builder.table}, b"no evidence")
        shown = {row.device: row for row in await backend.attestations.pending()}
        now_s = asyncio.get_running_loop().time()
        for device in self._devices:
            if not device.id or now_s < device.plan.enrolled_after_s:
                continue
            value = backend.ledger.device(device.id)
            if value is None and device.id in shown:
                signed, evidence = attest.open_evidence(shown[device.id].evidence)
                if signed.kid == device.kid and evidence.channels:
                    await self._enroll(device.id, evidence.cose_key, evidence.channels, shown[device.id].evidence)
            elif value is not None:
                await self._keep(device, value)

    async def _enroll(self, device: bytes, key: bytes, channels: dict[int, bytes], evidence: bytes) -> None:
        self._checks.keys[device] = key  # before: the answer may get lost on the way back
        receipt = await self._node.submit("point.create", {1: "roof", 2: None, 3: "Europe/Prague"})
        point = sha256(b"point" + receipt.identity).digest()[:10]
        table = channel.decode_table(channels[0])
        assignment = [0, point, table.serial, channel.table_hash(channels[0]), EPOCH_S]
        body = {1: device, 2: key, 3: 1, 4: FIRMWARE, 5: ORIGIN, 6: [assignment], 7: sha256(evidence).digest()}
        await self._node.submit("device.enroll", body)
        self._trace.note("enrolled", device.hex()[:8])

    async def _keep(self, device: SimDevice, value: Any) -> None:
        """Standing as wanted, and the meter that is there assigned."""
        wanted = self.wanted.get(device.id, LIVE)
        if value.status != wanted and value.status != REVOKED:
            kind = {LIVE: "device.resume", SUSPENDED: "device.suspend", REVOKED: "device.revoke"}[wanted]
            await self._node.submit(kind, {1: device.id, 2: "as the simulation wants"})
            self._trace.note(kind, device.name)
        table = device.device.sampler.table if device.device is not None else None
        if table is None or value.status == REVOKED or (device.id, table) in self._assigned:
            return
        last = [one for one in value.assignments if one.channel == 0][-1]
        if last.table_hash != channel.table_hash(table):
            serial = channel.decode_table(table).serial
            from_s = max(last.from_s + 1, EPOCH_S + int(asyncio.get_running_loop().time()))
            await self._node.submit("device.assign", {1: device.id, 2: [0, last.point, serial, channel.table_hash(table), from_s]})
        self._assigned.add((device.id, table))


class Liar:
    """A device with an enrolled key that says what is not so. `equivocated`: it signed two bundles for one sequence, and both went out."""

    def __init__(self, name: str, rng: random.Random, broker: Broker) -> None:
        self.builder = Builder(name, firmware=FIRMWARE)
        self._rng = rng
        self._broker = broker
        self._sent: list[Any] = []
        self.pairs: list[tuple[bytes, bytes]] = []

    def _send(self, sent: Any, envelope: bytes | None = None) -> None:
        self._sent.append(sent)
        self._broker.inject(self.builder.topic("bundle", ORG), envelope or sent.envelope)

    def tell_truth(self) -> None:
        self.builder.time_s = EPOCH_S + int(asyncio.get_running_loop().time())
        self._send(self.builder.readings(self._rng.randrange(1, 6)))

    def send_again(self) -> None:
        """As an honest device would, till it is acked."""
        for sent in self._sent[-8:]:
            self._broker.inject(self.builder.topic("bundle", ORG), sent.envelope)

    def equivocation(self) -> None:
        builder = self.builder
        first_seq, previous, registers = builder.next_seq, builder.previous, list(builder.registers)
        one = builder.readings(3)
        builder.next_seq, builder.previous, builder.registers = first_seq + self._rng.randrange(2), previous, registers
        other = builder.readings(3, step=11)
        self.pairs.append((one.identity, other.identity))
        self._send(one)
        self._send(other)

    def wrong_chain(self) -> None:
        self._send(self.builder.readings(3, previous=self._rng.randbytes(32)))

    def rows_spoiled(self) -> None:
        mine = self.builder.readings(4)
        other = Builder(self.builder.name, firmware=FIRMWARE).readings(4, step=99)
        envelope = bytearray(mine.envelope)
        tail = len(other.envelope) // 4
        envelope[-tail:] = other.envelope[-tail:]
        self._send(mine, bytes(envelope))

    def gap_false(self) -> None:
        self._send(self.builder.gap((max(self.builder.next_seq - 4, 0), 1 + self._rng.randrange(10), None, 1)))

    def forge(self, victim: SimDevice) -> None:
        """In another device's name, with this key; or as if with the device's own."""
        forged = Builder("forger", firmware=FIRMWARE)
        forged.id = victim.id or forged.id
        forged.next_seq = self._rng.randrange(1000)
        envelope = forged.readings(3).envelope
        if victim.kid and self._rng.random() < 0.5:
            envelope = envelope.replace(forged.key.kid, victim.kid)
        self._broker.inject(forged.topic("bundle", ORG), envelope)


def stranger_shouts(rng: random.Random, broker: Broker) -> None:
    """A device that nobody enrolled: a hello, and a bundle."""
    builder = Builder(f"stranger{rng.randrange(50)}", firmware=FIRMWARE)
    broker.inject(builder.topic("hello", ORG), messages.encode_hello(builder.id, 1))
    broker.inject(builder.topic("bundle", ORG), builder.readings(2).envelope)
    broker.inject(f"meterproof/v1/{ids.encode_id(ids.ORG, ORG)}/{ids.encode_id(ids.DEVICE, builder.id)}/attest", rng.randbytes(80))


def forge_ack(rng: random.Random, broker: Broker, device: SimDevice) -> bool:
    """An ack of everything, signed by nobody the device knows: a genuine ack with another payload, or another signature."""
    seen = broker.seen("ack")
    if seen is None or not device.id:
        return False
    topic = f"meterproof/v1/{ids.encode_id(ids.ORG, ORG)}/{ids.encode_id(ids.DEVICE, device.id)}/ack"
    builder = Builder("false node")
    tip = device.sealed[-1].identity if device.sealed else None
    payload = messages.encode_ack(Ack(ORIGIN, device.id, 1 << 40, tip, [], 1 << 30))
    forged = sign_object(builder.key, cose.CT_ACK, payload)
    if rng.random() < 0.5:  # under the true node's key id
        forged = forged.replace(builder.key.kid, cose.decode_sign1(seen[1], (cose.CT_ACK, cose.CT_REFUSAL)).kid)
    broker.to_device(topic, forged)
    return True
