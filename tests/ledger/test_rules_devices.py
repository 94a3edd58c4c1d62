"""Enrolment, assignment, suspension, revocation, equivocation."""

import pytest

from shared import state
from shared.errors import RuleError
from shared.state import LIVE, REVOKED, SUSPENDED, Assignment
from tests.ledger.world import (
    ADMIN,
    EVIDENCE,
    FIRMWARE,
    INSTALLER,
    NODE,
    OPERATOR,
    ORG,
    ORIGIN,
    TABLE_HASH,
    TIME_S,
    World,
    assignment,
    key_of,
    readings,
    ueid,
)

ANN = key_of("ann")
WHY = {1: ueid("d"), 2: "why"}


@pytest.fixture
def world() -> World:
    world = World()
    world.enroll("d")
    return world


def test_enrolment_records_everything(world: World) -> None:
    device = world.device("d")
    height = world.core.head.height
    assert (device.org, device.origin, device.status, device.firmware, device.evidence) == (ORG, ORIGIN, LIVE, FIRMWARE, EVIDENCE)
    assert device.keys == [(key_of("d").kid, key_of("d").cose_key, 1, height, None)]
    assert device.live == [(height, None)] and device.equivocations == []
    (assigned,) = device.assignments
    assert (assigned.channel, assigned.serial, assigned.table_hash, assigned.from_s, assigned.to_s) == (0, "SN-1", TABLE_HASH, TIME_S, None)
    assert state.live_key_at(device, key_of("d").kid, height).tier == 1
    with pytest.raises(RuleError):
        state.live_key_at(device, key_of("d").kid, height - 1)


def test_enrolment_is_for_devices_the_ledger_never_saw(world: World) -> None:
    point = world.point()
    again = world.enroll_body("d", point, _2=key_of("another key").cose_key)
    assert world.refused(INSTALLER, "device.enroll", again) == 302
    world.do(OPERATOR, "device.revoke", WHY)
    assert world.refused(INSTALLER, "device.enroll", again) == 302


def test_enrolment_needs_role_origin_firmware_and_points(world: World) -> None:
    point = world.point()
    new = world.enroll_body("e", point)
    assert world.refused(OPERATOR, "device.enroll", new) == 301
    assert world.refused(NODE, "device.enroll", new) == 301
    assert world.refused(INSTALLER, "device.enroll", {**new, 5: "example.org/other"}) == 324
    assert world.refused(INSTALLER, "device.enroll", {**new, 4: b"?" * 32}) == 303
    assert world.refused(INSTALLER, "device.enroll", {**new, 6: [assignment(b"?" * 10)]}) == 303
    world.do(ADMIN, "firmware.withdraw", {1: FIRMWARE})
    assert world.refused(INSTALLER, "device.enroll", new) == 252


def test_enrolment_without_points_is_possible(world: World) -> None:
    world.do(ADMIN, "device.enroll", world.enroll_body("e", b"", _6=[]))
    assert world.device("e").assignments == []


def test_another_organization_touches_neither_device_nor_point(world: World) -> None:
    org = world.org("Second", ANN)
    foreign = world.point()
    own = world.point(ANN, org)
    assert world.refused(ANN, "device.assign", {1: ueid("d"), 2: assignment(own, from_s=TIME_S + 9)}, org) == 305
    assert world.refused(ANN, "device.enroll", world.enroll_body("e", foreign), org) == 305
    for kind in ("device.suspend", "device.resume", "device.revoke"):
        assert world.refused(ANN, kind, WHY, org) == 305
    world.do(ANN, "device.enroll", world.enroll_body("e", own), org)
    assert world.refused(INSTALLER, "device.assign", {1: ueid("e"), 2: assignment(foreign)}) == 305
    assert world.refused(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(own, from_s=TIME_S + 9)}) == 305


