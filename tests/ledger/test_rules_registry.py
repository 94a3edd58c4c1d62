"""Organizations, people's keys, metering points, firmware."""

import pytest

from server.ledger.values import decode_firmware, decode_key, decode_org, decode_point
from shared import state
from tests.ledger.world import ADMIN, FIRMWARE, INSTALLER, NODE, OPERATOR, ORG, VALIDATORS, World, key_of

ANN, BOB = key_of("ann"), key_of("bob")


@pytest.fixture
def world() -> World:
    return World()


def key_value(world: World, kid: bytes):
    return decode_key(world.store.get(state.key_key(kid)))


def test_the_founders_make_an_organization_with_its_admin(world: World) -> None:
    org = world.org("Second", ANN)
    assert decode_org(world.store.get(state.org_key(org))).name == "Second"
    assert key_value(world, ANN.kid).roles == ("admin",)
    world.do(ANN, "key.add", {1: BOB.cose_key, 2: ["installer"], 3: "bob"}, org)


def test_nobody_else_makes_organizations(world: World) -> None:
    body = {1: "Third", 2: BOB.cose_key, 3: "bob"}
    org = world.org("Second", ANN)
    assert world.refused(ANN, "org.create", body, org) == 305
    assert world.refused(INSTALLER, "org.create", body) == 301
    assert world.refused(ADMIN, "org.create", {**body, 2: ANN.cose_key}) == 302


def test_keys_are_added_with_their_roles(world: World) -> None:
    world.do(ADMIN, "key.add", {1: ANN.cose_key, 2: ["installer", "operator"], 3: "Ann"})
    value = key_value(world, ANN.kid)
    assert (value.org, value.roles, value.name, value.from_height, value.to_height) == (ORG, ("installer", "operator"), "Ann", 1, None)
    world.point(ANN)


@pytest.mark.parametrize("key", [INSTALLER, OPERATOR, NODE, VALIDATORS["v1"]])
def test_only_admins_add_and_revoke_keys(world: World, key) -> None:
    assert world.refused(key, "key.add", {1: ANN.cose_key, 2: ["admin"], 3: "Ann"}) == 301
    assert world.refused(key, "key.revoke", {1: INSTALLER.kid}) == 301


def test_a_key_is_added_once_ever(world: World) -> None:
    world.do(ADMIN, "key.add", {1: ANN.cose_key, 2: ["admin"], 3: "Ann"})
    assert world.refused(ADMIN, "key.add", {1: ANN.cose_key, 2: ["operator"], 3: "Ann"}) == 302
    world.do(ADMIN, "key.revoke", {1: ANN.kid})
    assert world.refused(ADMIN, "key.add", {1: ANN.cose_key, 2: ["operator"], 3: "Ann"}) == 302


def test_revoking_ends_the_range_and_keeps_it(world: World) -> None:
    world.do(ADMIN, "key.add", {1: ANN.cose_key, 2: ["operator"], 3: "Ann"})
    world.do(ADMIN, "key.revoke", {1: ANN.kid})
    value = key_value(world, ANN.kid)
    assert (value.from_height, value.to_height) == (1, 2)
    assert value.live_at(1) and not value.live_at(2) and not value.live_at(0)
    assert world.refused(ADMIN, "key.revoke", {1: ANN.kid}) == 307
    assert world.refused(ADMIN, "key.revoke", {1: BOB.kid}) == 303


def test_an_organization_keeps_its_last_admin(world: World) -> None:
    assert world.refused(ADMIN, "key.revoke", {1: ADMIN.kid}) == 304
    world.do(ADMIN, "key.add", {1: ANN.cose_key, 2: ["admin"], 3: "Ann"})
    world.do(ANN, "key.revoke", {1: ADMIN.kid})
    assert world.refused(ANN, "key.revoke", {1: ANN.kid}) == 304, "the first is revoked and does not count"


def test_an_admin_of_another_organization_does_not_count_as_the_last(world: World) -> None:
    world.org("Second", ANN)
    assert world.refused(ADMIN, "key.revoke", {1: ADMIN.kid}) == 304


def test_two_admins_revoking_each_other_leave_one(world: World) -> None:
    world.do(ADMIN, "key.add", {1: ANN.cose_key, 2: ["admin"], 3: "Ann"})
    block = world.block(world.tx(ADMIN, "key.revoke", {1: ANN.kid}), world.tx(ANN, "key.revoke", {1: ADMIN.kid}))
    assert [receipt.code for receipt in block.receipts] == [0, 307]


def test_keys_of_another_organization_are_out_of_reach(world: World) -> None:
    org = world.org("Second", ANN)
    assert world.refused(ANN, "key.revoke", {1: ADMIN.kid}, org) == 305
    assert world.refused(ADMIN, "key.revoke", {1: ANN.kid}) == 305
    assert world.refused(ANN, "point.create", {1: "roof", 2: None, 3: "UTC"}) == 305


def test_points_have_parents_in_their_organization(world: World) -> None:
    site = world.point()
    child = world.point(INSTALLER, parent=site)
    value = decode_point(world.store.get(state.point_key(child)))
    assert (value.org, value.parent, value.zone) == (ORG, site, "Europe/Prague")
    org = world.org("Second", ANN)
    assert world.refused(ANN, "point.create", {1: "x", 2: site, 3: "UTC"}, org) == 305
    assert world.refused(ADMIN, "point.create", {1: "x", 2: b"?" * 10, 3: "UTC"}) == 303
    assert world.refused(OPERATOR, "point.create", {1: "x", 2: None, 3: "UTC"}) == 301


def test_firmware_is_added_and_withdrawn_once(world: World) -> None:
    body = {1: FIRMWARE, 2: "edge", 3: "1.0"}
    assert world.refused(INSTALLER, "firmware.add", body) == 301
    world.do(ADMIN, "firmware.add", body)
    assert world.refused(ADMIN, "firmware.add", body) == 302
    org = world.org("Second", ANN)
    assert world.refused(ANN, "firmware.withdraw", {1: FIRMWARE}, org) == 305
    assert world.refused(INSTALLER, "firmware.withdraw", {1: FIRMWARE}) == 301
    assert world.refused(ADMIN, "firmware.withdraw", {1: b"?" * 32}) == 303
    world.do(ADMIN, "firmware.withdraw", {1: FIRMWARE})
    value = decode_firmware(world.store.get(state.firmware_key(FIRMWARE)))
    assert (value.name, value.version) == ("edge", "1.0") and value.to_height == world.core.head.height
    assert world.refused(ADMIN, "firmware.withdraw", {1: FIRMWARE}) == 306
    assert world.refused(ADMIN, "firmware.add", body) == 302
