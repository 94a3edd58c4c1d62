"""server/health/facts, numbers and watch on a real backend: what devices did is what is said of them."""

import time
from dataclasses import replace
from typing import Any

import pytest

from server.health.facts import interval_s, read_facts
from server.health.numbers import read_numbers
from server.health.watch import Watch
from shared.errors import RuleError, Unavailable
from shared.state import LIVE, SUSPENDED
from tests.api.conftest import World, home, play  # noqa: F401 - fixtures
from tests.evidence.fleet import FIRMWARE, Device, evidence_of


def watch_of(world: World, ahead_s: int = 0) -> Watch:
    """A watch beside the backend's own, that began now, with a clock that then is ahead."""
    own = world.backend.watch
    watch = Watch(own._parts, world.backend.attestations)
    watch.numbers()
    watch._now_s = lambda: time.time() + ahead_s
    return watch


async def device_of(world: World, name: str = "facts") -> Device:
    if world.backend.ledger.height == 0:
        await world.transact("admin", "firmware.add", {1: FIRMWARE, 2: "edge", 3: "1"})
    device = Device(name)
    device.time_s = int(time.time()) - 3600
    await world.enroll(device)
    return device


async def kinds_of(world: World, ahead_s: int = 0) -> list[str]:
    _, _, found = await watch_of(world, ahead_s).troubles()
    return [trouble.kind for trouble in found if trouble.devices]


