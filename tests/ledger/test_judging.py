"""A second look at stored statements is the fast one of ingest: verdict for verdict what `shared` would say, without asking it."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.evidence.rows import Arrival
from server.ledger.judging import Judge
from shared import bundle, cbor, cose, sign, statement
from shared.errors import DecodeError, RuleError, VerifyError
from shared.state import REVOKED, DeviceValue, live_key_at
from tests.evidence.fleet import Device, FakeLedger, Sent, key_of

HEIGHT = 7
METER, SECURE, THIEF, REVOKED_ONE = Device("m1"), Device("secure", alg=cose.ES256), Device("m1"), Device("revoked")
THIEF.key = key_of("thief")
SENT = [device.readings(count) for device in (METER, SECURE, THIEF, REVOKED_ONE, Device("stranger")) for count in (1, 3, 40)]
SENT += [METER.gap((5, 5, None, 1)), METER.time_repair(), METER.readings(3, start_s=5), METER.readings(3, root=bytes(32))]
LEDGER = FakeLedger(METER, SECURE)
LEDGER.values[REVOKED_ONE.id] = REVOKED_ONE.value(status=REVOKED)


def reference(data: bytes, arrival: Arrival | None, height: int = HEIGHT) -> int:
    """By shared/ alone, which is what every other verifier runs."""
    try:
        signed, opened = statement.open_statement(data)
    except DecodeError:
        return 231
    device: DeviceValue | None = LEDGER.device(opened.device)
    try:
        cose.verify_sign1(signed, live_key_at(device, signed.kid, height).cose_key)
        bundle.check_rows(opened, *((None, None) if arrival is None else (arrival.salt, arrival.rows())))
    except (RuleError, VerifyError) as error:
        return 201 if error.code == 200 else error.code
    except DecodeError:
        return 233
    return 0


def judge(data: bytes, arrival: Arrival | None) -> int:
    return Judge(LEDGER, SimpleNamespace())._fault(data, arrival, HEIGHT)


def agree(data: bytes, arrival: Arrival | None) -> int:
    ours = judge(data, arrival)
    assert ours == reference(data, arrival), data.hex()
    return ours


def arrival_of(sent: Sent) -> Arrival:
    _, salt, rows = cbor.decode(sent.envelope)
    return Arrival(0, HEIGHT, True, salt, None if rows is None else cbor.encode(rows))


def test_every_verdict_is_that_of_the_reference() -> None:
    """Every statement with every arrival: its own, those of others, and none."""
    arrivals = [*map(arrival_of, SENT), None, Arrival(0, HEIGHT, True, None, None)]
    seen = {agree(sent.statement, arrival) for sent, arrival in itertools.product(SENT, arrivals)}
    assert seen == {0, 232, 233, 320, 321}
    assert all(agree(sent.statement, arrival_of(sent)) == 0 for sent in SENT[:6])


@pytest.mark.parametrize("part", ["statement", "salt", "body"])
@given(number=st.integers(0, len(SENT) - 1), at=st.integers(0, 1 << 16), bit=st.integers(0, 7), cut=st.booleans())
@settings(max_examples=300)
def test_damaged_bytes(part: str, number: int, at: int, bit: int, cut: bool) -> None:
    sent = SENT[number]
    arrival = arrival_of(sent)
    data = {"statement": sent.statement, "salt": arrival.salt or b"\0" * 16, "body": arrival.body or b"\x80"}[part]
    at %= len(data)
    wrong = data[:at] if cut else data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]
    if part == "statement":
        agree(wrong, arrival)
    else:
        agree(sent.statement, replace(arrival, **{part: wrong}))


def test_a_wrong_signature_is_201() -> None:
    sent = SENT[1]
    wrong = sent.statement[:-1] + bytes([sent.statement[-1] ^ 1])
    assert agree(wrong, arrival_of(sent)) == 201


def test_what_devices_send_every_minute_is_not_given_to_the_slow_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object) -> None:
        raise AssertionError("the reference was asked")

    arrivals = [(sent.statement, arrival_of(sent)) for sent in SENT[:6]]
    monkeypatch.setattr(bundle, "check_rows", asked)
    monkeypatch.setattr(cbor, "decode", asked)
    assert [judge(data, arrival) for data, arrival in arrivals] == [0] * 6


def test_a_signature_that_cannot_be_checked_here_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot(*_: object) -> None:
        raise VerifyError(202, "no such algorithm on this machine")

    monkeypatch.setattr(sign, "verify", cannot)
    with pytest.raises(VerifyError, match="202"):
        judge(SENT[1].statement, arrival_of(SENT[1]))
