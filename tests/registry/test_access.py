"""server/registry/access.py: one signed request, once."""

import base64
from dataclasses import replace
from hashlib import sha256

import pytest

from server.keystore import SigningKey
from server.ledger.values import KeyValue
from server.registry.access import Request, Token, build_token, check_token, decode_token
from shared import cose
from shared.errors import RuleError

KEY = SigningKey.from_seed(sha256(b"access tests").digest())
ORG = b"o" * 10
NOW_S = 1_800_000_000
BODY = sha256(b"").digest()
REQUEST = Request("chain-1", "GET", "/v1/rows/x?first_seq=1", BODY)
RECORD = KeyValue(ORG, KEY.cose_key, ("operator",), "Ada", 1)


def header(key: SigningKey = KEY, expires_s: int = NOW_S + 60, org: bytes = ORG, **changes: object) -> str:
    request = replace(REQUEST, **changes)
    return "Meterproof " + build_token(key, request.chain_id, org, request.method, request.path, expires_s, bytes(16), request.body_hash)


def refused(text: str | None, key: KeyValue | None = RECORD, now_s: int = NOW_S) -> str:
    with pytest.raises(RuleError) as caught:
        check_token(decode_token(text), REQUEST, key, now_s)
    assert caught.value.code == 350
    return caught.value.text


def test_a_good_token_passes() -> None:
    token = decode_token(header())
    check_token(token, REQUEST, RECORD, NOW_S)
    assert (token.signed.kid, token.org, token.expires_s) == (KEY.kid, ORG, NOW_S + 60)


@pytest.mark.parametrize("role", ["admin", "installer", "operator"])
def test_people_may_read(role: str) -> None:
    token = decode_token(header())
    assert isinstance(token, Token)
    check_token(token, REQUEST, replace(RECORD, roles=(role,)), NOW_S)


@pytest.mark.parametrize("roles", [("node",), ("validator",), ()])
def test_machines_may_not(roles: tuple[str, ...]) -> None:
    refused(header(), replace(RECORD, roles=roles))


@pytest.mark.parametrize("expires_s", [NOW_S, NOW_S - 1, NOW_S + 61, NOW_S + 10**6, 0])
def test_it_lives_for_sixty_seconds_at_most(expires_s: int) -> None:
    assert "expired" in refused(header(expires_s=expires_s))


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"path": "/v1/rows/x?first_seq=2"},
        {"path": "/v1/rows/x"},
        {"path": "/v1/rows/x?first_seq=1&"},
        {"chain_id": "chain-2"},
        {"body_hash": sha256(b"other").digest()},
        {"org": b"x" * 10},
    ],
)
def test_it_is_for_one_request_only(changes: dict[str, object]) -> None:
    assert "another request" in refused(header(**changes))


def test_a_revoked_or_unknown_key_opens_nothing() -> None:
    refused(header(), replace(RECORD, to_height=9))
    refused(header(), None)


def test_anothers_signature_is_refused() -> None:
    other = SigningKey.generate()
    assert "signature" in refused(header(other), RECORD)


def test_every_changed_byte_is_refused() -> None:
    scheme, text = header().split(" ")
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    for at in range(len(data)):
        wrong = data[:at] + bytes([data[at] ^ 0x40]) + data[at + 1 :]
        refused(f"{scheme} {base64.urlsafe_b64encode(wrong).rstrip(b'=').decode()}")


@pytest.mark.parametrize(
    "text", [None, "", "Meterproof", "Meterproof ", "Bearer abc", "Meterproof ***", "Meterproof " + "A" * 5000, "Meterproof AAAA"]
)
def test_what_is_no_token(text: str | None) -> None:
    refused(text)


def test_a_transaction_is_no_token() -> None:
    from server.ledger.transactions import build_tx

    data = build_tx(KEY, "chain-1", ORG, 0, "point.create", {1: "Roof", 2: None, 3: "UTC"})
    assert cose.decode_sign1(data, (cose.CT_TX,)).kid == KEY.kid
    refused("Meterproof " + base64.urlsafe_b64encode(data).rstrip(b"=").decode())
