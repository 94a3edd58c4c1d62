"""Transactions: one signed object (SPEC section 9) that asks the ledger for one change.

In: a key, chain id, organization, nonce, type and body; or bytes. Out: bytes; or a Tx whose signature is not yet verified. Never looks at
the state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from server import fastcbor
from shared import cbor, cose
from shared.errors import DecodeError
from shared.state import check_chain_id

from .bodies import ID_BYTES, decode_body

TX_BYTES_MAX = 60_000


class Signing(Protocol):
    """What server/keystore.SigningKey offers."""

    alg: int
    kid: bytes
    cose_key: bytes
    raw: bytes

    def sign(self, message: bytes) -> bytes:
        """64 bytes."""


@dataclass(frozen=True, slots=True)
class Tx:
    """A decoded transaction; `body` is one of the dataclasses of bodies.py."""

    signed: Any  # cose.Signed
    chain_id: str
    org: bytes
    nonce: int
    type: str
    body: Any

    @property
    def identity(self) -> bytes:
        """SHA-256 of what was signed: the transaction's id."""
        return bytes(self.signed.identity)

    @property
    def kid(self) -> bytes:
        """Key id of the signer."""
        return bytes(self.signed.kid)

    @property
    def data(self) -> bytes:
        """The bytes as they came."""
        return bytes(self.signed.data)


def build_tx(key: Signing, chain_id: str, org: bytes, nonce: int, tx_type: str, body: Mapping[int, object]) -> bytes:
    """A signed transaction; the body is the map of SPEC section 9. Raises DecodeError 180 for what no ledger would decode."""
    payload = cbor.encode({1: chain_id, 2: org, 3: nonce, 4: tx_type, 5: dict(body)})
    data: bytes = cose.build_sign1(key.alg, cose.CT_TX, key.kid, payload, key.sign)
    decode_tx(data)
    return data


def decode_tx(data: bytes) -> Tx:
    """A transaction whose form is right; signature and state are not looked at. Raises DecodeError 180."""
    try:
        signed = cose.decode_sign1(data, (cose.CT_TX,), TX_BYTES_MAX)
        fields = cbor.check_map(fastcbor.decode(signed.payload), (1, 2, 3, 4, 5))
        tx_type = cbor.check_text(fields[4], 32)
        org, nonce = cbor.check_bytes(fields[2], ID_BYTES), cbor.check_uint(fields[3])
        return Tx(signed, check_chain_id(fields[1]), org, nonce, tx_type, decode_body(tx_type, fields[5]))
    except DecodeError as error:
        raise DecodeError(180, f"transaction: {error.text}") from error
