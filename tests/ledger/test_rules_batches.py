"""Batches: evidence logs only grow. Votes: who vouches, and objections that are true or false."""

import pytest

from server.ledger.values import decode_log
from shared import cose, merkle, state
from shared.errors import VerifyError
from tests.ledger.world import (
    ADMIN,
    INSTALLER,
    NODE,
    OPERATOR,
    ORG,
    ORIGIN,
    VALIDATORS,
    World,
    key_of,
    readings,
    ueid,
)

V1, V2, V3 = (VALIDATORS[name] for name in ("v1", "v2", "v3"))
WHY = {1: ueid("d"), 2: "why"}


def entries(first: int, count: int) -> list[bytes]:
    return [readings("d", 10 * i) for i in range(first, first + count)]


@pytest.fixture
def world() -> World:
    world = World()
    world.enroll("d")
    return world


def log(world: World):
    return decode_log(world.store.get(state.log_key(ORIGIN)))


# --- batches


def test_batches_make_the_log_grow(world: World) -> None:
    assert world.anchor(*entries(0, 3)) == 0
    assert world.anchor(*entries(3, 4)) == 1
    assert world.anchor(*entries(7, 1)) == 2
    head, batch = log(world), world.batch(1)
    assert (head.size, head.batches, head.root) == (8, 3, merkle.root([merkle.leaf_hash(entry) for entry in world.log]))
    assert (batch.old_size, batch.new_size, batch.votes) == (3, 7, [])
    assert batch.snapshot == sorted((key.kid, power) for key, power in ((V1, 5), (V2, 3), (V3, 2)))


def test_only_the_logs_own_node_anchors(world: World) -> None:
    body = world.batch_body(entries(0, 1))
    assert world.refused(ADMIN, "batch", body) == 301
    other = key_of("other node")
    world.do(ADMIN, "key.add", {1: other.cose_key, 2: ["node"], 3: "other"})
    assert world.refused(other, "batch", body) == 301
    assert world.refused(NODE, "batch", {**body, 1: "example.org/unknown"}) == 303


def test_a_batch_starts_where_the_log_ends_and_adds_something(world: World) -> None:
    world.anchor(*entries(0, 3))
    body = world.batch_body(entries(3, 2))
    for old, new in ((0, 5), (2, 5), (4, 5), (3, 3), (3, 2), (5, 5)):
        assert world.refused(NODE, "batch", {**body, 2: old, 3: new}) == 340
    root = log(world).root
    assert world.refused(NODE, "batch", {1: ORIGIN, 2: 3, 3: 3, 4: root, 5: []}) == 340
    world.do(NODE, "batch", body)
    assert world.refused(NODE, "batch", body) == 340


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 3), (3, 5), (4, 8), (5, 13), (7, 8), (8, 9)])
def test_a_log_that_changed_its_past_is_refused(world: World, old: int, new: int) -> None:
    world.anchor(*entries(0, old))
    honest = world.batch_body(entries(old, new - old))
    for at in range(old):
        world.log[at] = readings("d", 5000 + at)  # a rewritten entry, with the best proof a liar can make
        assert world.refused(NODE, "batch", world.batch_body(entries(old, new - old))) == 340
        world.log[at] = entries(at, 1)[0]
    for proof in forgeries(honest[5]):
        assert world.refused(NODE, "batch", {**honest, 5: proof}) == 340
    assert world.refused(NODE, "batch", {**honest, 4: b"?" * 32}) == 340
    assert world.refused(NODE, "batch", {**honest, 3: 2 * new + 1}) == 340, "the proof does not fit that size"
    world.do(NODE, "batch", honest)


def test_sizes_that_share_a_path_differ_by_more_than_the_proof_can_tell(world: World) -> None:
    """RFC 9162 hashes no sizes: 4 → 7 and 4 → 8 walk alike. A node that lies so harms itself alone: nothing in that batch can be proven by
    the paths of its tree, no validator can vouch for it, and its log can never grow again."""
    world.anchor(*entries(0, 4))
    world.do(NODE, "batch", {**world.batch_body(entries(4, 3)), 3: 8})
    leaves = [merkle.leaf_hash(entry) for entry in entries(0, 9)]
    with pytest.raises(VerifyError):
        merkle.verify_inclusion(6, 8, leaves[6], merkle.inclusion_path(6, leaves[:7]), world.batch(1).root)
    world.log, world.anchored = entries(0, 8), 8
    assert world.refused(NODE, "batch", world.batch_body(entries(8, 1))) == 340


