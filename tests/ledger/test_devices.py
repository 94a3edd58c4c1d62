"""The cache of device values: the same answers as without it, at every height, also while a block is being written."""

import asyncio
from hashlib import sha256
from pathlib import Path

import pytest

from server.ledger.devices import Devices
from server.ledger.engines.embedded import EmbeddedLedger
from shared import state
from shared.errors import Unavailable, VerifyError
from shared.state import LIVE, REVOKED, SUSPENDED
from tests.ledger.test_crash import Cut
from tests.ledger.world import ADMIN, CHAIN, GENESIS, NODE, OPERATOR, ORG, TIME_S, World, build_tx, ueid


def committed(world: World, name: str) -> state.DeviceValue | None:
    data = world.store.get(state.device_key(ueid(name)))
    return None if data is None else state.decode_device_value(data)


def test_each_block_shows_at_once_and_only_what_it_changed() -> None:
    world = World()
    devices = world.core.devices
    assert devices.get(ueid("m1")) is None
    world.enroll("m1")
    world.enroll("m2")
    other = devices.get(ueid("m2"))
    assert devices.get(ueid("m1")) == committed(world, "m1") and devices.get(ueid("m1")).status == LIVE
    for kind, status in (("device.suspend", SUSPENDED), ("device.resume", LIVE), ("device.revoke", REVOKED)):
        world.do(OPERATOR, kind, {1: ueid("m1"), 2: "test"})
        assert devices.get(ueid("m1")) == committed(world, "m1") and devices.get(ueid("m1")).status == status
        assert devices.get(ueid("m2")) is other, "what did not change is not decoded again"


def test_a_block_that_is_durable_but_not_committed_here_does_not_show_yet() -> None:
    world = World()
    world.firmware()
    enroll = world.tx(ADMIN, "device.enroll", world.enroll_body("m1", world.point()))
    devices, head = world.core.devices, world.core.head
    staged = world.core.apply_block(head.height + 1, head.time_s, [enroll])
    world.store.write(staged)
    assert devices.get(ueid("m1")) is None, "a value of a later height than the core's"
    world.core.commit(staged)
    assert devices.get(ueid("m1")).live == [(world.core.head.height, None)]


def test_a_block_that_never_came_leaves_the_values() -> None:
    world = World()
    world.enroll("m1")
    world.core.devices.get(ueid("m1"))
    head = world.core.head
    world.core.apply_block(head.height + 1, head.time_s, [world.tx(OPERATOR, "device.suspend", {1: ueid("m1"), 2: "test"})])
    assert world.core.devices.get(ueid("m1")).status == LIVE
    world.point()
    assert world.core.devices.get(ueid("m1")).status == LIVE
    world.do(OPERATOR, "device.revoke", {1: ueid("m1"), 2: "test"})
    assert world.core.devices.get(ueid("m1")).status == REVOKED


def test_the_cache_is_bounded_and_strangers_push_nobody_out() -> None:
    world = World()
    names = ["m1", "m2", "m3"]
    for name in names:
        world.enroll(name)
    reads: list[bytes] = []

    def read(key: bytes) -> bytes | None:
        reads.append(key)
        return world.store.get(key)

    devices = Devices(read, kept_max=2)
    for name in ("m1", "m2", "m1", "m3", "m1"):
        assert devices.get(ueid(name)) == committed(world, name)
    assert len(reads) == 3, "m1 was used after m2: m2 went"
    for number in range(10):
        assert devices.get(ueid(f"stranger {number}")) is None
    devices.get(ueid("m1"))
    devices.get(ueid("m3"))
    assert len(reads) == 13 and len(devices._kept) == 2
    devices.get(ueid("m2"))
    assert len(reads) == 14


@pytest.mark.parametrize("damage", [b"", b"\x00", b"\xa0", b"\xff"])
def test_a_broken_value_is_the_ledgers_damage_not_the_askers(damage: bytes) -> None:
    world = World()
    world.store.values[state.device_key(ueid("m1"))] = damage
    with pytest.raises(VerifyError, match="271"):
        world.core.devices.get(ueid("m1"))


def test_through_the_engine_also_after_a_failed_write_and_a_restart(tmp_path: Path) -> None:
    async def open_ledger() -> EmbeddedLedger:
        return await EmbeddedLedger.open(tmp_path, GENESIS, NODE, now_s=lambda: TIME_S)

    async def enrolled() -> None:
        world = World()
        ledger = await open_ledger()
        async with asyncio.TaskGroup() as group:
            group.create_task(ledger.run())

            async def submit(kind: str, body: dict[int, object]) -> bytes:
                receipt = await ledger.submit(build_tx(ADMIN, CHAIN, ORG, ledger.next_nonce(ADMIN.kid), kind, body))
                return receipt.identity

            await submit("firmware.add", {1: world.enroll_body("m1", b"")[4], 2: "edge", 3: "1"})
            identity = await submit("point.create", {1: "roof", 2: None, 3: "UTC"})
            assert ledger.device(ueid("m1")) is None
            await submit("device.enroll", world.enroll_body("m1", sha256(b"point" + identity).digest()[:10]))
            assert ledger.device(ueid("m1")).status == LIVE
            real, ledger._writer._conn = ledger._writer._conn, Cut(ledger._conn, 3)
            with pytest.raises(Unavailable):
                await submit("device.suspend", {1: ueid("m1"), 2: "test"})
            assert ledger.device(ueid("m1")).status == LIVE
            ledger._writer._conn = real
            await submit("device.suspend", {1: ueid("m1"), 2: "test"})
            assert ledger.device(ueid("m1")).status == SUSPENDED
            await ledger.close()

    async def reopened() -> None:
        ledger = await open_ledger()
        assert ledger.device(ueid("m1")).status == SUSPENDED
        await ledger.close()

    asyncio.run(enrolled())
    asyncio.run(reopened())
