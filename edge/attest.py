"""Evidence about this device: the answer to a node's challenge (SPEC 7).

In: a nonce. Out: a signed EAT. Never claims more than a software key can prove.
"""

import os
import sys
from collections import namedtuple

from edge import VERSION
from shared import cose
from shared.attest import SWNAME, encode_evidence
from shared.types import Evidence

TIER_SOFTWARE = 1
DBGSTAT_ENABLED = 0  # a REPL or debugger can be attached to every build there is so far
BOOTSEED_BYTES = 16

Build = namedtuple("Build", ("device", "firmware", "tier"))
"""What every statement says about the device: UEID, firmware hash, key tier."""


def interpreter_text() -> str:
    """As the running interpreter names itself: "micropython 1.29.0"."""
    version = sys.implementation.version
    return f"{sys.implementation.name} {version[0]}.{version[1]}.{version[2]}"


class Attester:
    """Answers challenges for one boot."""

    def __init__(self, config: object, signer: object, build: object, boot: object, clock: object) -> None:
        self._config = config
        self._signer = signer
        self._build = build
        self._boot = boot
        self._clock = clock
        self._bootseed = os.urandom(BOOTSEED_BYTES)

    def evidence(self, nonce: bytes, table: bytes | None) -> Evidence:
        return Evidence(
            self._signer.cose_key,
            nonce,
            self._build.device,
            self._config.hwmodel.encode(),
            self._clock.uptime_s(),
            DBGSTAT_ENABLED,
            self._boot,
            self._bootseed,
            SWNAME,
            VERSION,
            self._build.tier,
            self._build.firmware,
            interpreter_text(),
            {} if table is None else {self._config.channel: table},
        )

    async def answer(self, nonce: bytes, table: bytes | None) -> bytes:
        """The signed evidence."""
        protected = cose.build_protected(self._signer.alg, cose.CT_EAT, self._signer.kid)
        payload = encode_evidence(self.evidence(nonce, table))
        signature = await self._signer.sign(cose.sig_structure(protected, payload))
        return cose.assemble_sign1(protected, payload, signature)
