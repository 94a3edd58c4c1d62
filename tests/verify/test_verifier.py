"""Every step of the verifier: what holds, and how each thing that can be wrong is named."""

import pytest

from shared import state
from shared.errors import MeterproofError
from shared.verify import report
from shared.verify.evidence import encode_evidence_file
from shared.verify.verifier import STEPS, failed_step, verify_evidence
from tests.verify.refusals import refusal
from tests.verify.world import START_S, Key, World


def test_every_step_in_the_order_of_the_spec():
    world = World()
    found = verify_evidence(world.file(), world.policy())
    assert [step.name for step in found.steps] == list(STEPS)
    assert found.trusted
    assert found.signers == world.policy().nodes
    assert found.key.kid == world.device_signer.kid
    assert found.assignment.point == world.point


def test_every_place_of_the_bundle():
    world = World()
    for place, reading in enumerate(world.readings):
        assert verify_evidence(world.file(place), world.policy()).opened.reading == reading


def test_without_policy_nothing_is_trusted():
    world = World()
    found = verify_evidence(world.file(), None)
    assert not found.trusted
    assert found.signers == []
    assert "NOT checked" in found.steps[1].proven
    assert any("--policy" in limit for limit in report.cannot_prove(found))


# --- checkpoint


def test_forgery_with_fresh_keys_is_consistent_but_fails_under_the_policy():
    honest, forger = World("honest"), World("forger")
    assert not verify_evidence(forger.file(), None).trusted
    assert refusal(forger, policy=honest.policy())[:2] == ("checkpoint", 240)


def test_forger_who_copies_the_genesis_fails_at_the_checkpoint():
    honest, forger = World("honest"), World("forger")
    forger.genesis = honest.genesis
    assert refusal(forger, policy=honest.policy())[:2] == ("checkpoint", 240)


def test_two_of_three_nodes():
    world = World()
    world.nodes = [Key("one"), Key("two"), Key("three")]
    policy = world.policy(need=2)
    world.nodes = world.nodes[:2]
    assert len(verify_evidence(world.file(), policy).signers) == 2
    parts = world.parts()
    body, lines = parts.checkpoint.split(b"\n\n")
    exchanged = body + b"\n\n" + b"".join(reversed(lines.splitlines(keepends=True)))
    assert refusal(world, encode_evidence_file(parts._replace(checkpoint=exchanged)), policy)[:2] == ("format", 130)
    world.nodes = world.nodes[:1]
    assert refusal(world, policy=policy)[:2] == ("checkpoint", 240)


def test_signature_nobody_counts_on_is_refused():
    world = World()
    policy = world.policy()
    world.nodes.append(Key("a stranger"))
    step, code, text = refusal(world, policy=policy)
    assert (step, code) == ("checkpoint", 240)
    assert "does not count on" in text


def test_wrong_signature_of_a_known_node():
    world = World()
    policy = world.policy()
    parts = world.parts()
    lines = parts.checkpoint.decode().split("\n")
    stranger = World()
    stranger.new_size, stranger.log_index = 9, 6  # another batch root, so another checkpoint, signed by the same node
    lines[-2] = stranger.checkpoint().decode().split("\n")[-2]
    data = encode_evidence_file(parts._replace(checkpoint="\n".join(lines).encode()))
    assert refusal(world, data, policy)[:2] == ("checkpoint", 201)


# --- block, genesis, state


def test_other_block_leaf():
    world = World()
    later = World()
    later.block_height = 7
    data = encode_evidence_file(world.parts()._replace(block_leaf=later.block_leaf()))
    assert refusal(world, data)[:2] == ("block", 210)


def test_other_chain():
    honest, other = World(), World()
    other.chain_id = "other-chain"
    step, code, text = refusal(other, policy=honest.policy())
    assert (step, code) == ("checkpoint", 240)
    assert "other-chain" in text


def test_block_of_another_chain_under_this_checkpoint():
    class Mixed(World):
        def block_leaf(self):
            leaf = state.decode_block_leaf(super().block_leaf())
            return state.encode_block_leaf(leaf._replace(chain_id="other-chain"))

    world = Mixed()
    assert refusal(world)[:2] == ("block", 241)
    passed = []
    with pytest.raises(MeterproofError):
        verify_evidence(world.file(), None, passed)
    assert failed_step(passed) == "block"


def test_other_genesis():
    world = World()
    policy = world.policy()._replace(genesis=bytes(32))
    assert refusal(world, policy=policy)[:2] == ("genesis", 242)


def test_other_params():
    world = World()
    other = state.encode_params(state.Params(bytes(32), 1))
    data = encode_evidence_file(world.parts()._replace(params=other))
    assert refusal(world, data)[:2] == ("genesis", 242)


@pytest.mark.parametrize("part", ["batch_value", "device_value"])
def test_value_of_another_state(part):
    world, other = World(), World()
    other.batch_height, other.votes = 4, [state.Vote(key.kid, 5, []) for key in other.validators]
    other.assigned = (START_S - 7200, None)
    data = encode_evidence_file(world.parts()._replace(**{part: getattr(other.parts(), part)}))
    assert refusal(world, data)[:2] == ("state", 220)


def test_batch_under_another_number_or_log():
    world = World()
    for change in ({"batch_number": 2}, {"origin": "example.org/other"}):
        data = encode_evidence_file(world.parts()._replace(**change))
        assert refusal(world, data)[:2] == ("state", 220)


def test_absence_claimed_for_an_enrolled_device():
    world = World()
    data = encode_evidence_file(world.parts()._replace(device_value=None))
    assert refusal(world, data)[:2] == ("state", 220)


# --- votes, log


def test_too_few_votes():
    world = World()
    world.votes = world.votes[:2]
    assert refusal(world)[:2] == ("votes", 243)


def test_objected_statement():
    world = World()
    world.votes = [state.Vote(key.kid, 6, [world.log_index]) for key in world.validators]
    assert refusal(world)[:2] == ("votes", 244)


def test_objection_to_another_statement_does_not_touch_this_one():
    world = World()
    world.votes = [state.Vote(key.kid, 6, [world.log_index + 1]) for key in world.validators]
    assert verify_evidence(world.file(), world.policy()).trusted


def test_statement_of_another_batch():
    world = World()
    world.old_size = world.log_index + 1
    assert refusal(world)[:2] == ("votes", 245)


def test_statement_not_at_that_place_of_the_log():
    world = World()
    data = encode_evidence_file(world.parts()._replace(log_index=world.log_index + 1))
    assert refusal(world, data)[:2] == ("log", 210)
