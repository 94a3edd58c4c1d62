"""Devices as the tests need them: honest by default, with a hand on every field. Contains no test itself."""

from dataclasses import dataclass, field
from hashlib import sha256

from server.keystore import SigningKey, sign_object
from shared import bundle, channel, cose, ids, messages, statement
from shared.state import LIVE, Assignment, DeviceKey, DeviceValue
from shared.types import ChannelTable, Lost, Reading, Register, Repair, Statement

ORIGIN = "example.org/test/evidence"
ORG = b"o" * 10
POINT = b"p" * 10
FIRMWARE = sha256(b"firmware").digest()
START_S = 1_800_000_000
TABLE = channel.encode_table(
    ChannelTable(
        "Example",
        "M1",
        "SN-1",
        "1.0",
        [Register("1.8.0", "import", "Wh", 0, "cumulative"), Register("2.8.0", "export", "Wh", 0, "cumulative")],
    )
)


def key_of(name: str, alg: int = cose.EDDSA) -> SigningKey:
    return SigningKey.from_seed(sha256(name.encode()).digest(), alg)


@dataclass
class Sent:
    """One statement on its way."""

    identity: bytes
    statement: bytes
    envelope: bytes
    first_seq: int | None
    count: int | None


@dataclass
class Device:
    """Builds a chain of statements; `previous`, `next_seq` and `time_s` can be set to make it lie."""

    name: str
    alg: int = cose.EDDSA
    boot: int = 1
    previous: bytes | None = None
    next_seq: int = 0
    time_s: int = START_S
    clock: int = 2
    firmware: bytes = FIRMWARE
    registers: list[int] = field(default_factory=lambda: [1000, 5000])
    table: bytes = TABLE

    def __post_init__(self) -> None:
        self.id = b"\x01" + sha256(b"ueid" + self.name.encode()).digest()[:16]
        self.key = key_of("device " + self.name, self.alg)

    def value(self, org: bytes = ORG, origin: str = ORIGIN, status: int = LIVE, live: list | None = None) -> DeviceValue:
        """Its ledger value."""
        assignment = Assignment(0, POINT, channel.decode_table(self.table).serial, channel.table_hash(self.table), START_S - 86400, None)
        keys = [DeviceKey(self.key.kid, self.key.cose_key, 1, 1, None)]
        live = live or ([(1, None)] if status == LIVE else [(1, 5)])
        return DeviceValue(org, origin, keys, status, live, [assignment], FIRMWARE, sha256(b"evidence").digest(), [])

    def readings(self, count: int = 3, step: int = 10, **changes: object) -> Sent:
        """The next bundle; keyword arguments overwrite fields of the statement."""
        rows = []
        for i in range(count):
            rows.append(Reading(self.next_seq + i, self.time_s + 60 * i, list(self.registers), 0))
            self.registers = [value + step for value in self.registers]
        salt = sha256(b"salt" + self.id + self.next_seq.to_bytes(8, "big")).digest()[:16]
        fields = {
            "channel": 0,
            "first_seq": self.next_seq,
            "count": count,
            "start_s": self.time_s,
            "clock": self.clock,
            "channel_table": channel.table_hash(self.table),
            "root": bundle.readings_root(salt, rows),
        }
        sent = self._sign("readings", {**fields, **changes}, salt, rows)
        self.next_seq += count
        self.time_s += 60 * count
        return sent

    def gap(self, *lost: tuple[int, int, bytes | None, int]) -> Sent:
        return self._sign("gap", {"lost": [Lost(*item) for item in lost]}, None, None)

    def time_repair(self) -> Sent:
        return self._sign("time-repair", {"repair": Repair(self.boot, 10, START_S, 2)}, None, None)

    def _sign(self, kind: str, fields: dict[str, object], salt: bytes | None, rows: list[Reading] | None) -> Sent:
        common = {"device": self.id, "boot": self.boot, "previous": self.previous, "firmware": self.firmware, "tier": 1}
        record = Statement(kind, *[{**common, **fields}.get(name) for name in Statement._fields[1:]])
        data = sign_object(self.key, statement.content_type_of(kind), statement.encode_statement(record))
        identity = cose.decode_sign1(data, (statement.content_type_of(kind),)).identity
        self.previous = identity
        return Sent(identity, data, bundle.encode_envelope(data, salt, rows), record.first_seq, record.count)

    def topic(self, what: str = "bundle", org: bytes = ORG) -> str:
        return messages.topic(ids.encode_id(ids.ORG, org), ids.encode_id(ids.DEVICE, self.id), what)


class FakeLedger:
    """Just what ingest asks of a ledger."""

    def __init__(self, *devices: Device) -> None:
        self.height = 7
        self.values = {device.id: device.value() for device in devices}

    def device(self, device: bytes) -> DeviceValue | None:
        return self.values.get(device)


@dataclass
class Row:
    evidence: bytes


class FakeAttestations:
    """Shows the channel table of every device that asks."""

    def __init__(self, *devices: Device) -> None:
        self.devices = {device.id: device for device in devices}
        self.asked = 0

    async def hello(self, org: bytes, device: bytes, payload: bytes, now_s: int) -> bytes:
        return b"challenge"

    async def evidence(self, org: bytes, device: bytes, payload: bytes, now_s: int) -> None:
        return None

    async def of_device(self, device: bytes) -> list[Row]:
        self.asked += 1
        found = self.devices.get(device)
        return [Row(evidence_of(found))] if found else []


def evidence_of(device: Device, nonce: bytes = bytes(32)) -> bytes:
    """Attestation evidence of a device."""
    from shared import attest
    from shared.types import Evidence

    evidence = Evidence(
        device.key.cose_key, nonce, device.id, b"unix", 5, 0, device.boot, bytes(16), "meterproof-edge", "0.1.0", 1, device.firmware,
        "cpython 3.11.7", {0: device.table},
    )  # fmt: skip
    return sign_object(device.key, cose.CT_EAT, attest.encode_evidence(evidence))