def forgeries(proof: list[bytes]) -> list[list[bytes]]:
    """Proofs that differ from the right one in one way each."""
    wrong = [proof + [b"x" * 32], [b"x" * 32] + proof, proof[:-1], proof[1:], []]
    wrong += [proof[:i] + [bytes([step[0] ^ 1]) + step[1:]] + proof[i + 1 :] for i, step in enumerate(proof)]
    wrong += [proof[::-1]] if len(proof) > 1 else []
    return [item for item in wrong if item != proof]


def test_the_first_batch_carries_no_proof(world: World) -> None:
    body = world.batch_body(entries(0, 2))
    assert world.refused(NODE, "batch", {**body, 5: [b"x" * 32]}) == 340
    world.do(NODE, "batch", body)


# --- votes


def counts(world: World, number: int, index: int) -> int:
    """0 when a statement counts, else the code."""
    try:
        state.check_counts(world.batch(number), index)
    except VerifyError as error:
        return error.code
    return 0


def test_more_than_two_thirds_of_unequal_power_must_vote(world: World) -> None:
    number = world.anchor(*entries(0, 2))
    assert counts(world, number, 0) == 243
    world.do(V1, "vote", world.vote_body(number))
    assert counts(world, number, 0) == 243, "5 of 10"
    world.do(V3, "vote", world.vote_body(number))
    assert counts(world, number, 0) == 0, "7 of 10: 21 > 20"
    world.do(V2, "vote", world.vote_body(number))
    assert [vote.kid for vote in world.batch(number).votes] == sorted(key.kid for key in (V1, V2, V3))


def test_exactly_two_thirds_is_not_enough() -> None:
    batch = state.BatchValue(0, 1, b"r" * 32, 1, [state.Power(b"a" * 16, 2), state.Power(b"b" * 16, 1)], [state.Vote(b"a" * 16, 2, [])])
    with pytest.raises(VerifyError) as caught:
        state.check_counts(batch, 0)
    assert caught.value.code == 243


def test_an_objection_excludes_one_statement(world: World) -> None:
    number = world.anchor(*entries(0, 3))
    world.do(V1, "vote", world.vote_body(number, world.objection(1, 233)))
    world.do(V2, "vote", world.vote_body(number))
    world.do(V3, "vote", world.vote_body(number))
    assert [counts(world, number, index) for index in range(3)] == [0, 244, 0]
    assert world.batch(number).votes[[vote.kid for vote in world.batch(number).votes].index(V1.kid)].objected == [1]


def test_an_objection_of_small_power_does_not_exclude(world: World) -> None:
    number = world.anchor(*entries(0, 1))
    world.do(V1, "vote", world.vote_body(number))
    world.do(V2, "vote", world.vote_body(number))
    world.do(V3, "vote", world.vote_body(number, world.objection(0, 232)))
    assert counts(world, number, 0) == 0


def test_a_vote_is_due_once_and_from_the_snapshot(world: World) -> None:
    number = world.anchor(*entries(0, 1))
    body = world.vote_body(number)
    assert world.refused(NODE, "vote", body) == 301
    assert world.refused(V1, "vote", {**body, 2: 1}) == 303
    assert world.refused(V1, "vote", {**body, 1: "example.org/unknown"}) == 303
    assert world.refused(V1, "vote", {**body, 3: b"?" * 32}) == 306
    late = key_of("late validator")
    world.do(ADMIN, "key.add", {1: late.cose_key, 2: ["validator"], 3: "late"})
    assert world.refused(late, "vote", body) == 341
    world.do(V1, "vote", body)
    assert world.refused(V1, "vote", body) == 341


def test_a_validator_whose_key_was_revoked_votes_no_more_but_its_votes_stay(world: World) -> None:
    first, second = world.anchor(*entries(0, 1)), world.anchor(*entries(1, 1))
    world.do(V1, "vote", world.vote_body(first))
    world.do(ADMIN, "key.revoke", {1: V1.kid})
    assert world.refused(V1, "vote", world.vote_body(second)) == 307
    world.do(V3, "vote", world.vote_body(first))
    assert counts(world, first, 0) == 0


# --- objections that can be checked


