"""shared/state: values at both ends of every limit, and what follows from them. The golden files hold the malformed bytes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cbor, cose, state
from shared.errors import DecodeError, MeterproofError, RuleError, VerifyError
from shared.state import Assignment, BlockLeaf, DeviceKey, Params, Receipt
from tests.shared.makers import INT64_MAX, KEY, KID, batch_value, code_of, device_value
from tests.shared.strategies import mutations

LEAF = BlockLeaf("demo-chain", 7, 1_700_000_000, 41, bytes(32), bytes(31) + b"\x01")
RECEIPT = Receipt(bytes(32), 7, 0, 0, [(b"a", bytes(32)), (b"b", bytes(32))])


def key_of(i: int, from_height: int = 5, to_height: int | None = None) -> DeviceKey:
    cose_key = cose.encode_key_ed25519(i.to_bytes(32, "big"))
    return DeviceKey(cose.kid_of(cose_key), cose_key, 1, from_height, to_height)


def assigned(channel: int, from_s: int, to_s: int | None) -> Assignment:
    return Assignment(channel, bytes(10), "0815", bytes(32), from_s, to_s)


# --- device


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"keys": [key_of(i) for i in range(16)]},
        {"keys": [key_of(1, 5, 9), key_of(2, 9, None)]},
        {"keys": [key_of(1, 5, 5)]},
        {"status": state.SUSPENDED, "live": [(5, 9)]},
        {"status": state.REVOKED, "live": [(5, 5)]},  # in the block that enrolled it
        {"live": [(5, 9), (9, None)]},
        {"live": [(2 * i + 1, 2 * i + 2) for i in range(255)] + [(600, None)]},
        {"assignments": []},
        {"assignments": [assigned(i, 0, None) for i in range(256)]},
        {"assignments": [assigned(0, 5, 9), assigned(0, 9, None), assigned(1, 3, 4)]},
        {"equivocations": [(bytes(32), b"\x01" * 32, 6 + i // 2) for i in range(1)]},
        {"equivocations": [(bytes(32), i.to_bytes(32, "big"), 6) for i in range(1, 65)]},
        {"origin": "x" * 128},
    ],
)
def test_device_value_allowed(changes: dict) -> None:
    value = device_value(**changes)
    assert state.decode_device_value(state.encode_device_value(value)) == value


@pytest.mark.parametrize(
    "changes",
    [
        {"org": bytes(9)},
        {"origin": ""},
        {"keys": []},
        {"keys": [key_of(i) for i in range(17)]},
        {"keys": [key_of(1), key_of(1)]},
        {"keys": [key_of(1, 9), key_of(2, 5)]},
        {"keys": [key_of(1, 0)]},
        {"keys": [key_of(1, 5, 4)]},
        {"keys": [key_of(1)._replace(kid=KID)]},
        {"keys": [key_of(1)._replace(tier=4)]},
        {"status": 0},
        {"status": 4},
        {"status": state.SUSPENDED},
        {"live": []},
        {"live": [(5, 9)]},
        {"live": [(5, 9), (8, None)]},
        {"live": [(5, None), (9, None)]},
        {"live": [(0, None)]},
        {"live": [(2 * i + 1, 2 * i + 2) for i in range(256)] + [(600, None)]},
        {"assignments": [assigned(i % 256, i, i + 1) for i in range(257)]},
        {"assignments": [assigned(256, 0, None)]},
        {"assignments": [assigned(0, 5, 9), assigned(0, 8, None)]},
        {"assignments": [assigned(0, 5, None), assigned(0, 8, None)]},
        {"assignments": [assigned(0, 5, 4)]},
        {"assignments": [assigned(0, 5, None)._replace(point=bytes(9))]},
        {"assignments": [assigned(0, 5, None)._replace(serial="x" * 257)]},
        {"firmware": bytes(31)},
        {"evidence": None},
        {"equivocations": [(bytes(32), bytes(32), 6)]},
        {"equivocations": [(bytes(32), b"\x01" * 32, 6), (b"\x01" * 32, bytes(32), 7)]},
        {"equivocations": [(bytes(32), b"\x01" * 32, 7), (bytes(32), b"\x02" * 32, 6)]},
        {"equivocations": [(bytes(32), i.to_bytes(32, "big"), 6) for i in range(1, 66)]},
        {"equivocations": [(bytes(32), b"\x01" * 32, 0)]},
    ],
)
def test_device_value_refused(changes: dict) -> None:
    assert code_of(state.encode_device_value, device_value(**changes)) == 108


def test_assignments_are_put_in_order() -> None:
    rows = [assigned(1, 3, 4), assigned(0, 9, None), assigned(0, 5, 9), assigned(0, 5, 5)]
    value = state.decode_device_value(state.encode_device_value(device_value(assignments=rows)))
    assert value.assignments == [assigned(0, 5, 5), assigned(0, 5, 9), assigned(0, 9, None), assigned(1, 3, 4)]


@pytest.mark.parametrize(
    ("height", "code"),
    [(4, 321), (5, 0), (8, 0), (9, 321), (11, 321), (12, 0), (19, 0), (20, 321), (10**9, 321)],
)
def test_live_key_at(height: int, code: int) -> None:
    value = device_value(status=state.REVOKED, live=[(5, 9), (12, 20)])
    if code:
        with pytest.raises(RuleError) as caught:
            state.live_key_at(value, KID, height)
        assert caught.value.code == code
        reason = "enrolled later" if height < 5 else "suspended before, at height 9" if height < 20 else "revoked before, at height 20"
        assert reason in caught.value.text
    else:
        assert state.live_key_at(value, KID, height).cose_key == KEY


def test_key_that_is_not_the_devices_or_not_any_more() -> None:
    value = device_value(keys=[key_of(1, 5, 9), key_of(2, 9, None)])
    first, second = value.keys
    assert state.live_key_at(value, first.kid, 8) == first and state.live_key_at(value, second.kid, 9) == second
    assert code_of(state.live_key_at, value, first.kid, 9) == 321
    assert code_of(state.live_key_at, value, second.kid, 8) == 321
    assert code_of(state.live_key_at, value, KID, 9) == 320
    assert code_of(state.live_key_at, None, KID, 9) == 320


@pytest.mark.parametrize(
    ("channel", "time_s", "place"),
    [(0, 5, 0), (0, 8, 0), (0, 9, 1), (0, 10**9, 1), (1, 3, 2), (0, 4, None), (1, 4, None), (1, 2, None), (2, 5, None)],
)
def test_assignment_at(channel: int, time_s: int, place: int | None) -> None:
    value = device_value(assignments=[assigned(0, 5, 9), assigned(0, 9, None), assigned(1, 3, 4)])
    if place is None:
        assert code_of(state.assignment_at, value, channel, time_s) == 325
    else:
        assert state.assignment_at(value, channel, time_s) == value.assignments[place]


# --- batch


def test_batch_value_at_both_ends() -> None:
    full = batch_value((1,) * 100, tuple((i, tuple(range(100, 164))) for i in range(50)))
    for value in (batch_value(), batch_value(votes=()), full, batch_value((2**53,), ((0, (100, 199)),))):
        assert state.decode_batch_value(state.encode_batch_value(value)) == value


@pytest.mark.parametrize(
    "value",
    [
        batch_value((1,) * 101),
        batch_value((), ()),
        batch_value((0,), ()),
        batch_value((-1,), ()),
        batch_value((2**53 + 1,), ()),
        batch_value((True,), ()),
        batch_value(votes=((0, tuple(range(100, 165))),)),
        batch_value(votes=((0, (99,)),)),
        batch_value(votes=((0, (200,)),)),
        batch_value(votes=((0, (100, 100)),)),
        batch_value((1, 1), ((0, ()), (0, ()))),
        batch_value()._replace(new_size=100),
        batch_value()._replace(old_size=-1),
        batch_value()._replace(height=0),
        batch_value()._replace(height=9),  # after its vote
        batch_value()._replace(root=bytes(31)),
        batch_value()._replace(votes=[state.Vote(b"\x01" * 16, 8, [])]),
    ],
)
def test_batch_value_refused(value: state.BatchValue) -> None:
    assert code_of(state.encode_batch_value, value) == 108


def test_snapshot_and_votes_are_put_in_order() -> None:
    value = batch_value((1, 2, 3), ((2, (101, 100)), (0, ())))
    shuffled = value._replace(snapshot=value.snapshot[::-1])
    assert state.encode_batch_value(shuffled) == state.encode_batch_value(batch_value((1, 2, 3), ((0, ()), (2, (100, 101)))))


@given(st.lists(st.integers(1, 2**53) | st.integers(1, 3), min_size=1, max_size=7), st.data())
def test_counts_only_above_two_thirds(powers: list[int], data: st.DataObject) -> None:
    """The rule in fractions, beside the one in integers."""
    voters = data.draw(st.sets(st.integers(0, len(powers) - 1)))
    objectors = data.draw(st.sets(st.sampled_from(sorted(voters)))) if voters else set()
    value = batch_value(tuple(powers), tuple((i, (150,) if i in objectors else (151,)) for i in voters))
    voted = Fraction(sum(powers[i] for i in voters), sum(powers))
    agreed = Fraction(sum(powers[i] for i in voters - objectors), sum(powers))
    if agreed > Fraction(2, 3):
        state.check_counts(value, 150)
    else:
        assert code_of(state.check_counts, value, 150) == (243 if voted <= Fraction(2, 3) else 244)


def test_exactly_two_thirds_are_too_few() -> None:
    assert code_of(state.check_counts, batch_value((1, 1, 1), ((0, ()), (1, ()))), 100) == 243
    state.check_counts(batch_value((1, 1, 1), ((0, ()), (1, ()), (2, ()))), 100)
    assert code_of(state.check_counts, batch_value((1, 1, 1), ((0, ()), (1, ()), (2, (100,)))), 100) == 244
    large = 2**53 - 1
    assert code_of(state.check_counts, batch_value((large, large, large), ((0, ()), (1, ()))), 100) == 243
    state.check_counts(batch_value((large + 1, large, large - 1), ((0, ()), (1, ()))), 100)


@pytest.mark.parametrize("index", [99, 200, -1, 2**40])
def test_another_batch(index: int) -> None:
    assert code_of(state.check_counts, batch_value(), index) == 245


# --- the ledger log


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"index": 2**40},
        {"code": 300, "effects": []},
        {"code": 100, "effects": []},
        {"effects": []},
        {"effects": [(bytes([i]), bytes(32)) for i in range(64)]},
    ],
)
def test_receipt_allowed(changes: dict) -> None:
    receipt = RECEIPT._replace(**changes)
    assert state.decode_receipt(state.encode_receipt(receipt)) == receipt


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": bytes(31)},
        {"height": 0},
        {"index": -1},
        {"code": -1},
        {"code": 1, "effects": []},
        {"code": 99, "effects": []},
        {"code": 1000, "effects": []},
        {"code": True, "effects": []},
        {"code": 300},  # failed and changed something
        {"effects": [(b"a", bytes(32)), (b"a", bytes(32))]},
        {"effects": [(b"", bytes(32))]},
        {"effects": [(b"a", bytes(31))]},
        {"effects": [(bytes([i]), bytes(32)) for i in range(65)]},
    ],
)
def test_receipt_refused(changes: dict) -> None:
    assert code_of(state.encode_receipt, RECEIPT._replace(**changes)) == 108


def test_effects_are_put_in_order_but_must_be_in_order_to_be_read() -> None:
    data = state.encode_receipt(RECEIPT._replace(effects=RECEIPT.effects[::-1]))
    assert state.decode_receipt(data) == RECEIPT
    fields = cbor.decode(data)
    fields[5] = fields[5][::-1]
    assert code_of(state.decode_receipt, cbor.encode(fields)) == 108


@pytest.mark.parametrize(
    "changes", [{}, {"chain_id": "abc"}, {"chain_id": "a" * 40}, {"chain_id": "0-9"}, {"time_s": 0}, {"index": INT64_MAX}]
)
def test_block_leaf_allowed(changes: dict) -> None:
    leaf = LEAF._replace(**changes)
    assert state.decode_block_leaf(state.encode_block_leaf(leaf)) == leaf


@pytest.mark.parametrize(
    "changes",
    [
        {"chain_id": "ab"},
        {"chain_id": "a" * 41},
        {"chain_id": "Demo"},
        {"chain_id": "a b"},
        {"chain_id": "a_b"},
        {"chain_id": None},
        {"height": 0},
        {"time_s": -1},
        {"index": -1},
        {"state_root": bytes(31)},
        {"params_hash": bytes(33)},
    ],
)
def test_block_leaf_refused(changes: dict) -> None:
    assert code_of(state.encode_block_leaf, LEAF._replace(**changes)) == 108


def test_entries_of_the_ledger_log_are_never_both() -> None:
    assert code_of(state.decode_receipt, state.encode_block_leaf(LEAF)) == 108
    assert code_of(state.decode_block_leaf, state.encode_receipt(RECEIPT)) == 108


def test_params() -> None:
    assert state.decode_params(state.encode_params(Params(bytes(32), 1))) == Params(bytes(32), 1)
    for params in (Params(bytes(31), 1), Params(bytes(32), 2), Params(bytes(32), 0), Params(bytes(32), True)):
        assert code_of(state.encode_params, params) == 108


def test_no_two_state_keys_are_one() -> None:
    ten, sixteen, text = bytes(10), bytes(16), "x"
    keys = [
        state.PARAMS_KEY,
        state.VALIDATORS_KEY,
        state.org_key(ten),
        state.key_key(sixteen),
        state.nonce_key(sixteen),
        state.point_key(ten),
        state.firmware_key(bytes(32)),
        state.device_key(b"\x01" + sixteen),
        state.log_key(text),
        state.batch_key(text, 0),
        state.batch_key(text, 1),
    ]
    assert len(set(keys)) == len(keys)
    assert [cbor.decode(key)[0] for key in keys[2:9]] == ["org", "key", "nonce", "point", "firmware", "device", "log"]
    assert cbor.decode(state.batch_key(text, 300)) == ["batch", "x", 300]


CODECS = [
    (state.decode_params, state.encode_params, state.encode_params(Params(bytes(32), 1))),
    (
        state.decode_device_value,
        state.encode_device_value,
        state.encode_device_value(device_value(equivocations=[(bytes(32), b"\x01" * 32, 6)])),
    ),
    (state.decode_batch_value, state.encode_batch_value, state.encode_batch_value(batch_value((1, 2), ((0, (100,)), (1, ()))))),
    (state.decode_receipt, state.encode_receipt, state.encode_receipt(RECEIPT)),
    (state.decode_block_leaf, state.encode_block_leaf, state.encode_block_leaf(LEAF)),
]


@pytest.mark.parametrize(("decode", "encode", "good"), CODECS)
@given(data=st.data())
def test_any_bytes(decode, encode, good: bytes, data: st.DataObject) -> None:
    given_bytes = data.draw(st.binary(max_size=60) | mutations(st.just(good)))
    try:
        value = decode(given_bytes)
    except DecodeError:
        return
    assert encode(value) == given_bytes


@given(mutations(st.just(CODECS[1][2])), st.integers(0, 12), st.integers(0, 2**40))
def test_questions_to_any_value_have_typed_answers(data: bytes, height: int, time_s: int) -> None:
    try:
        value = state.decode_device_value(data)
        state.live_key_at(value, KID, height)
        found = state.assignment_at(value, 0, time_s)
    except MeterproofError as error:
        assert isinstance(error, (DecodeError, RuleError)) and not isinstance(error, VerifyError)
        return
    assert found.from_s <= time_s
