"""Access tokens of people for HTTP (SPEC section 11): one signed request, good once, for 60 seconds at most.

In: the parts of a request and what the ledger says about a key. Out: a token's text, or who asks. Never a session or a password.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass
from typing import Protocol

from server.keystore import SigningKey, sign_object
from shared import cbor, cose
from shared.errors import MeterproofError, RuleError

SCHEME = "Meterproof"
LIFE_S_MAX = 60
TOKEN_BYTES_MAX = 4096
RANDOM_BYTES = 16
READER_ROLES = frozenset(("admin", "installer", "operator"))


class KeyRecord(Protocol):
    """What the ledger says about a person's key; read-only."""

    @property
    def org(self) -> bytes: ...
    @property
    def cose_key(self) -> bytes: ...
    @property
    def roles(self) -> object: ...
    @property
    def to_height(self) -> int | None: ...


@dataclass(frozen=True)
class Token:
    """A decoded token, its signature not yet checked."""

    signed: cose.Signed
    chain_id: str
    org: bytes
    method: str
    path: str
    expires_s: int
    random: bytes
    body_hash: bytes


@dataclass(frozen=True)
class Request:
    """What a token must have been made for."""

    chain_id: str
    method: str
    path: str
    body_hash: bytes


def build_token(key: SigningKey, chain_id: str, org: bytes, method: str, path: str, expires_s: int, random: bytes, body_hash: bytes) -> str:
    """The text after `Authorization: Meterproof `; `path` with its query as it is sent."""
    payload = cbor.encode({1: chain_id, 2: org, 3: method, 4: path, 5: expires_s, 6: random, 7: body_hash})
    return base64.urlsafe_b64encode(sign_object(key, cose.CT_ACCESS, payload)).rstrip(b"=").decode()


def decode_token(header: str | None) -> Token:
    """From the whole Authorization header. Raises RuleError 350: what is wrong with a token is nobody's business but its maker's."""
    if header is None:
        raise RuleError(350, f"this needs an access token: Authorization: {SCHEME} …")
    scheme, _, text = header.partition(" ")
    if scheme != SCHEME or not 0 < len(text) <= TOKEN_BYTES_MAX:
        raise RuleError(350, "not an access token")
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        signed = cose.decode_sign1(data, (cose.CT_ACCESS,), TOKEN_BYTES_MAX)
        fields = cbor.check_map(cbor.decode(signed.payload, TOKEN_BYTES_MAX), (1, 2, 3, 4, 5, 6, 7))
        return Token(
            signed,
            cbor.check_text(fields[1], 40),
            cbor.check_bytes(fields[2], 10),
            cbor.check_text(fields[3], 16),
            cbor.check_text(fields[4], 2048),
            cbor.check_uint(fields[5]),
            cbor.check_bytes(fields[6], RANDOM_BYTES),
            cbor.check_bytes(fields[7], 32),
        )
    except (MeterproofError, binascii.Error, ValueError):
        raise RuleError(350, "not an access token") from None


def check_token(token: Token, request: Request, key: KeyRecord | None, now_s: int) -> None:
    """Raises RuleError 350 unless a live key of a person signed exactly this request for now; the caller sees that it is used once."""
    if key is None or key.to_height is not None or not READER_ROLES.intersection(_names(key.roles)):
        raise RuleError(350, "no live key of a person signed this token")
    try:
        cose.verify_sign1(token.signed, key.cose_key)
    except MeterproofError:
        raise RuleError(350, "the token's signature is wrong") from None
    if not now_s < token.expires_s <= now_s + LIFE_S_MAX:
        raise RuleError(350, f"the token has expired, or is good for more than {LIFE_S_MAX} s; check the clock of this machine")
    same = hmac.compare_digest(token.body_hash, request.body_hash)
    same &= hmac.compare_digest(token.path.encode(), request.path.encode())
    same &= hmac.compare_digest(token.method.encode(), request.method.encode())
    same &= hmac.compare_digest(token.chain_id.encode(), request.chain_id.encode())
    same &= hmac.compare_digest(token.org, key.org)
    if not same:
        raise RuleError(350, "the token is for another request, chain or organization")


def _names(roles: object) -> list[str]:
    return [str(role) for role in roles] if isinstance(roles, (list, tuple, set, frozenset)) else []
