"""The RATS verifier: challenges devices, checks their evidence against the ledger, and keeps what came for enrolment.

In: hellos and evidence as bytes, with the organization and device of their topic and the time. Out: signed challenges and verdicts.
Never trusts a claim about a device without its key, never accepts a nonce twice, and keeps a bounded number of strangers.

What evidence proves depends on its tier: with a software key "the same device as at enrolment" and no more.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from server.keystore import SigningKey, sign_object
from server.ledger.values import decode_firmware
from shared import attest, cose, messages
from shared.errors import RuleError, VerifyError
from shared.state import REVOKED, DeviceValue, firmware_key, org_key
from shared.types import Challenge, Evidence

from .records import Attestation, RegistryStore

NONCE_BYTES = 32
NONCE_LIFE_S = 120
CHALLENGE_AGAIN_S = 10
EVIDENCE_BYTES_MAX = 8192


class Ledger(Protocol):
    """What is asked of the ledger's committed state."""

    def get(self, key: bytes, /) -> bytes | None: ...
    def device(self, device: bytes, /) -> DeviceValue | None: ...


class Random(Protocol):
    def __call__(self, count: int, /) -> bytes: ...


@dataclass(frozen=True)
class Verdict:
    """`code` is 0, or 252 for firmware that is not on the ledger; refusals are raised."""

    device: bytes
    kid: bytes
    verdict: str
    code: int
    evidence: Evidence


class Attestations:
    """One for a node; `unknown_firmware` is "refuse" or "flag"."""

    def __init__(
        self, store: RegistryStore, ledger: Ledger, node_key: SigningKey, origin: str, unknown_firmware: str, random: Random
    ) -> None:
        self._store = store
        self._ledger = ledger
        self._node_key = node_key
        self._origin = origin
        self._unknown_firmware = unknown_firmware
        self._random = random

    async def hello(self, org: bytes, device: bytes, payload: bytes, now_s: int) -> bytes:
        """A signed challenge for a device that booted. Raises DecodeError 1xx, VerifyError 246, RuleError 305 or 322, Unavailable."""
        said, _ = messages.decode_hello(payload)
        if said != device:
            raise VerifyError(246, "a hello of another device than its topic")
        stranger = self._check_place(org, device) is None
        fresh = self._random(NONCE_BYTES)
        nonce, time_s = await self._store.challenge(device, fresh, now_s, NONCE_LIFE_S, CHALLENGE_AGAIN_S, stranger)
        challenge = messages.encode_challenge(Challenge(self._origin, device, nonce, time_s))
        return sign_object(self._node_key, cose.CT_CHALLENGE, challenge)

    async def evidence(self, org: bytes, device: bytes, payload: bytes, now_s: int) -> Verdict:
        """The verdict on evidence, recorded. Raises DecodeError 1xx, VerifyError 201, 246, 250, 251 or 252, and as `hello`."""
        signed, evidence = attest.open_evidence(payload)
        if evidence.device != device:
            raise VerifyError(246, "evidence of another device than its topic")
        enrolled = self._check_place(org, device)
        await self._check_nonce(evidence, now_s)
        await self.settle()
        verdict, error = self._judge(signed.kid, evidence, enrolled)
        await self._store.record(org, verdict, payload, now_s)
        if error is not None:
            raise error
        return verdict

    async def pending(self) -> list[Attestation]:
        """Evidence of devices that wait for enrolment, oldest first."""
        await self.settle()
        return await self._store.pending()

    async def of_device(self, device: bytes) -> list[Attestation]:
        """Everything kept about one device, newest first."""
        await self.settle()
        return await self._store.of_device(device)

    async def settle(self) -> None:
        """Takes devices that were enrolled meanwhile off the pending list."""
        for device in sorted({row.device for row in await self._store.pending()}):
            enrolled = self._ledger.device(device)
            if enrolled is not None:
                await self._store.settle(device, enrolled.evidence)

    def _check_place(self, org: bytes, device: bytes) -> DeviceValue | None:
        """The device's record, if it is enrolled."""
        enrolled = self._ledger.device(device)
        if enrolled is None:
            if self._ledger.get(org_key(org)) is None:
                raise RuleError(305, "no such organization on this ledger")
            return None
        if enrolled.org != org:
            raise RuleError(305, "the device belongs to another organization than its topic")
        if enrolled.status == REVOKED:
            raise RuleError(322, "the device was revoked")
        return enrolled

    async def _check_nonce(self, evidence: Evidence, now_s: int) -> None:
        """Fresh, ours for this device, and used up now."""
        sent = await self._store.outstanding(evidence.device)
        if sent is None or not hmac.compare_digest(sent[0], evidence.nonce):
            raise VerifyError(250, "the nonce is not the one this node sent last")
        if not 0 <= now_s - sent[1] <= NONCE_LIFE_S:
            raise VerifyError(250, f"the nonce is older than {NONCE_LIFE_S} s")
        if not await self._store.use_challenge(evidence.device, evidence.nonce):
            raise VerifyError(250, "the nonce was used already")

    def _judge(self, kid: bytes, evidence: Evidence, enrolled: DeviceValue | None) -> tuple[Verdict, VerifyError | None]:
        code = 0 if is_firmware_known(self._ledger, evidence.firmware) else 252
        if enrolled is None:
            return Verdict(evidence.device, kid, "pending", code, evidence), None
        error = check_key(kid, evidence, enrolled)
        if error is None and code and self._unknown_firmware == "refuse":
            error = VerifyError(252, "the firmware is not among the reference values on the ledger")
        if error is not None:
            return Verdict(evidence.device, kid, "refused", error.code, evidence), error
        return Verdict(evidence.device, kid, "flagged" if code else "accepted", code, evidence), None


def is_firmware_known(ledger: Ledger, firmware: bytes) -> bool:
    """Whether a firmware hash is a reference value that was not withdrawn."""
    value = ledger.get(firmware_key(firmware))
    return value is not None and decode_firmware(value).to_height is None


def check_key(kid: bytes, evidence: Evidence, enrolled: DeviceValue) -> VerifyError | None:
    """The error if evidence is not by the key this device is enrolled with now."""
    live = [key for key in enrolled.keys if key.to_height is None]
    if not any(key.kid == kid and key.cose_key == evidence.cose_key for key in live):
        return VerifyError(251, "the evidence is by another key than the device was enrolled with")
    if not any(key.kid == kid and key.tier == evidence.tier for key in live):
        return VerifyError(251, "the evidence names another key tier than the device was enrolled with")
    return None


def evidence_hash(data: bytes) -> bytes:
    """What `device.enroll` puts on the ledger about evidence."""
    return sha256(data).digest()


def tier_meaning(tier: int) -> str:
    """What a key of this tier proves, in words for people."""
    meanings: Sequence[str] = (
        "unknown",
        "software key: proves the same device as at enrolment and no more (the key can be copied by who holds the device)",
        "firmware-bound key: bound to this hardware by secure boot and flash encryption",
        "secure element: the key was made in a chip that does not give it out",
    )
    return meanings[tier] if 0 < tier < len(meanings) else meanings[0]