def test_an_assignment_ends_the_channels_earlier_one(world: World) -> None:
    first = world.device("d").assignments[0].point
    second = world.point()
    world.do(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(second, from_s=TIME_S + 100, serial="SN-2")})
    world.do(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(second, channel=1, from_s=5)})
    device = world.device("d")
    assert device.assignments == [
        Assignment(0, first, "SN-1", TABLE_HASH, TIME_S, TIME_S + 100),
        Assignment(0, second, "SN-2", TABLE_HASH, TIME_S + 100, None),
        Assignment(1, second, "SN-1", TABLE_HASH, 5, None),
    ]
    assert state.assignment_at(device, 0, TIME_S + 99).point == first
    assert state.assignment_at(device, 0, TIME_S + 100).point == second
    with pytest.raises(RuleError):
        state.assignment_at(device, 0, TIME_S - 1)


def test_assignments_never_go_back_in_time(world: World) -> None:
    point = world.point()
    assert world.refused(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(point, from_s=TIME_S - 1)}) == 306
    world.do(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(point, from_s=TIME_S)})
    device = world.device("d")
    assert [(item.from_s, item.to_s) for item in device.assignments] == [(TIME_S, TIME_S), (TIME_S, None)]
    assert state.assignment_at(device, 0, TIME_S).point == point, "the mistake is an empty range"
    assert world.refused(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(b"?" * 10, from_s=TIME_S + 1)}) == 303
    assert world.refused(INSTALLER, "device.assign", {1: ueid("x"), 2: assignment(point)}) == 303
    assert world.refused(OPERATOR, "device.assign", {1: ueid("d"), 2: assignment(point, from_s=TIME_S + 1)}) == 301


def test_suspend_and_resume_leave_half_open_ranges(world: World) -> None:
    enrolled = world.core.head.height
    world.do(OPERATOR, "device.suspend", WHY)
    suspended = world.core.head.height
    assert (world.device("d").status, world.device("d").live) == (SUSPENDED, [(enrolled, suspended)])
    assert world.refused(OPERATOR, "device.suspend", WHY) == 323
    world.do(ADMIN, "device.resume", WHY)
    resumed = world.core.head.height
    device = world.device("d")
    assert (device.status, device.live) == (LIVE, [(enrolled, suspended), (resumed, None)])
    assert world.refused(OPERATOR, "device.resume", WHY) == 306
    kid = key_of("d").kid
    assert state.live_key_at(device, kid, suspended - 1) and state.live_key_at(device, kid, resumed)
    with pytest.raises(RuleError) as caught:
        state.live_key_at(device, kid, suspended + 1)
    assert caught.value.code == 321


def test_suspended_in_the_block_of_its_enrolment_was_never_live() -> None:
    world = World()
    world.firmware()
    point = world.point()
    enrol = world.tx(INSTALLER, "device.enroll", world.enroll_body("d", point))
    block = world.block(enrol, world.tx(OPERATOR, "device.suspend", WHY), world.tx(ADMIN, "device.resume", WHY))
    assert [receipt.code for receipt in block.receipts] == [0, 0, 0]
    height = block.head.height
    assert world.device("d").live == [(height, height), (height, None)]


def test_a_revoked_device_stays_revoked(world: World) -> None:
    world.do(OPERATOR, "device.suspend", WHY)
    suspended = world.device("d").live
    world.do(OPERATOR, "device.revoke", WHY)
    assert (world.device("d").status, world.device("d").live) == (REVOKED, suspended)
    for kind in ("device.suspend", "device.resume", "device.revoke"):
        assert world.refused(OPERATOR, kind, WHY) == 322
    assert world.refused(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(world.point(), from_s=TIME_S + 1)}) == 322


@pytest.mark.parametrize("kind", ["device.suspend", "device.resume", "device.revoke"])
def test_only_operators_and_admins_decide_on_a_device(world: World, kind: str) -> None:
    assert world.refused(INSTALLER, kind, WHY) == 301
    assert world.refused(NODE, kind, WHY) == 301
    assert world.refused(OPERATOR, kind, {1: ueid("x"), 2: "why"}) == 303


