"""Lists beside the state: they follow from it after every block, in memory and in the file, and in files from before there were lists."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.file import LedgerReader
from server.ledger.lists import admins_list, list_changes, votes_due_list
from server.ledger.rules_registry import has_other_admin
from server.ledger.state import Overlay, prefix_of
from server.ledger.transactions import build_tx
from server.ledger.values import KeyValue, decode_key, encode_key
from shared import state
from shared.errors import VerifyError
from tests.ledger.world import ADMIN, CHAIN, GENESIS, INSTALLER, NODE, ORG, ORIGIN, TIME_S, VALIDATORS, World, key_of, readings

ANN, BOB = key_of("ann"), key_of("bob")


def due(world: World, name: str) -> list[int]:
    return [int.from_bytes(member, "big") for member in world.store.members(votes_due_list(ORIGIN, VALIDATORS[name].kid), 99)]


def check(world: World) -> None:
    """The lists kept block by block are those of the state as a whole."""
    assert world.store.listed == {at: True for at, there in list_changes(world.store.values).items() if there}


def test_a_batch_waits_for_each_validator_until_that_one_voted() -> None:
    world = World()
    assert due(world, "v1") == []
    for number in range(3):
        world.anchor(readings("d", 10 * number))
    check(world)
    assert due(world, "v1") == due(world, "v2") == due(world, "v3") == [0, 1, 2]
    world.do(VALIDATORS["v1"], "vote", world.vote_body(2))
    world.do(VALIDATORS["v2"], "vote", world.vote_body(0))
    check(world)
    assert (due(world, "v1"), due(world, "v2"), due(world, "v3")) == ([0, 1], [1, 2], [0, 1, 2])
    assert world.refused(VALIDATORS["v1"], "vote", world.vote_body(2)) == 341
    world.do(VALIDATORS["v1"], "vote", world.vote_body(0))
    assert due(world, "v1") == [1]
    check(world)


def test_a_batch_and_its_vote_in_one_block() -> None:
    world = World()
    body = world.batch_body([readings("d")])
    vote = {1: ORIGIN, 2: 0, 3: body[4], 4: []}
    world.block(world.tx(NODE, "batch", body), world.tx(VALIDATORS["v1"], "vote", vote))
    assert due(world, "v1") == [] and due(world, "v2") == [0]
    check(world)


def test_admins_of_each_organization() -> None:
    world = World()
    org = world.org("Other", BOB)
    world.do(ADMIN, "key.add", {1: ANN.cose_key, 2: ["admin", "operator"], 3: "ann"})
    world.do(ADMIN, "key.add", {1: key_of("carl").cose_key, 2: ["installer"], 3: "carl"})
    assert world.store.members(admins_list(ORG), 9) == sorted([ADMIN.kid, ANN.kid])
    assert world.store.members(admins_list(org), 9) == [BOB.kid]
    world.do(ADMIN, "key.revoke", {1: ANN.kid})
    assert world.store.members(admins_list(ORG), 9) == [ADMIN.kid]
    check(world)


def naive(overlay: Overlay, world: World, kid: bytes) -> bool:
    """The same rule by looking at every key."""
    whole = world.store.values | overlay.changed(b"")
    keys = {key: decode_key(value) for key, value in whole.items() if key.startswith(prefix_of("key")) and key != state.key_key(kid)}
    return any(value.org == ORG and "admin" in value.roles and value.to_height is None for value in keys.values())


@pytest.mark.parametrize("extra", range(4))
def test_another_admin_is_found_among_keys_that_change_in_the_same_block(extra: int) -> None:
    world = World()
    world.org("Other", BOB)
    admins = [key_of(f"admin {number}") for number in range(extra)]
    for key in admins:
        world.do(ADMIN, "key.add", {1: key.cose_key, 2: ["admin"], 3: "x"})
    lower = Overlay(world.store)
    upper = Overlay(lower)
    lower.put(state.key_key(INSTALLER.kid), encode_key(KeyValue(ORG, INSTALLER.cose_key, ("installer",), "x", 0)))
    assert has_other_admin(upper, ORG, ADMIN.kid) == naive(upper, world, ADMIN.kid) == (extra > 0)
    for layer, key, ended in [*((upper, key, 9) for key in admins), (lower, ANN, None), (upper, ANN, 9)]:
        layer.put(state.key_key(key.kid), encode_key(KeyValue(ORG, key.cose_key, ("admin",), "x", 1, ended)))
        assert has_other_admin(upper, ORG, ADMIN.kid) == naive(upper, world, ADMIN.kid)
    assert not has_other_admin(upper, ORG, ADMIN.kid)


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xa1\x01\x01"])
def test_broken_values_are_the_ledgers_damage(data: bytes) -> None:
    for key in (state.key_key(ANN.kid), state.batch_key(ORIGIN, 0)):
        with pytest.raises(VerifyError, match="271"):
            list_changes({key: data})


def test_a_file_from_before_the_lists_gets_them_once(tmp_path: Path) -> None:
    world = World()

    async def begin() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE, now_s=lambda: TIME_S)
        async with asyncio.TaskGroup() as group:
            group.create_task(ledger.run())
            nonces = dict.fromkeys((ADMIN.kid, NODE.kid, VALIDATORS["v1"].kid), 0)

            async def submit(key, kind: str, body: dict[int, object]) -> None:
                await ledger.submit(build_tx(key, CHAIN, ORG, nonces[key.kid], kind, body))
                nonces[key.kid] += 1

            await submit(ADMIN, "key.add", {1: ANN.cose_key, 2: ["admin"], 3: "ann"})
            for number in range(3):
                await submit(NODE, "batch", world.batch_body([readings("d", 10 * number)]))
                world.log.append(readings("d", 10 * number))
                world.anchored += 1
            await submit(VALIDATORS["v1"], "vote", {1: ORIGIN, 2: 1, 3: ledger.batch(ORIGIN, 1).root, 4: []})
            assert ledger.votes_due(ORIGIN, VALIDATORS["v1"].kid) == [0, 2]
            assert ledger.votes_due(ORIGIN, VALIDATORS["v1"].kid, after=0, limit=1) == [2]
            await ledger.close()

    def listed() -> set[tuple[bytes, bytes]]:
        reader = LedgerReader(tmp_path / "ledger.sqlite")
        rows = set(reader.rows("SELECT list, member FROM listed"))
        reader.close()
        return rows

    asyncio.run(begin())
    found = listed()
    assert len(found) == 2 + 2 + 3 + 3
    with contextlib.closing(sqlite3.connect(tmp_path / "ledger.sqlite")) as conn, conn:
        conn.executescript("DROP TABLE listed; DROP TABLE tree_page; CREATE TABLE tree (place BLOB, record BLOB); PRAGMA user_version = 1;")

    async def reopen() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE, now_s=lambda: TIME_S)
        await ledger.close()

    for _ in range(2):
        asyncio.run(reopen())
        assert listed() == found
