"""A ledger of dictionaries and devices that attest. Contains no test itself."""

from dataclasses import dataclass, field
from hashlib import sha256

from server.keystore import SigningKey, sign_object
from server.ledger.values import FirmwareValue, OrgValue, encode_firmware, encode_org
from shared import attest, channel, cose
from shared.state import LIVE, DeviceKey, DeviceValue, firmware_key, org_key
from shared.types import ChannelTable, Evidence, Register

ORG = b"o" * 10
OTHER = b"x" * 10
ORIGIN = "example.org/test/evidence"
NODE = SigningKey.from_seed(sha256(b"registry tests: node").digest())
FIRMWARE = sha256(b"firmware").digest()
TABLE = channel.encode_table(ChannelTable("Example", "M1", "SN-1", "1.0", [Register("2.8.0", "export", "Wh", 0, "cumulative")]))


class FakeLedger:
    """Values by state key; devices beside them."""

    def __init__(self) -> None:
        self.values = {org_key(ORG): encode_org(OrgValue("Test", 0)), org_key(OTHER): encode_org(OrgValue("Other", 2))}
        self.values[firmware_key(FIRMWARE)] = encode_firmware(FirmwareValue(ORG, "edge", "1", 1))
        self.devices: dict[bytes, DeviceValue] = {}

    def get(self, key: bytes) -> bytes | None:
        return self.values.get(key)

    def device(self, device: bytes) -> DeviceValue | None:
        return self.devices.get(device)

    def withdraw(self, firmware: bytes) -> None:
        self.values[firmware_key(firmware)] = encode_firmware(FirmwareValue(ORG, "edge", "1", 1, 5))


@dataclass
class Attester:
    """A device; `key` can be changed to make it an impostor."""

    name: str
    boot: int = 1
    firmware: bytes = FIRMWARE
    tier: int = 1
    key: SigningKey = field(init=False)

    def __post_init__(self) -> None:
        self.id = b"\x01" + sha256(b"ueid" + self.name.encode()).digest()[:16]
        self.key = SigningKey.from_seed(sha256(b"device" + self.name.encode()).digest())

    def evidence(self, nonce: bytes, **changes: object) -> bytes:
        record = Evidence(
            self.key.cose_key, nonce, self.id, b"unix", 5, 0, self.boot, bytes(16), attest.SWNAME, "0.1.0", self.tier, self.firmware,
            "cpython 3.11.7", {0: TABLE},
        )  # fmt: skip
        return sign_object(self.key, cose.CT_EAT, attest.encode_evidence(record._replace(**changes)))

    def value(self, evidence: bytes = b"", status: int = LIVE, org: bytes = ORG) -> DeviceValue:
        """As the ledger has it after enrolment at height 3."""
        live = [(3, None)] if status == LIVE else [(3, 4)]
        keys = [DeviceKey(self.key.kid, self.key.cose_key, 1, 3, None)]
        return DeviceValue(org, ORIGIN, keys, status, live, [], FIRMWARE, sha256(evidence).digest(), [])
