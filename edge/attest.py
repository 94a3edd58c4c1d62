"""Answers a node's challenge with evidence about this device (SPEC 7).

In: a nonce. Out: a signed EAT, made by `edge/evidence.py`. Keeps what stays the same for one boot.
"""

import os
from collections import namedtuple

from edge.memory import forget

TIER_SOFTWARE = 1
BOOTSEED_BYTES = 16

Build = namedtuple("Build", ("device", "firmware", "tier"))
"""What every statement says about the device: UEID, firmware hash, key tier."""


class Attester:
    """Answers challenges for one boot."""

    def __init__(self, config: object, signer: object, build: object, boot: object, clock: object) -> None:
        self.config = config
        self.signer = signer
        self.build = build
        self.boot = boot
        self.clock = clock
        self.bootseed = os.urandom(BOOTSEED_BYTES)

    async def answer(self, nonce: bytes, table: bytes | None) -> bytes:
        """The signed evidence."""
        message, head = self._draft(nonce, table)
        return head + await self.signer.sign(message)

    def _draft(self, nonce: bytes, table: bytes | None) -> tuple[bytes, bytes]:
        from edge import evidence  # code is memory

        try:
            return evidence.draft_evidence(self, nonce, table)
        finally:
            forget("evidence")
