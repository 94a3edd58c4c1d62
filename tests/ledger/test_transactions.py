"""Transactions as bytes: what decodes, and the many things that do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.keystore import sign_object
from server.ledger import transactions
from server.ledger.transactions import TX_BYTES_MAX, build_tx, decode_tx
from shared import cbor, cose
from shared.errors import DecodeError
from tests.ledger.world import ADMIN, CHAIN, EVIDENCE, FIRMWARE, NODE, ORG, ORIGIN, TABLE_HASH, key_of, readings, ueid

KEY = key_of("somebody").cose_key
POINT = b"P" * 10
ROW = [0, POINT, "SN", TABLE_HASH, 5]
H = b"h" * 32
BODIES = {
    "org.create": {1: "Org", 2: KEY, 3: "Ann"},
    "key.add": {1: KEY, 2: ["admin", "installer"], 3: "Ann"},
    "key.revoke": {1: b"k" * 16},
    "point.create": {1: "roof", 2: POINT, 3: "America/Argentina/Buenos_Aires"},
    "firmware.add": {1: FIRMWARE, 2: "edge", 3: "1"},
    "firmware.withdraw": {1: FIRMWARE},
    "device.enroll": {1: ueid("d"), 2: KEY, 3: 1, 4: FIRMWARE, 5: ORIGIN, 6: [ROW, [1, *ROW[1:]]], 7: EVIDENCE},
    "device.assign": {1: ueid("d"), 2: ROW},
    "device.suspend": {1: ueid("d"), 2: "why"},
    "device.resume": {1: ueid("d"), 2: "why"},
    "device.revoke": {1: ueid("d"), 2: "why"},
    "device.equivocation": {1: ueid("d"), 2: readings("d"), 3: readings("d", root=H)},
    "batch": {1: ORIGIN, 2: 0, 3: 1, 4: H, 5: []},
    "vote": {1: ORIGIN, 2: 0, 3: H, 4: [[0, 201, b"x", [H]], [1, 232, b"y", []]]},
}


def raw(payload: object, content_type: str = cose.CT_TX) -> bytes:
    return sign_object(ADMIN, content_type, cbor.encode(payload))


def payload(**changes: object) -> dict[int, object]:
    return {1: CHAIN, 2: ORG, 3: 0, 4: "key.revoke", 5: BODIES["key.revoke"]} | {int(key[1:]): value for key, value in changes.items()}


@pytest.mark.parametrize("kind", BODIES)
def test_every_type_decodes_to_what_was_built(kind: str) -> None:
    data = build_tx(ADMIN, CHAIN, ORG, 7, kind, BODIES[kind])
    tx = decode_tx(data)
    assert (tx.chain_id, tx.org, tx.nonce, tx.type, tx.kid, tx.data) == (CHAIN, ORG, 7, kind, ADMIN.kid, data)
    assert tx.identity == tx.signed.identity and len(tx.identity) == 32


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_has_exactly_its_fields(kind: str) -> None:
    body = BODIES[kind]
    for wrong in ({**body, len(body) + 1: 0}, {k: v for k, v in body.items() if k != 1}, list(body.values()), None, {**body, "1": 0}):
        with pytest.raises(DecodeError) as caught:
            decode_tx(raw(payload(_4=kind, _5=wrong)))
        assert caught.value.code == 180


@pytest.mark.parametrize("kind", BODIES)
def test_no_field_takes_another_type(kind: str) -> None:
    for field in BODIES[kind]:
        for wrong in (True, -1, {}, "" if kind != "vote" else True, b"", [[]], 1 << 63, "x" * 129):
            if wrong == BODIES[kind][field]:
                continue
            with pytest.raises(DecodeError):
                decode_tx(raw(payload(_4=kind, _5={**BODIES[kind], field: wrong})))


@pytest.mark.parametrize(
    "changes",
    [
        {"_1": "ab"},
        {"_1": "x" * 41},
        {"_1": "Upper"},
        {"_1": b"test-chain"},
        {"_2": ORG + b"x"},
        {"_2": ORG[:9]},
        {"_3": -1},
        {"_3": True},
        {"_3": 1 << 63},
        {"_4": "key.rotate"},
        {"_4": 3},
        {"_6": 0},
    ],
)
def test_wrong_payloads_are_refused(changes: dict) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_tx(raw(payload(**changes)))
    assert caught.value.code == 180


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("key.add", 2, ["installer", "admin"]),
        ("key.add", 2, ["admin", "admin"]),
        ("key.add", 2, ["root"]),
        ("key.add", 2, []),
        ("key.add", 1, cbor.encode({1: 1, -1: 6, -2: b"x" * 31})),
        ("key.add", 3, "line\nbreak"),
        ("point.create", 3, "../etc/passwd"),
        ("point.create", 3, "Europe/"),
        ("device.enroll", 1, b"\x02" + b"x" * 16),
        ("device.enroll", 3, 0),
        ("device.enroll", 3, 4),
        ("device.enroll", 6, [ROW, ROW]),
        ("device.enroll", 6, [[1, *ROW[1:]], ROW]),
        ("device.enroll", 6, [[256, *ROW[1:]]]),
        ("device.enroll", 6, [ROW[:4]]),
        ("device.enroll", 6, [[*ROW[:4], -1]]),
        ("batch", 5, [H[:31]]),
        ("batch", 5, [H] * 129),
        ("vote", 4, [[1, 201, b"x", []], [0, 201, b"x", []]]),
        ("vote", 4, [[0, 201, b"x", []], [0, 231, b"x", []]]),
        ("vote", 4, [[i, 201, b"x", []] for i in range(65)]),
    ],
)
def test_values_a_state_could_not_hold_are_refused(kind: str, field: int, value: object) -> None:
    with pytest.raises(DecodeError) as caught:
        build_tx(ADMIN, CHAIN, ORG, 0, kind, {**BODIES[kind], field: value})
    assert caught.value.code == 180


def test_another_kind_of_signed_object_is_no_transaction() -> None:
    with pytest.raises(DecodeError):
        decode_tx(raw(payload(), cose.CT_ACCESS))


def test_the_size_limit_is_reached() -> None:
    proof = [H] * 64
    vote = {1: ORIGIN, 2: 0, 3: H, 4: [[0, 231, b"s" * 57_000, proof]]}
    data = build_tx(NODE, CHAIN, ORG, 0, "vote", vote)
    assert len(data) <= TX_BYTES_MAX
    with pytest.raises(DecodeError):
        build_tx(NODE, CHAIN, ORG, 0, "vote", {**vote, 4: [[0, 231, b"s" * 59_000, proof]]})


@pytest.mark.parametrize("cut", [b"", b"\x00", b"\xd2"])
def test_cut_or_extended_bytes_are_refused(cut: bytes) -> None:
    data = build_tx(ADMIN, CHAIN, ORG, 0, "key.revoke", BODIES["key.revoke"])
    for wrong in (cut, data[:-1], data + b"\x00", data[1:]):
        with pytest.raises(DecodeError) as caught:
            decode_tx(wrong)
        assert caught.value.code == 180


@given(st.binary(max_size=200) | st.builds(lambda at, bit: flipped(at, bit), st.integers(0, 150), st.integers(0, 7)))
def test_random_bytes_raise_only_decode_errors(data: bytes) -> None:
    try:
        tx = decode_tx(data)
    except DecodeError as error:
        assert error.code == 180
    else:
        assert tx.data == data


def flipped(at: int, bit: int) -> bytes:
    data = bytearray(build_tx(ADMIN, CHAIN, ORG, 0, "key.revoke", BODIES["key.revoke"]))
    data[at % len(data)] ^= 1 << bit
    return bytes(data)


PAYLOAD = cbor.encode({1: CHAIN, 2: ORG, 3: 0, 4: "point.create", 5: {1: "roof", 2: None, 3: "UTC"}})
NASTY = [
    b"",
    b"\xa0",
    b"\xf6",
    b"\xfb" + bytes(8),
    b"\xbf\xff",
    b"\xd9\xd9\xf7" + PAYLOAD,
    PAYLOAD + b"\x00",
    b"\x81" * 20 + b"\x00",
    b"\xc1\x00",
]
NASTY += [PAYLOAD[:at] + bytes([PAYLOAD[at] ^ 1 << bit]) + PAYLOAD[at + 1 :] for at in range(len(PAYLOAD)) for bit in range(8)]
NASTY += [PAYLOAD[:at] for at in range(len(PAYLOAD))]


def outcome(data: bytes) -> object:
    try:
        return decode_tx(data)
    except DecodeError as error:
        return error.code, error.text


def test_the_fast_decoder_is_exactly_as_strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every bit of a payload flipped, every cut, and encodings outside the profile: the same transaction or the same error."""
    datas = [cose.build_sign1(cose.EDDSA, cose.CT_TX, ADMIN.kid, payload, lambda message: bytes(64)) for payload in [PAYLOAD, *NASTY]]
    fast = [outcome(data) for data in datas]
    monkeypatch.setattr(transactions.fastcbor, "decode", cbor.decode)
    assert fast == [outcome(data) for data in datas]
    assert isinstance(fast[0], transactions.Tx) and sum(isinstance(found, tuple) for found in fast) > 200