def test_a_device_at_its_limits_is_not_resumed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ledger.rules_devices.LIVE_MAX", 2)
    monkeypatch.setattr("server.ledger.rules_devices.ASSIGNMENTS_MAX", 2)
    point = world.point()
    world.do(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(point, from_s=TIME_S + 1)})
    assert world.refused(INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(point, from_s=TIME_S + 2)}) == 306
    world.do(OPERATOR, "device.suspend", WHY)
    world.do(OPERATOR, "device.resume", WHY)
    world.do(OPERATOR, "device.suspend", WHY)
    assert world.refused(OPERATOR, "device.resume", WHY) == 306


# --- equivocation

A, B = readings("d", 0, 10), readings("d", 9, 10, root=b"s" * 32)


def proof(first: bytes = A, second: bytes = B, device: bytes | None = None) -> dict:
    return {1: device or ueid("d"), 2: first, 3: second}


def test_two_statements_for_one_sequence_suspend_the_device_until_a_person_resumes_it(world: World) -> None:
    world.do(NODE, "device.equivocation", proof())
    device, height = world.device("d"), world.core.head.height
    ((first, second, at),) = device.equivocations
    assert device.status == SUSPENDED and device.live[-1][1] == height == at and first < second
    assert world.refused(NODE, "device.equivocation", proof()) == 302
    assert world.refused(NODE, "device.equivocation", proof(B, A)) == 302, "the other order says the same"
    world.do(OPERATOR, "device.resume", WHY)
    world.do(NODE, "device.equivocation", proof(A, readings("d", 5, 1)))
    assert (world.device("d").status, len(world.device("d").equivocations)) == (SUSPENDED, 2)


def test_equivocation_is_recorded_but_revives_nobody(world: World) -> None:
    world.do(OPERATOR, "device.revoke", WHY)
    world.do(NODE, "device.equivocation", proof())
    assert (world.device("d").status, len(world.device("d").equivocations)) == (REVOKED, 1)


@pytest.mark.parametrize(
    ("why", "body"),
    [
        ("one statement twice", proof(A, A)),
        ("side by side", proof(A, readings("d", 10, 10))),
        ("side by side, other order", proof(readings("d", 10, 10), A)),
        ("signed by somebody else", proof(A, readings("d", 9, key=key_of("e")))),
        ("signature broken", proof(A, B[:-1] + bytes([B[-1] ^ 1]))),
        ("of another device", proof(A, readings("d", 9, device=ueid("e")))),
        ("of another device, both", proof(readings("d", device=ueid("e")), readings("d", 1, device=ueid("e")))),
        ("a gap is no reading", proof(A, readings("d", 0, 10, kind="gap"))),
        ("junk", proof(A, b"junk")),
        ("trailing byte", proof(A, B + b"\x00")),
    ],
)
def test_a_false_proof_suspends_nobody(world: World, why: str, body: dict) -> None:
    assert world.refused(NODE, "device.equivocation", body) == 326, why
    assert world.device("d").status == LIVE


def test_the_same_words_signed_twice_are_no_contradiction(world: World) -> None:
    """P-256 signs with fresh randomness: another signature, the same identity."""
    from shared import cose

    world.firmware()
    key = key_of("chip", cose.ES256)
    world.do(INSTALLER, "device.enroll", world.enroll_body("chip", world.point(), _2=key.cose_key, _3=3))
    first, second = (readings("chip", key=key) for _ in range(2))
    assert first != second
    assert world.refused(NODE, "device.equivocation", proof(first, second, ueid("chip"))) == 326
    world.do(NODE, "device.equivocation", proof(first, readings("chip", 3, key=key), ueid("chip")))


def test_only_nodes_post_proofs_and_only_of_known_devices(world: World) -> None:
    assert world.refused(OPERATOR, "device.equivocation", proof()) == 301
    assert world.refused(NODE, "device.equivocation", proof(device=ueid("x"))) == 303


def test_proofs_on_record_have_an_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ledger.rules_devices.EQUIVOCATIONS_MAX", 1)
    world.do(NODE, "device.equivocation", proof())
    assert world.refused(NODE, "device.equivocation", proof(A, readings("d", 5, 1))) == 306
    assert world.refused(OPERATOR, "device.resume", WHY) == 306, "so it cannot go on unrecorded"
