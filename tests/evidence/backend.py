"""The evidence half of a backend over a directory, with the sequencer running and answers collected. Contains no test itself."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from server.evidence.log import EvidenceLog, Keep
from server.evidence.rows import EvidenceStore, open_evidence_store
from server.ingest.core import Ingest
from server.ingest.quarantine import Quarantine
from shared import cose, messages
from shared.types import Ack, Refusal
from tests.evidence.fleet import ORIGIN, START_S, Device, FakeAttestations, FakeLedger, Sent, key_of

NODE = key_of("node")


@dataclass
class Half:
    store: EvidenceStore
    log: EvidenceLog
    ingest: Ingest
    quarantine: Quarantine
    ledger: Any
    attestations: FakeAttestations
    published: list[tuple[str, bytes]] = field(default_factory=list)

    async def send(self, device: Device, *sent: Sent | bytes) -> None:
        """All of them at once, and waits until each is dealt with."""
        envelopes = [item.envelope if isinstance(item, Sent) else item for item in sent]
        answers = [await self.ingest.accept(device.topic(), envelope) for envelope in envelopes]
        await asyncio.gather(*[answer for answer in answers if answer is not None])

    def replies(self) -> list[Ack | Refusal]:
        """Every ack and refusal so far, its signature checked; clears the list."""
        replies = []
        for topic, data in self.published:
            assert topic.endswith("/ack")
            signed = cose.decode_sign1(data, (cose.CT_ACK, cose.CT_REFUSAL))
            cose.verify_sign1(signed, NODE.cose_key)
            decode = messages.decode_ack if signed.content_type == cose.CT_ACK else messages.decode_refusal
            replies.append(decode(signed.payload))
        self.published.clear()
        return replies

    async def ack(self, device: Device, *sent: Sent | bytes) -> Ack:
        """Sends and gives the one ack that comes."""
        await self.send(device, *sent)
        (reply,) = self.replies()
        assert isinstance(reply, Ack)
        return reply

    async def kinds(self, device: Device | None = None) -> list[str]:
        """Kinds of findings, in order."""
        return [row["kind"] for row in await self.store.findings(device=device.id if device else None)]


@asynccontextmanager
async def open_half(home: Path, *devices: Device, ledger: Any = None, keep: Keep | None = None) -> AsyncIterator[Half]:
    ledger = ledger or FakeLedger(*devices)
    attestations = FakeAttestations(*devices)
    async with open_evidence_store(home / "evidence.sqlite") as store:
        log = await EvidenceLog.open(home / "evidence-log", store, ORIGIN, NODE, keep)
        published: list[tuple[str, bytes]] = []

        async def publish(topic: str, payload: bytes) -> None:
            published.append((topic, payload))

        quarantine = Quarantine(store)
        ingest = Ingest(ledger, log, attestations, quarantine, NODE, publish, lambda: START_S + 86400)
        running = asyncio.create_task(log.run())
        try:
            yield Half(store, log, ingest, quarantine, ledger, attestations, published)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
