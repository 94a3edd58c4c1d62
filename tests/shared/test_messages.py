"""shared/messages: acks, refusals, challenges, hellos and topics at both ends of every limit. The golden files hold the malformed bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import ids, messages
from shared.errors import DecodeError
from shared.types import Challenge
from tests.shared.makers import DEVICE, INT64_MAX, ORIGIN, ack, code_of, refusal
from tests.shared.strategies import mutations

CHALLENGE = Challenge(ORIGIN, DEVICE, bytes(32), 1_700_000_000)
ORG_TEXT = ids.encode_id(ids.ORG, bytes(10))
DEVICE_TEXT = ids.encode_id(ids.DEVICE, DEVICE)


@pytest.mark.parametrize(
    "changes",
    [
        {"next_seq": 0, "identity": None, "missing": [], "log_size": 0},
        {"next_seq": 2**63, "missing": [], "log_size": INT64_MAX},
        {"next_seq": 12},  # the first missing is the next
        {"missing": [(10, 1), (11, 2**63 - 11)]},
        {"missing": [(100 + 2 * i, 1) for i in range(16)]},
        {"origin": "x" * 128},
    ],
)
def test_ack_allowed(changes: dict) -> None:
    assert messages.decode_ack(messages.encode_ack(ack(**changes))) == ack(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"next_seq": -1},
        {"next_seq": 2**63 + 1},
        {"next_seq": True},
        {"next_seq": 13},  # nothing is missing below it
        {"identity": bytes(31)},
        {"identity": b""},
        {"missing": [(100 + 2 * i, 1) for i in range(17)]},
        {"missing": [(12, 0)]},
        {"missing": [(12, 3), (14, 1)]},
        {"missing": [(20, 1), (12, 3)]},
        {"missing": [(12, 1), (12, 1)]},
        {"missing": [(12, 2**63 - 11)]},
        {"missing": [(12, True)]},
        {"missing": [(12,)]},
        {"missing": [(12, 1, 1)]},
        {"log_size": -1},
        {"log_size": 2**63},
        {"origin": ""},
        {"origin": "x" * 129},
        {"origin": "two words"},
        {"origin": "a+b"},
        {"origin": "line\n"},
        {"origin": None},
        {"device": DEVICE[:16]},
    ],
)
def test_ack_refused(changes: dict) -> None:
    assert code_of(messages.encode_ack, ack(**changes)) == 108


def test_largest_ack_fits() -> None:
    missing = [(2**63 - 1 - 2 * (16 - i), 1) for i in range(16)]
    data = messages.encode_ack(ack(origin="x" * 128, next_seq=2**62, missing=missing, log_size=INT64_MAX))
    assert len(data) <= messages.PAYLOAD_BYTES_MAX and messages.decode_ack(data).missing == missing


def test_refusal() -> None:
    for changes in ({}, {"code": 100}, {"code": 499}, {"text": ""}, {"text": "é" * 128}):
        assert messages.decode_refusal(messages.encode_refusal(refusal(**changes))) == refusal(**changes)
    for changes in (
        {"code": 99},
        {"code": 500},
        {"code": True},
        {"text": "é" * 128 + "x"},
        {"text": None},
        {"identity": None},
        {"device": b""},
    ):
        assert code_of(messages.encode_refusal, refusal(**changes)) == 108


def test_challenge() -> None:
    for changes in ({}, {"time_s": 0}, {"time_s": INT64_MAX}):
        challenge = CHALLENGE._replace(**changes)
        assert messages.decode_challenge(messages.encode_challenge(challenge)) == challenge
    for changes in ({"nonce": bytes(31)}, {"nonce": bytes(33)}, {"time_s": -1}, {"time_s": None}, {"origin": " "}, {"device": bytes(17)}):
        assert code_of(messages.encode_challenge, CHALLENGE._replace(**changes)) == 108


def test_hello() -> None:
    for boot in (1, INT64_MAX):
        assert messages.decode_hello(messages.encode_hello(DEVICE, boot)) == (DEVICE, boot)
    for device, boot in ((DEVICE, 0), (DEVICE, 2**63), (DEVICE, True), (bytes(17), 1), (DEVICE[:16], 1)):
        assert code_of(messages.encode_hello, device, boot) == 108


@pytest.mark.parametrize("what", messages.TO_NODE + messages.TO_DEVICE)
def test_topic(what: str) -> None:
    text = messages.topic(ORG_TEXT, DEVICE_TEXT, what)
    assert text == f"meterproof/v1/{ORG_TEXT}/{DEVICE_TEXT}/{what}"
    assert messages.parse_topic(text) == (bytes(10), DEVICE, what)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", 160),
        (f"meterproof/v1/{ORG_TEXT}/{DEVICE_TEXT}/other", 160),
        (f"meterproof/v1/{ORG_TEXT}/{DEVICE_TEXT}", 160),
        (f"meterproof/v1/{ORG_TEXT}/{DEVICE_TEXT}/ack/", 160),
        (f"meterproof/v2/{ORG_TEXT}/{DEVICE_TEXT}/ack", 160),
        (f"/meterproof/v1/{ORG_TEXT}/{DEVICE_TEXT}", 160),
        (f"meterproof/v1/{DEVICE_TEXT}/{ORG_TEXT}/ack", 170),
        (f"meterproof/v1/{ORG_TEXT}/+/ack", 170),
        (f"meterproof/v1/{ORG_TEXT}/{DEVICE_TEXT.upper()}/ack", 170),
        (f"meterproof/v1//{DEVICE_TEXT}/ack", 170),
    ],
)
def test_topic_refused(text: str, code: int) -> None:
    assert code_of(messages.parse_topic, text) == code


CODECS = [
    (messages.decode_ack, messages.encode_ack, messages.encode_ack(ack())),
    (messages.decode_refusal, messages.encode_refusal, messages.encode_refusal(refusal())),
    (messages.decode_challenge, messages.encode_challenge, messages.encode_challenge(CHALLENGE)),
    (messages.decode_hello, lambda hello: messages.encode_hello(*hello), messages.encode_hello(DEVICE, 300)),
]


@pytest.mark.parametrize(("decode", "encode", "good"), CODECS)
@given(data=st.data())
def test_any_bytes(decode, encode, good: bytes, data: st.DataObject) -> None:
    given_bytes = data.draw(st.binary(max_size=60) | mutations(st.just(good)))
    try:
        record = decode(given_bytes)
    except DecodeError:
        return
    assert encode(record) == given_bytes
