"""server/registry/attestation.py: what a device says about itself, and who believes it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from server.keystore import SigningKey
from server.registry import records
from server.registry.attestation import Attestations, tier_meaning
from server.registry.records import open_registry
from shared import cose, messages
from shared.errors import MeterproofError
from shared.state import REVOKED, SUSPENDED
from tests.registry.fakes import FIRMWARE, NODE, ORG, ORIGIN, OTHER, Attester, FakeLedger

NOW_S = 1_800_000_000


class Place:
    """A verifier over a file, with a random source that counts."""

    def __init__(self, store: records.RegistryStore, ledger: FakeLedger, unknown_firmware: str) -> None:
        self.ledger = ledger
        self.drawn = 0
        self.it = Attestations(store, ledger, NODE, ORIGIN, unknown_firmware, self._random)

    def _random(self, count: int) -> bytes:
        self.drawn += 1
        return self.drawn.to_bytes(count, "big")

    async def challenge(self, device: Attester, now_s: int = NOW_S, org: bytes = ORG) -> bytes:
        """The nonce of a challenge, its signature and fields checked."""
        data = await self.it.hello(org, device.id, messages.encode_hello(device.id, device.boot), now_s)
        signed = cose.decode_sign1(data, (cose.CT_CHALLENGE,))
        cose.verify_sign1(signed, NODE.cose_key)
        challenge = messages.decode_challenge(signed.payload)
        assert (challenge.origin, challenge.device) == (ORIGIN, device.id)
        return bytes(challenge.nonce)

    async def attest(self, device: Attester, now_s: int = NOW_S, org: bytes = ORG, **changes: object) -> bytes:
        """Hello, challenge, evidence; returns the evidence."""
        evidence = device.evidence(await self.challenge(device, now_s, org), **changes)
        await self.it.evidence(org, device.id, evidence, now_s)
        return evidence


@asynccontextmanager
async def opened(home: Path, unknown_firmware: str = "refuse", ledger: FakeLedger | None = None) -> AsyncIterator[Place]:
    async with open_registry(home / "registry.sqlite") as store:
        yield Place(store, ledger or FakeLedger(), unknown_firmware)


def run(home: Path, story: Callable[[Place], Coroutine[Any, Any, None]], unknown_firmware: str = "refuse") -> None:
    async def main() -> None:
        async with opened(home, unknown_firmware) as place:
            await story(place)

    asyncio.run(main())


async def refused(code: int, work: Coroutine[Any, Any, object]) -> None:
    with pytest.raises(MeterproofError) as caught:
        await work
    assert caught.value.code == code


def test_a_new_device_waits_for_enrolment(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("new")
        evidence = await place.attest(device)
        (row,) = await place.it.pending()
        assert (row.device, row.kid, row.verdict, row.code, row.evidence) == (device.id, device.key.kid, "pending", 0, evidence)
        place.ledger.devices[device.id] = device.value(evidence)
        assert await place.it.pending() == []
        assert [row.verdict for row in await place.it.of_device(device.id)] == ["enrolled"]

    run(tmp_path, story)


def test_every_boot_of_an_enrolled_device_is_recorded(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("known")
        place.ledger.devices[device.id] = device.value()
        for boot in (1, 2, 3):
            device.boot = boot
            await place.attest(device, NOW_S + 60 * boot)
        rows = await place.it.of_device(device.id)
        assert [(row.boot, row.verdict, row.code) for row in rows] == [(3, "accepted", 0), (2, "accepted", 0), (1, "accepted", 0)]

    run(tmp_path, story)


@pytest.mark.parametrize("late_s", [121, 100_000, -1])
def test_a_stale_nonce_is_refused(tmp_path: Path, late_s: int) -> None:
    async def story(place: Place) -> None:
        device = Attester("late")
        evidence = device.evidence(await place.challenge(device))
        await refused(250, place.it.evidence(ORG, device.id, evidence, NOW_S + late_s))
        assert await place.it.pending() == []

    run(tmp_path, story)


def test_a_nonce_is_good_for_120_seconds(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("slow")
        evidence = device.evidence(await place.challenge(device))
        verdict = await place.it.evidence(ORG, device.id, evidence, NOW_S + 120)
        assert verdict.verdict == "pending"

    run(tmp_path, story)


def test_a_nonce_is_good_once_even_after_a_restart(tmp_path: Path) -> None:
    device, kept = Attester("replayed"), []

    async def first(place: Place) -> None:
        kept.append(await place.attest(device))
        await refused(250, place.it.evidence(ORG, device.id, kept[0], NOW_S + 1))

    async def second(place: Place) -> None:
        await refused(250, place.it.evidence(ORG, device.id, kept[0], NOW_S + 2))

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_challenge_survives_a_restart(tmp_path: Path) -> None:
    device, nonces = Attester("patient"), []

    async def first(place: Place) -> None:
        nonces.append(await place.challenge(device))

    async def second(place: Place) -> None:
        assert (await place.it.evidence(ORG, device.id, device.evidence(nonces[0]), NOW_S + 5)).code == 0

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_nonce_never_asked_for_or_of_another_device_is_refused(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        one, other = Attester("one"), Attester("other")
        await refused(250, place.it.evidence(ORG, one.id, one.evidence(bytes(32)), NOW_S))
        nonce = await place.challenge(one)
        await refused(250, place.it.evidence(ORG, other.id, other.evidence(nonce), NOW_S))
        await refused(250, place.it.evidence(ORG, one.id, one.evidence(bytes(32)), NOW_S))
        await place.it.evidence(ORG, one.id, one.evidence(nonce), NOW_S)  # the wrong ones did not use it up

    run(tmp_path, story)


def test_the_same_challenge_is_repeated_for_a_moment_and_then_a_new_one(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("eager")
        nonce = await place.challenge(device)
        assert await place.challenge(device, NOW_S + 10) == nonce
        assert await place.challenge(device, NOW_S + 11) != nonce
        await refused(250, place.it.evidence(ORG, device.id, device.evidence(nonce), NOW_S + 12))

    run(tmp_path, story)


def test_another_key_than_the_enrolled_one_is_refused_and_kept(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("stolen")
        place.ledger.devices[device.id] = device.value()
        device.key = SigningKey.generate()
        await refused(251, place.attest(device))
        assert [(row.verdict, row.code) for row in await place.it.of_device(device.id)] == [("refused", 251)]

    run(tmp_path, story)


def test_another_tier_than_the_enrolled_one_is_refused(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("boaster", tier=3)
        place.ledger.devices[device.id] = device.value()
        await refused(251, place.attest(device))

    run(tmp_path, story)


def test_an_old_key_of_the_device_is_refused(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("rotated")
        value = device.value()
        place.ledger.devices[device.id] = value._replace(keys=[value.keys[0]._replace(to_height=9)])
        await refused(251, place.attest(device))

    run(tmp_path, story)


@pytest.mark.parametrize("withdrawn", [True, False])
def test_unknown_firmware_is_refused_or_flagged_as_configured(tmp_path: Path, withdrawn: bool) -> None:
    def prepare(place: Place) -> Attester:
        device = Attester("fresh", firmware=FIRMWARE if withdrawn else bytes(32))
        place.ledger.devices[device.id] = device.value()
        place.ledger.withdraw(FIRMWARE)
        return device

    async def refuse(place: Place) -> None:
        device = prepare(place)
        await refused(252, place.attest(device))
        assert [row.verdict for row in await place.it.of_device(device.id)] == ["refused"]

    async def flag(place: Place) -> None:
        device = prepare(place)
        await place.attest(device, NOW_S + 60)
        assert [(row.verdict, row.code) for row in await place.it.of_device(device.id)][0] == ("flagged", 252)

    run(tmp_path, refuse)
    run(tmp_path, flag, "flag")


def test_pending_evidence_says_that_its_firmware_is_unknown(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        await place.attest(Attester("odd", firmware=bytes(32)))
        assert [row.code for row in await place.it.pending()] == [252]

    run(tmp_path, story)


def test_topics_must_fit(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device, other = Attester("a"), Attester("b")
        await refused(246, place.it.hello(ORG, other.id, messages.encode_hello(device.id, 1), NOW_S))
        nonce = await place.challenge(device)
        await refused(246, place.it.evidence(ORG, other.id, device.evidence(nonce), NOW_S))
        await refused(305, place.challenge(device, org=b"?" * 10))
        place.ledger.devices[device.id] = device.value()
        await refused(305, place.challenge(device, org=OTHER))

    run(tmp_path, story)


def test_a_revoked_device_gets_no_challenge_a_suspended_one_does(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        gone, waiting = Attester("gone"), Attester("waiting")
        place.ledger.devices[gone.id] = gone.value(status=REVOKED)
        place.ledger.devices[waiting.id] = waiting.value(status=SUSPENDED)
        await refused(322, place.challenge(gone))
        await place.attest(waiting)
        assert [row.verdict for row in await place.it.of_device(waiting.id)] == ["accepted"]

    run(tmp_path, story)


def test_a_flipped_bit_anywhere_is_refused(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("flipped")
        evidence = device.evidence(await place.challenge(device))
        for at in range(0, len(evidence), 7):
            wrong = evidence[:at] + bytes([evidence[at] ^ 1]) + evidence[at + 1 :]
            with pytest.raises(MeterproofError):
                await place.it.evidence(ORG, device.id, wrong, NOW_S)
        assert await place.it.pending() == []

    run(tmp_path, story)


def test_strangers_cannot_fill_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "PENDING_MAX", 5)
    monkeypatch.setattr(records, "STRANGERS_MAX", 9)

    async def story(place: Place) -> None:
        for i in range(5):
            await place.attest(Attester(f"stranger {i}"))
        await refused(420, place.attest(Attester("one too many")))
        for i in range(3):
            await place.challenge(Attester(f"hello {i}"))
        await refused(420, place.challenge(Attester("hello too many")))
        enrolled = Attester("enrolled")
        place.ledger.devices[enrolled.id] = enrolled.value()
        await place.attest(enrolled)  # strangers shut nobody out who belongs here
        known = Attester("stranger 0")
        await place.attest(known, NOW_S + 20)  # who waits already may say it again
        assert len(await place.it.pending()) == 5
        await place.attest(Attester("after a week"), NOW_S + records.PENDING_LIFE_S + 21)
        assert [row.device for row in await place.it.pending()] == [Attester("after a week").id]

    run(tmp_path, story)


def test_few_keys_may_claim_to_be_one_device(tmp_path: Path) -> None:
    async def story(place: Place) -> None:
        device = Attester("coveted")
        kept = await place.attest(device)
        for i in range(records.PENDING_PER_DEVICE_MAX - 1):
            device.key = SigningKey.generate()
            await place.attest(device, NOW_S + 20 * (i + 1))
        device.key = SigningKey.generate()
        await refused(420, place.attest(device, NOW_S + 200))
        assert len(await place.it.pending()) == records.PENDING_PER_DEVICE_MAX
        honest = Attester("coveted")
        place.ledger.devices[honest.id] = honest.value(kept)
        assert [(row.kid, row.verdict) for row in await place.it.of_device(honest.id)] == [(honest.key.kid, "enrolled")]

    run(tmp_path, story)


def test_history_is_bounded_and_refusals_push_out_nothing_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "KEPT_PER_DEVICE_MAX", 3)
    monkeypatch.setattr(records, "REFUSED_PER_DEVICE_MAX", 2)

    async def story(place: Place) -> None:
        device = Attester("busy")
        evidence = await place.attest(device)
        place.ledger.devices[device.id] = device.value(evidence)
        for boot in range(2, 7):
            device.boot = boot
            await place.attest(device, NOW_S + 20 * boot)
        device.key = SigningKey.generate()
        for i in range(4):
            await refused(251, place.attest(device, NOW_S + 1000 + 20 * i))
        verdicts = [row.verdict for row in await place.it.of_device(device.id)]
        assert verdicts == ["refused"] * 2 + ["accepted"] * 3 + ["enrolled"]

    run(tmp_path, story)


@pytest.mark.parametrize("payload", [b"", b"\xff", b"\x82\x00\x01", b"x" * 10_000])
def test_malformed_bytes_are_decode_errors(tmp_path: Path, payload: bytes) -> None:
    async def story(place: Place) -> None:
        device = Attester("noise")
        for work in (place.it.hello, place.it.evidence):
            with pytest.raises(MeterproofError) as caught:
                await work(ORG, device.id, payload, NOW_S)
            assert caught.value.code // 100 == 1

    run(tmp_path, story)


def test_a_software_key_is_called_what_it_is() -> None:
    assert "same device as at enrolment and no more" in tier_meaning(1)
    assert tier_meaning(0) == tier_meaning(4) == "unknown"