def stranger_log(world: World) -> dict[str, int]:
    """One batch holding one statement of every kind; names give their places."""
    good = readings("d")
    world.do(INSTALLER, "device.enroll", world.enroll_body("gone", world.point()))
    world.do(OPERATOR, "device.revoke", {1: ueid("gone"), 2: "why"})
    kinds = {
        "good": good,
        "junk": b"not a statement",
        "too long": good + bytes(3000),
        "bad signature": readings("d", 50)[:-1] + b"\x00",
        "stranger": readings("stranger"),
        "wrong key": readings("d", 60, key=key_of("stolen")),
        "revoked": readings("gone"),
        "revoked and forged": readings("gone", 70)[:-1] + b"\x00",
        "later": readings("later"),
    }
    world.anchor(*kinds.values())
    world.do(INSTALLER, "device.enroll", world.enroll_body("later", world.point()))
    return {name: place for place, name in enumerate(kinds)}


TRUE = {
    "junk": {231},
    "too long": {231},
    "bad signature": {201},
    "stranger": {320},
    "wrong key": {320},
    "revoked": {321},
    "revoked and forged": {321, 201},
    "later": {321},
    "good": set(),
}


@pytest.mark.parametrize("name", TRUE)
def test_true_objections_stand_and_false_ones_are_refused(world: World, name: str) -> None:
    place = stranger_log(world)[name]
    for code in (201, 231, 320, 321):
        body = world.vote_body(0, world.objection(place, code))
        if code not in TRUE[name]:
            assert world.refused(V1, "vote", body) == 342, code
            assert world.batch(0).votes == []
    for voter, code in zip((V1, V2), sorted(TRUE[name]), strict=False):
        world.do(voter, "vote", world.vote_body(0, world.objection(place, code)))
        assert world.batch(0).votes[-1].objected == [place] or len(world.batch(0).votes) == 2


@pytest.mark.parametrize("code", [232, 233])
def test_rows_are_the_validators_word(world: World, code: int) -> None:
    place = stranger_log(world)["good"]
    world.do(V1, "vote", world.vote_body(0, world.objection(place, code)))


@pytest.mark.parametrize("code", [100, 211, 252, 300, 322, 499])
def test_other_codes_are_no_objection(world: World, code: int) -> None:
    stranger_log(world)
    assert world.refused(V1, "vote", world.vote_body(0, world.objection(1, code))) == 342


def test_an_objection_names_a_statement_of_this_batch(world: World) -> None:
    world.anchor(b"junk 0", b"junk 1")
    world.anchor(b"junk 2", b"junk 3")
    index, code, data, path = world.objection(2, 231)
    wrong = [
        world.objection(1, 231),  # of the batch before
        [4, code, data, path],  # beyond it
        [3, code, data, path],  # another place
        [index, code, b"other junk", path],
        [index, code, data, path[:-1]],
        [index, code, data, [*path, b"x" * 32]],
        [index, code, data, [b"x" * 32, *path[1:]]],
        [index, code, data, []],
        world.objection(2, 231, size=3),  # a path in a smaller tree
    ]
    for objection in wrong:
        assert world.refused(V1, "vote", world.vote_body(1, objection)) == 342
    world.do(V1, "vote", world.vote_body(1, [index, code, data, path], world.objection(3, 231)))
    assert world.batch(1).votes[0].objected == [2, 3]


def test_one_false_objection_spoils_the_whole_vote(world: World) -> None:
    places = stranger_log(world)
    objections = sorted([world.objection(places["good"], 201), world.objection(places["junk"], 231)])
    assert world.refused(V1, "vote", world.vote_body(0, *objections)) == 342
    assert world.batch(0).votes == []


def test_sixty_four_objections_are_the_most(world: World) -> None:
    world.anchor(*(b"junk %d" % i for i in range(70)))
    world.do(V1, "vote", world.vote_body(0, *(world.objection(i, 231) for i in range(64))))
    assert len(world.batch(0).votes[0].objected) == 64


def test_a_device_live_at_anchoring_and_revoked_before_the_vote_is_no_reason(world: World) -> None:
    world.anchor(readings("d"))
    world.do(OPERATOR, "device.revoke", WHY)
    assert world.refused(V1, "vote", world.vote_body(0, world.objection(0, 321))) == 342
    world.do(V1, "vote", world.vote_body(0))


def test_a_chip_whose_s_is_high_has_a_wrong_signature(world: World) -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    chip = key_of("chip", cose.ES256)
    world.do(INSTALLER, "device.enroll", world.enroll_body("chip", world.point(), _2=chip.cose_key))
    data = readings("chip", key=chip)
    high = data[:-32] + (order - int.from_bytes(data[-32:], "big")).to_bytes(32, "big")
    world.anchor(data, high)
    assert world.refused(V1, "vote", world.vote_body(0, world.objection(0, 201))) == 342
    world.do(V1, "vote", world.vote_body(0, world.objection(1, 201)))
    assert ORG and world.batch(0).votes[0].objected == [1]