def test_a_device_from_its_enrolment_to_its_silence(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    async def story(world: World) -> None:
        monkeypatch.setattr(type(world.backend.mqtt), "connected", True)
        device = await device_of(world)
        assert await kinds_of(world) == []
        assert await kinds_of(world, 3700) == ["never-heard"]
        for _ in range(4):
            await world.log(device)
        _, facts, _ = await watch_of(world).troubles()
        (known,) = facts.devices
        assert (known.device, known.org, known.status, known.interval_s) == (device.id, world.orgs["admin"], LIVE, 180)
        assert known.last_s is not None and 0 <= facts.now_s - known.last_s <= 5
        assert abs(known.enrolled_s - facts.now_s) <= 5
        assert await kinds_of(world, 500) == []
        assert await kinds_of(world, 600) == ["silent"]

    play(story)


def test_a_hole_and_an_unsynced_clock(play: Any) -> None:  # noqa: F811
    async def story(world: World) -> None:
        device = await device_of(world)
        await world.log(device)
        device.readings(7)  # never arrives
        device.clock, device.time_s = 0, 5
        await world.log(device)
        _, facts, found = await watch_of(world).troubles()
        (known,) = facts.devices
        assert known.missing == 7
        detail, since_s = known.conditions["clock-unsynced"]
        assert detail == "boot 1" and since_s == known.last_s
        assert {trouble.kind for trouble in found if trouble.devices} == {"missing", "clock-unsynced"}

    play(story)


def test_events_are_of_the_last_day(play: Any) -> None:  # noqa: F811
    async def story(world: World) -> None:
        device = await device_of(world)
        await world.log(device)
        device.registers = [5, 5]
        await world.log(device)
        await world.log(device)
        _, facts, _ = await watch_of(world).troubles()
        (event,) = [event for event in facts.devices[0].events if event.kind == "register-backward"]
        arrival = await world.backend.evidence.store.arrival(1)
        assert arrival is not None and (event.count, event.last_s) == (2, arrival.received_s)
        assert "fell from" in event.detail
        _, facts, _ = await watch_of(world, 2 * 86400).troubles()
        assert facts.devices[0].events == ()

    play(story)


def test_a_suspended_device_says_since_when(play: Any) -> None:  # noqa: F811
    async def story(world: World) -> None:
        device = await device_of(world)
        await world.transact("admin", "device.suspend", {1: device.id, 2: "a test"})
        _, facts, found = await watch_of(world).troubles()
        (known,) = facts.devices
        assert known.status == SUSPENDED
        assert known.suspended_s == world.backend.ledger.time_s
        assert [trouble.kind for trouble in found if trouble.devices] == ["suspended"]

    play(story)


def test_quarantine_and_pending(play: Any) -> None:  # noqa: F811
    async def story(world: World) -> None:
        device = await device_of(world)
        stranger = Device("stranger")
        topic = stranger.topic("bundle", world.orgs["admin"])
        await world.backend.ingest.handle(topic, stranger.readings().envelope)
        other = world.backend.quarantine
        for number in range(3):
            await other.put(f"topic {number}", bytes(number), RuleError(302, f"reason {number}"), 1_000 - number)
        await world.backend.ingest.handle(device.topic("bundle", world.orgs["admin"]), b"\xff")
        from shared import cose, messages

        sent: list[bytes] = []

        async def publish(_: str, payload: bytes) -> None:
            sent.append(payload)

        world.backend.ingest._publish = publish
        await world.backend.ingest.handle(stranger.topic("hello", world.orgs["admin"]), messages.encode_hello(stranger.id, 1))
        nonce = messages.decode_challenge(cose.decode_sign1(sent[0], (cose.CT_CHALLENGE,)).payload).nonce
        await world.backend.ingest.handle(stranger.topic("attest", world.orgs["admin"]), evidence_of(stranger, nonce))
        numbers, facts, found = await watch_of(world).troubles()
        assert [(row.code, row.count) for row in facts.quarantine] == [(103, 1), (302, 3), (320, 1)]
        assert facts.quarantine[2].topic == topic
        row = facts.quarantine[1]
        assert (row.sample_bytes, row.first_s, row.last_s, row.topic, row.reason) == (3, 998, 998, "topic 2", "reason 2")
        assert dict(numbers.quarantined) == {103: 1, 302: 3, 320: 1}
        assert [(pending.device, pending.org) for pending in facts.pending] == [(stranger.id, world.orgs["admin"])]
        assert {"quarantine-320", "quarantine-103", "device-pending"} <= {trouble.kind for trouble in found}

    play(story)


def test_a_broker_that_is_nobody_is_missed_after_some_seconds(play: Any) -> None:  # noqa: F811
    async def story(world: World) -> None:
        watch = watch_of(world)
        _, _, found = await watch.troubles()
        assert [trouble.kind for trouble in found] == []
        watch._now_s = lambda: time.time() + 11
        _, _, found = await watch.troubles()
        assert [trouble.kind for trouble in found] == ["broker-away"]
        host, port = world.backend.config.mqtt_address
        assert found[0].detail == f"{host}:{port}"

    play(story)


def test_numbers_of_what_waits(play: Any) -> None:  # noqa: F811
    async def story(world: World) -> None:
        import asyncio

        device = await device_of(world)
        work = asyncio.create_task(world.log(device))
        parts = world.backend.watch._parts
        while not read_numbers(parts, 0).queues["evidence_log"].length:
            await asyncio.sleep(0)
        numbers = read_numbers(parts, int(time.time()))
        held = numbers.queues["evidence_log"]
        assert held.held_bytes is not None and 100 < held.held_bytes < 2000
        assert numbers.oldest_unacked_s is not None and 0 <= numbers.now_s - numbers.oldest_unacked_s <= 5
        await work
        numbers = read_numbers(parts, int(time.time()))
        assert numbers.oldest_unacked_s is None
        assert (numbers.evidence_log_size, numbers.messages["logged"], numbers.messages["acked"]) == (1, 1, 1)
        assert numbers.rss_bytes > 10 << 20 and numbers.store_bytes["evidence.sqlite"] > 4096

    play(story)


def test_a_store_that_cannot_be_read_leaves_the_last_facts(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    async def story(world: World) -> None:
        await device_of(world)
        watch = watch_of(world)
        await watch.troubles()

        async def broken(*_: object) -> None:
            raise Unavailable(400, "disk I/O error")

        monkeypatch.setattr("server.health.watch.read_facts", broken)
        _, facts, found = await watch.troubles()
        assert len(facts.devices) == 1
        assert [trouble.kind for trouble in found] == ["store-unreadable"]
        monkeypatch.setattr("server.health.watch.read_facts", read_facts)
        _, _, found = await watch.troubles()
        assert found == []

    play(story)


def test_metrics_read_the_stores_once_a_minute(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    async def story(world: World) -> None:
        asked = []

        async def counted(*arguments: Any) -> Any:
            asked.append(arguments)
            return await read_facts(*arguments)

        monkeypatch.setattr("server.health.watch.read_facts", counted)
        watch = watch_of(world)
        for _ in range(3):
            assert "meterproof_ledger_height 0\n" in await watch.metrics()
        assert len(asked) == 1
        watch._facts = replace(watch._facts, now_s=watch._facts.now_s - 61)
        await watch.metrics()
        assert len(asked) == 2

    play(story)


@pytest.mark.parametrize(
    ("bundles", "interval"),
    [
        ([], None),
        ([(0, 2, 0)], None),
        ([(0, 2, 50), (900, 2, 50), (1800, 2, 50)], 900),  # all at once after an outage
        ([(0, 2, 0), (60, 2, 0), (120, 2, 0), (9000, 2, 0)], 60),
        ([(7, 4, 100), (100_007, 4, 130), (200_007, 4, 160)], 30),  # a simulated clock says nothing
        ([(7, 0, 100), (3, 2, 130)], 30),
    ],
)
def test_interval(bundles: list[tuple[int, int, int]], interval: int | None) -> None:
    assert interval_s(bundles) == interval
