"""Evidence half, anchor and a real embedded ledger over one home, with devices enrolled by a person's key. Contains no test itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from server.evidence.evidence_file import EvidenceFileBuilder
from server.keystore import SigningKey
from server.ledger.anchor import Anchor
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.genesis import build_genesis, decode_genesis
from server.ledger.transactions import build_tx
from shared import channel, note
from shared.state import Receipt
from shared.verify.policy import Policy
from tests.evidence.backend import NODE, Half, open_half
from tests.evidence.fleet import FIRMWARE, ORG, ORIGIN, START_S, Device, key_of

CHAIN = "test-chain"
ADMIN = key_of("admin")
VALIDATOR = key_of("validator")


@dataclass
class Whole:
    home: Path
    half: Half
    ledger: EmbeddedLedger
    anchor: Anchor
    files: EvidenceFileBuilder

    async def submit(self, tx_type: str, body: dict[int, object], key: SigningKey = ADMIN) -> Receipt:
        return await self.ledger.submit(build_tx(key, CHAIN, ORG, self.ledger.next_nonce(key.kid), tx_type, body))

    async def enroll(self, device: Device) -> None:
        """Point, firmware and device, as a person would."""
        receipt = await self.submit("point.create", {1: f"point of {device.name}", 2: None, 3: "Europe/Prague"})
        point = sha256(b"point" + receipt.identity).digest()[:10]
        if self.ledger.firmware(FIRMWARE) is None:
            await self.submit("firmware.add", {1: FIRMWARE, 2: "meterproof-edge", 3: "0.1.0"})
        table = channel.decode_table(device.table)
        assignment = [0, point, table.serial, channel.table_hash(device.table), START_S - 86400]
        evidence = sha256(b"evidence").digest()
        body = {1: device.id, 2: device.key.cose_key, 3: 1, 4: FIRMWARE, 5: ORIGIN, 6: [assignment], 7: evidence}
        await self.submit("device.enroll", body)

    @property
    def policy(self) -> Policy:
        name = f"meterproof.ledger/{CHAIN}"
        return Policy(CHAIN, decode_genesis(genesis()).hash, [note.Vkey(name, note.key_id_of(name, NODE.raw), NODE.raw)], 1)


def genesis() -> bytes:
    keys = [(ADMIN.cose_key, ["admin", "installer", "operator"], "admin"), (NODE.cose_key, ["node"], "node")]
    keys.append((VALIDATOR.cose_key, ["validator"], "validator"))
    return build_genesis(CHAIN, START_S, ORG, "Test", keys, [(VALIDATOR.cose_key, 1)], [(ORIGIN, NODE.kid)])


@asynccontextmanager
async def open_whole(home: Path, *devices: Device) -> AsyncIterator[Whole]:
    """Anchoring is done when the test asks for it: `await whole.anchor.anchor()`."""
    (home / "genesis.cbor").write_bytes(genesis())
    ledger = await EmbeddedLedger.open(home, genesis(), NODE, now_s=lambda: START_S + 86400)
    running = asyncio.create_task(ledger.run())
    try:
        async with open_half(home, *devices, ledger=ledger) as half:
            anchor = Anchor(ledger, half.log, NODE, VALIDATOR, interval_s=0)
            whole = Whole(home, half, ledger, anchor, EvidenceFileBuilder(ledger, half.log))
            for device in devices:
                if ledger.device(device.id) is None:
                    await whole.enroll(device)
            yield whole
    finally:
        await ledger.close()
        with contextlib.suppress(asyncio.CancelledError):
            await running
