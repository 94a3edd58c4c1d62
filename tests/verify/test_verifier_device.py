"""The verifier's steps about the device: its key and life on the ledger, its signature, its reading, its meter and metering point."""

import pytest

from shared import state
from shared.types import Reading
from shared.verify import report
from shared.verify.evidence import encode_evidence_file
from shared.verify.verifier import verify_evidence
from tests.verify.refusals import refusal
from tests.verify.world import ORIGIN, START_S, Key, World

# --- device, signature


def test_never_enrolled():
    world = World()
    world.enrolled = False
    step, code, text = refusal(world)
    assert (step, code) == ("device", 320)
    assert "never enrolled" in text


def test_enrolled_with_another_key():
    world = World()
    parts = world.parts()
    other = World("other")
    other.device, other.validators, other.nodes, other.genesis = world.device, world.validators, world.nodes, world.genesis
    other.point, other.votes = world.point, world.votes
    statement, leaves = parts.statement, world.log_leaves()
    other.statement = lambda: statement  # the first device's statement in a ledger that knows only the other's key
    other.readings, other.salt = world.readings, world.salt
    assert leaves == other.log_leaves()
    assert refusal(other)[:2] == ("device", 320)


def test_enrolled_later():
    world = World()
    world.key_range, world.live = (6, None), [(6, None)]
    step, code, text = refusal(world)
    assert (step, code) == ("device", 321)
    assert "later" in text


def test_enrolled_in_the_very_block():
    world = World()
    world.key_range, world.live = (5, None), [(5, None)]
    assert verify_evidence(world.file(), world.policy()).trusted


@pytest.mark.parametrize(("status", "word"), [(state.REVOKED, "revoked"), (state.SUSPENDED, "suspended")])
def test_not_live_any_more(status, word):
    world = World()
    world.status, world.live = status, [(2, 5)]
    step, code, text = refusal(world)
    assert (step, code) == ("device", 321)
    assert word in text


def test_suspended_then_and_live_again():
    world = World()
    world.live = [(2, 4), (6, None)]
    step, code, text = refusal(world)
    assert (step, code) == ("device", 321)
    assert "suspended" in text


def test_revoked_afterwards_proves_and_says_till_when():
    world = World()
    world.status, world.live = state.REVOKED, [(2, 6)]
    found = verify_evidence(world.file(), world.policy())
    assert f"what happened on the ledger after block {world.block_height}" in report.cannot_prove(found)


def test_rotated_key():
    world = World()
    world.key_range = (2, 4)
    step, code, text = refusal(world)
    assert (step, code) == ("device", 321)
    assert "ended before" in text


def test_enrolled_for_another_log():
    world = World()
    world.device_origin = "example.org/other"
    assert refusal(world)[:2] == ("device", 324)
    assert ORIGIN in refusal(world)[2]


def test_signed_by_another_key_of_that_name():
    world = World()
    honest = world.device_signer
    forger = Key("forger")
    forger.kid, forger.cose_key = honest.kid, honest.cose_key
    world.device_signer = forger
    assert refusal(world)[:2] == ("signature", 201)


# --- reading, channel table, assignment


def test_swapped_reading_of_another_bundle():
    world, other = World(), World()
    other.readings = [Reading(r.seq, r.time_s, [v + 1 for v in r.registers], r.status) for r in other.readings]
    parts = other.parts()
    data = encode_evidence_file(world.parts()._replace(leaf=parts.leaf, path=parts.path))
    assert refusal(world, data)[:2] == ("reading", 210)


def test_neighbour_of_the_same_bundle_at_this_place():
    world = World()
    data = encode_evidence_file(world.parts(2)._replace(leaf=world.parts(3).leaf))
    assert refusal(world, data)[:2] == ("reading", 210)


@pytest.mark.parametrize("change", [{"first_seq": 101}, {"start_s": START_S + 121}])
def test_reading_that_does_not_fit_its_statement(change):
    world = World()
    world.statement_changes = change
    assert refusal(world)[:2] == ("reading", 248)


def test_first_reading_has_the_statement_s_time():
    world = World()
    world.statement_changes = {"start_s": START_S - 1}
    assert verify_evidence(world.file(2), world.policy()).trusted
    assert refusal(world, world.file(0))[:2] == ("reading", 248)


def test_other_channel_table():
    world, other = World(), World()
    other.table = other.table._replace(registers=[r._replace(exponent=3) for r in other.table.registers])
    data = encode_evidence_file(world.parts()._replace(channel_table=other.table_bytes()))
    assert refusal(world, data)[:2] == ("channel table", 247)


def test_channel_table_of_other_width():
    world = World()
    world.table = world.table._replace(registers=world.table.registers[:1])
    assert refusal(world)[:2] == ("channel table", 247)


@pytest.mark.parametrize("assigned", [(START_S + 121, None), (START_S - 60, START_S + 120)])
def test_not_assigned_at_the_reading_s_time(assigned):
    world = World()
    world.assigned = assigned
    assert refusal(world)[:2] == ("assignment", 325)


def test_assigned_in_that_very_second():
    world = World()
    world.assigned = (START_S + 120, START_S + 121)
    assert verify_evidence(world.file(2), world.policy()).trusted


def test_another_channel():
    world = World()
    world.statement_changes = {"channel": 1}
    assert refusal(world)[:2] == ("assignment", 325)


def test_assigned_for_another_meter():
    world = World()
    world.assigned_serial = "SN-0043"
    assert refusal(world)[:2] == ("assignment", 247)


def test_unsynced_clock_has_no_time_to_be_assigned_at():
    world = World()
    world.statement_changes = {"clock": 0, "start_s": 60}
    world.readings = [Reading(r.seq, 60 * (i + 1), r.registers, 5) for i, r in enumerate(world.readings)]
    world.assigned = (0, None)
    assert refusal(world)[:2] == ("assignment", 325)


# --- other kinds


def test_statement_without_readings():
    class Gap(World):
        def said(self):
            empty = dict.fromkeys(("channel", "first_seq", "count", "start_s", "clock", "channel_table", "root"))
            return super().said()._replace(kind="gap", lost=[[100, 5, None, 1]], **empty)

    assert refusal(Gap())[:2] == ("format", 231)
