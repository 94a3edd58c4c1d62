"""Every byte of an evidence file matters: three mutations of each are refused, each with a step named."""

import pytest

from shared.errors import FAMILIES, MeterproofError
from shared.verify.verifier import STEPS, failed_step, verify_evidence
from tests.verify.world import Key, World

MUTATIONS = {"+1": lambda byte: (byte + 1) & 0xFF, "^0x80": lambda byte: byte ^ 0x80, "0": lambda byte: 0}


def steps_that_refuse(data, policy, mutate):
    """The step that refused each changed file; fails on the first one that was believed."""
    refusing = set()
    for at, byte in enumerate(data):
        if mutate(byte) == byte:
            continue
        changed = bytearray(data)
        changed[at] = mutate(byte)
        passed = []
        try:
            verify_evidence(bytes(changed), policy, passed)
        except MeterproofError as error:
            refusing.add(failed_step(passed))
            assert error.text.startswith(failed_step(passed) + ": ")
            assert isinstance(error, FAMILIES[error.code // 100])
        else:
            pytest.fail(f"byte {at} was changed and nobody noticed")
    return refusing


@pytest.mark.parametrize("name", MUTATIONS)
def test_every_byte(name):
    world = World()
    refusing = steps_that_refuse(world.file(), world.policy(), MUTATIONS[name])
    # The two that make no text of the checkpoint any more are refused before its signature is looked at.
    expected = {"format", "block", "state", "log", "reading"} | ({"checkpoint"} if name == "+1" else set())
    assert expected <= refusing <= set(STEPS)


def test_every_byte_with_two_signatures_and_an_empty_path():
    world = World()
    world.nodes = [Key("one"), Key("two")]
    world.readings = world.readings[:1]
    assert steps_that_refuse(world.file(0), world.policy(need=1), MUTATIONS["+1"]) <= set(STEPS)


def test_every_byte_of_a_proof_of_absence():
    world = World()
    world.enrolled = False
    data, policy = world.file(), world.policy()
    passed = []
    with pytest.raises(MeterproofError) as caught:
        verify_evidence(data, policy, passed)
    assert caught.value.code == 320
    refusing = steps_that_refuse(data, policy, MUTATIONS["^0x80"])
    assert "assignment" not in refusing


def test_every_truncation():
    world = World()
    data, policy = world.file(), world.policy()
    for end in range(len(data)):
        with pytest.raises(MeterproofError):
            verify_evidence(data[:end], policy)
