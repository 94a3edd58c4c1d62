"""Evidence about this device, an EAT (SPEC 7), up to its signature. Loaded when a node asks and forgotten before it is signed.

In: an Attester, a nonce, the channel table. Out: bytes. Never claims more than a software key can prove.
"""

import sys

from edge import VERSION
from shared import cose
from shared.attest import SWNAME, encode_evidence
from shared.types import Evidence

DBGSTAT_ENABLED = 0  # a REPL or debugger can be attached to every build there is so far


def interpreter_text() -> str:
    """As the running interpreter names itself: "micropython 1.29.0"."""
    version = sys.implementation.version
    return f"{sys.implementation.name} {version[0]}.{version[1]}.{version[2]}"


def build_evidence(attester: object, nonce: bytes, table: bytes | None) -> Evidence:
    build, config = attester.build, attester.config
    return Evidence(
        attester.signer.cose_key,
        nonce,
        build.device,
        config.hwmodel.encode(),
        attester.clock.uptime_s(),
        DBGSTAT_ENABLED,
        attester.boot,
        attester.bootseed,
        SWNAME,
        VERSION,
        build.tier,
        build.firmware,
        interpreter_text(),
        {} if table is None else {config.channel: table},
    )


def draft_evidence(attester: object, nonce: bytes, table: bytes | None) -> tuple[bytes, bytes]:
    """(what is to be signed, what comes before the signature)."""
    signer = attester.signer
    protected = cose.build_protected(signer.alg, cose.CT_EAT, signer.kid)
    payload = encode_evidence(build_evidence(attester, nonce, table))
    return cose.sig_structure(protected, payload), cose.assemble_sign1(protected, payload, bytes(64))[:-64]
