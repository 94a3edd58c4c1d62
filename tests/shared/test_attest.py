"""shared/attest: evidence fields at both ends, and the signature by the key inside. The golden files hold the malformed bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import attest, channel, cose
from shared.errors import MeterproofError
from shared.types import Evidence
from tests.independent.signing import EdKey, P256Key
from tests.shared.makers import INT64_MAX, TABLE, TABLE_BYTES, code_of, evidence
from tests.shared.strategies import mutations

DEVICE_KEY = EdKey("a device of test_attest")
OTHER_KEY = EdKey("another device")


def signed(record: Evidence, key: object = DEVICE_KEY, alg: int = cose.EDDSA) -> bytes:
    return cose.build_sign1(alg, cose.CT_EAT, key.kid, attest.encode_evidence(record), key.sign)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"hwmodel": b"x"},
        {"hwmodel": bytes(32)},
        {"uptime_s": 0},
        {"uptime_s": INT64_MAX},
        {"dbgstat": 4},
        {"boot": INT64_MAX},
        {"tier": 3},
        {"swversion": "x" * 64},
        {"interpreter": "micropython 1.29.0"},
        {"channels": {}},
        {"channels": {0: TABLE_BYTES, 255: TABLE_BYTES}},
    ],
)
def test_round_trip(changes: dict) -> None:
    record = evidence(**changes)
    assert attest.decode_evidence(attest.encode_evidence(record)) == record


@pytest.mark.parametrize(
    "changes",
    [
        {"nonce": bytes(31)},
        {"nonce": bytes(33)},
        {"device": bytes(17)},
        {"hwmodel": b""},
        {"hwmodel": bytes(33)},
        {"hwmodel": "unix"},
        {"uptime_s": -1},
        {"uptime_s": 2**63},
        {"dbgstat": 5},
        {"dbgstat": False},
        {"boot": 0},
        {"bootseed": bytes(15)},
        {"swname": "other-firmware"},
        {"swversion": "x" * 65},
        {"swversion": None},
        {"tier": 0},
        {"tier": 4},
        {"tier": True},
        {"firmware": bytes(31)},
        {"interpreter": "x" * 65},
        {"interpreter": None},
        {"channels": {256: TABLE_BYTES}},
        {"channels": {-1: TABLE_BYTES}},
        {"channels": {"0": TABLE_BYTES}},
        {"channels": {0: b""}},
        {"channels": {0: None}},
        {"channels": {0: TABLE_BYTES + b"\x00"}},
        {"channels": None},
    ],
)
def test_refused(changes: dict) -> None:
    assert code_of(attest.encode_evidence, evidence(**changes)) == 150


def test_bytes_at_both_sides_of_the_limit() -> None:
    """Four full channel tables are too many for one evidence; what is encoded can also be opened when signed."""
    table = channel.encode_table(TABLE._replace(make="x" * 1900))
    channels = dict.fromkeys(range(3), table)
    rest = 8192 - len(
        signed(evidence(cose_key=DEVICE_KEY.cose_key, channels={**channels, 3: channel.encode_table(TABLE._replace(make="x" * 256))}))
    )
    channels[3] = channel.encode_table(TABLE._replace(make="x" * (256 + rest)))
    data = signed(evidence(cose_key=DEVICE_KEY.cose_key, channels=channels))
    assert len(data) == 8192 and len(attest.open_evidence(data)[1].channels) == 4
    channels[3] = channel.encode_table(TABLE._replace(make="x" * (257 + rest)))
    assert code_of(attest.encode_evidence, evidence(cose_key=DEVICE_KEY.cose_key, channels=channels)) == 150
    assert code_of(attest.open_evidence, bytes(8193)) == 106


@pytest.mark.parametrize("key", [DEVICE_KEY, P256Key("a secure element of test_attest")])
def test_open(key: object) -> None:
    record = evidence(cose_key=key.cose_key)
    parts, found = attest.open_evidence(signed(record, key, cose.decode_key(key.cose_key).alg))
    assert found == record and parts.kid == key.kid


def test_another_key_than_it_names() -> None:
    assert code_of(attest.open_evidence, signed(evidence(cose_key=DEVICE_KEY.cose_key), OTHER_KEY)) == 251


def test_signature_of_another_key() -> None:
    payload = attest.encode_evidence(evidence(cose_key=DEVICE_KEY.cose_key))
    data = cose.build_sign1(cose.EDDSA, cose.CT_EAT, DEVICE_KEY.kid, payload, OTHER_KEY.sign)
    assert code_of(attest.open_evidence, data) == 201


def test_signed_as_something_else() -> None:
    payload = attest.encode_evidence(evidence(cose_key=DEVICE_KEY.cose_key))
    data = cose.build_sign1(cose.EDDSA, cose.CT_READINGS, DEVICE_KEY.kid, payload, DEVICE_KEY.sign)
    assert code_of(attest.open_evidence, data) == 111


def test_algorithm_of_another_kind_of_key() -> None:
    payload = attest.encode_evidence(evidence(cose_key=DEVICE_KEY.cose_key))
    data = cose.build_sign1(cose.ES256, cose.CT_EAT, DEVICE_KEY.kid, payload, DEVICE_KEY.sign)
    assert code_of(attest.open_evidence, data) == 200


GOOD = signed(evidence(cose_key=DEVICE_KEY.cose_key))


@given(st.binary(max_size=100) | mutations(st.just(GOOD)))
def test_any_bytes(data: bytes) -> None:
    try:
        attest.open_evidence(data)
    except MeterproofError as error:
        assert error.hundred in (1, 2)
        return
    assert data == GOOD


@given(mutations(st.just(attest.encode_evidence(evidence()))))
def test_one_encoding(payload: bytes) -> None:
    try:
        record = attest.decode_evidence(payload)
    except MeterproofError as error:
        assert error.hundred == 1
        return
    assert attest.encode_evidence(record) == payload
