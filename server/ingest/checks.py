"""The costly checks on what a device sent, once: decode → device → signature → rows. Pure.

In: payload bytes, what the ledger says of the device. Out: the statement with its columns, or the error that says what is wrong. Never
looks at sequence, chain or plausibility: those become findings.
"""

from dataclasses import dataclass
from typing import Any

from server import fastcbor
from server.evidence.columns import Columns, check_columns
from server.evidence.opening import open_statement, verify
from shared import bundle, state
from shared.errors import DecodeError, RuleError, VerifyError
from shared.types import Statement

REFUSED = (321, 322, 324)  # will never be logged, and the device can be told
SILENT = 323  # suspended: the device keeps what it has until a person resumes it


@dataclass(frozen=True, slots=True)
class Opened:
    """A decoded envelope; nothing of it is trusted. `body`: the bytes of the rows as they came."""

    data: bytes
    signed: Any  # cose.Signed
    statement: Statement
    salt: bytes | None
    rows: Any
    body: bytes | None


def open_bundle(payload: bytes) -> Opened:
    """Decodes an envelope and its statement. Raises DecodeError 1xx."""
    envelope = bundle.read_envelope(fastcbor.decode(payload, bundle.ENVELOPE_BYTES_MAX))
    signed, statement = open_statement(envelope.statement)
    body = None
    if envelope.rows is not None:
        # The profile allows one encoding only, so what follows the two byte strings is the rows as they came.
        length = len(envelope.statement)
        head = 1 if length < 24 else 2 if length < 256 else 3
        body = payload[1 + head + length + 1 + bundle.SALT_BYTES :]
    return Opened(envelope.statement, signed, statement, envelope.salt, envelope.rows, body)


def check_topic(device: bytes, statement: Statement) -> None:
    """Raises VerifyError 246 for a statement that came on another device's topic."""
    if statement.device != device:
        raise VerifyError(246, "a statement of another device than its topic")


def check_signature(opened: Opened, value: Any) -> None:
    """Raises RuleError 320 if the ledger knows no such device or key, VerifyError 200, 201, 202 if the signature is not that key's."""
    key = next((key for key in value.keys if key.kid == opened.signed.kid), None) if value is not None else None
    if key is None:
        raise RuleError(320, "the device was never enrolled with this key")
    verify(opened.signed, key.cose_key)


def check_live(opened: Opened, value: Any, org: bytes, origin: str, height: int) -> None:
    """Raises RuleError 305, 321, 322, 323 or 324 when a statement with a good signature may not be logged here now."""
    if value.org != org:
        raise RuleError(305, "the device belongs to another organization than its topic")
    if value.status == state.REVOKED:
        raise RuleError(322, "the device was revoked")
    if value.origin != origin:
        raise RuleError(324, f"the device reports to {value.origin}")
    if value.status == state.SUSPENDED:
        raise RuleError(323, "the device is suspended")
    state.live_key_at(value, opened.signed.kid, height)


def check_rows(opened: Opened) -> Columns | None:
    """The readings. Raises VerifyError 233 when rows are not what was signed, however malformed, 232 when they are not there."""
    try:
        return check_columns(opened.statement, opened.salt, opened.rows)
    except DecodeError as error:
        raise VerifyError(233, error.text) from error
