"""server/evidence/opening gives what shared/statement and shared/cose give for every input: the same parts, or the same error."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.evidence import opening
from server.keystore import SigningKey, sign_object
from shared import cbor, cose, statement
from shared.errors import MeterproofError, VerifyError
from tests.evidence.fleet import Device, key_of
from tests.independent.make_vectors import VECTORS
from tests.micropython import checks_golden
from tests.shared.strategies import INTEGERS, SCALARS, mutations

DEVICE = Device("opening")
READINGS = DEVICE.readings(5).statement
REPAIR = DEVICE.time_repair().statement
SECOND = DEVICE.readings(7).statement
SECURE = Device("secure", alg=cose.ES256).readings(3).statement
PARTS = cbor.decode(SECOND).value


def outcome(call, *arguments: object) -> object:
    try:
        return call(*arguments)
    except MeterproofError as error:
        return type(error), error.code


def agree(data: bytes) -> object:
    ours, fast = outcome(statement.open_statement, data), outcome(opening.open_statement, data)
    assert ours == fast and repr(ours) == repr(fast), data.hex()
    return fast


@pytest.mark.parametrize("data", [READINGS, SECOND, SECURE])
def test_statements_of_readings_never_need_the_reference(data: bytes) -> None:
    assert opening._open(data) == agree(data)


def test_other_kinds_are_left_to_it() -> None:
    assert opening._open(REPAIR) is None and agree(REPAIR)[1].kind == "time-repair"


def test_golden_statements() -> None:
    cases = [case for case in json.loads((VECTORS / "statement.json").read_text())["cases"] if case["do"] == "statement"]
    for case in cases:
        agree(checks_golden.unwrap(case["input"]))
    assert len(cases) > 300


@given(mutations(st.sampled_from([READINGS, SECOND, SECURE])))
@settings(max_examples=500)
def test_changed_bytes(data: bytes) -> None:
    agree(data)


def test_every_cut_and_every_flipped_byte() -> None:
    for at in range(len(SECOND)):
        agree(SECOND[:at])
        for mask in (0x01, 0x20, 0x80, 0xFF):
            agree(SECOND[:at] + bytes([SECOND[at] ^ mask]) + SECOND[at + 1 :])


ODD = st.one_of(
    INTEGERS, SCALARS, st.sampled_from([0, 1, 2, 4, 5, 255, 256, 1024, 1025, 2**63 - 1, 2**63]), st.binary(min_size=17, max_size=17)
)


@given(st.lists(st.tuples(st.integers(0, 14), ODD), min_size=1, max_size=3), st.booleans())
@settings(max_examples=500)
def test_changed_fields(changes: list[tuple[int, object]], drop: bool) -> None:
    fields = dict(cbor.decode(PARTS[2]))
    for key, value in changes:
        fields[key] = value
        if drop and key in fields:
            del fields[key]
    agree(cbor.encode(cbor.Tagged(18, [PARTS[0], {}, cbor.encode(fields), PARTS[3]])))


@given(
    st.dictionaries(
        st.sampled_from([1, 3, 4, 5]), ODD | st.sampled_from([cose.CT_READINGS, cose.CT_GAP, cose.CT_ACK, -8, -7, True, bytes(16)])
    )
)
@settings(max_examples=300)
def test_changed_headers(changes: dict[int, object]) -> None:
    header = cbor.encode({**cbor.decode(PARTS[0]), **changes})
    agree(cbor.encode(cbor.Tagged(18, [header, {}, PARTS[2], PARTS[3]])))


def test_lengths_around_the_heads() -> None:
    """A payload of every length where its head changes, in shortest and longer forms."""
    for length in (0, 1, 22, 23, 24, 25, 254, 255, 256, 257, 1500, 2100):
        agree(cbor.encode(cbor.Tagged(18, [PARTS[0], {}, bytes(length), PARTS[3]])))
        agree(cbor.encode(cbor.Tagged(18, [bytes(length), {}, PARTS[2], PARTS[3]])))
    protected, payload = cbor.encode(PARTS[0]), PARTS[2]
    heads = [
        b"\x58" + len(payload).to_bytes(1, "big"),
        b"\x59" + len(payload).to_bytes(2, "big"),
        b"\x5a" + len(payload).to_bytes(4, "big"),
    ]
    for head in heads:
        agree(b"\xd2\x84" + protected + b"\xa0" + head + payload + b"\x58\x40" + PARTS[3])


@pytest.mark.parametrize("alg", [cose.EDDSA, cose.ES256])
def test_signatures(alg: int) -> None:
    device = Device("signer", alg=alg)
    signed, _ = opening.open_statement(device.readings().statement)
    opening.verify(signed, device.key.cose_key)
    for other in (SigningKey.generate(alg), SigningKey.generate(cose.EDDSA if alg == cose.ES256 else cose.ES256)):
        assert outcome(opening.verify, signed, other.cose_key) == outcome(cose.verify_sign1, signed, other.cose_key) == (VerifyError, 200)
    for at in (0, 31, 32, 63):
        wrong = signed._replace(signature=signed.signature[:at] + bytes([signed.signature[at] ^ 1]) + signed.signature[at + 1 :])
        assert outcome(opening.verify, wrong, device.key.cose_key) == (VerifyError, 201)
    for key in (b"", b"\xff", device.key.cose_key[:-1]):
        assert outcome(opening.verify, signed, key) == outcome(cose.verify_sign1, signed, key)


def test_a_forged_header_is_no_key() -> None:
    thief = key_of("thief")
    forged = sign_object(thief, cose.CT_READINGS, PARTS[2])
    signed, _ = opening.open_statement(forged)
    assert outcome(opening.verify, signed, DEVICE.key.cose_key) == (VerifyError, 200)
