"""What every rule is given beside the state, and the look-ups that rules share.

In: a state, ids. Out: decoded values, or RuleError 301 (role), 303 (nothing there), 305 (of another organization). Never changes the state.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.errors import DecodeError, RuleError, VerifyError

from .state import Overlay
from .transactions import Tx
from .values import KeyValue

Value = TypeVar("Value")
Verify = Callable[[Any, bytes], None]
"""(signed object, COSE_Key): raises VerifyError unless that key signed it."""


@dataclass(frozen=True, slots=True)
class Context:
    """One transaction in its block: `key` is the signer's, live at `height`; `verify` checks further signatures."""

    tx: Tx
    key: KeyValue
    height: int
    time_s: int
    verify: Verify

    @property
    def body(self) -> Any:
        """Body of the transaction."""
        return self.tx.body

    @property
    def org(self) -> bytes:
        """Organization in whose name it is signed."""
        return self.tx.org


def check_role(context: Context, *roles: str) -> None:
    """Raises RuleError 301 unless the signer's key has one of the roles."""
    if not any(role in context.key.roles for role in roles):
        raise RuleError(301, f"{context.tx.type} needs the role {' or '.join(roles)}")


def is_signed_by(signed: Any, cose_key: bytes, verify: Verify) -> bool:
    """Whether that key signed it. Raises VerifyError 202 where it cannot be checked: such a machine must stop, not agree."""
    try:
        verify(signed, cose_key)
    except VerifyError as error:
        if error.code == 202:
            raise
        return False
    return True


def need(state: Overlay, key: bytes, decode: Callable[[bytes], Value], what: str) -> Value:
    """The decoded value at a key. Raises RuleError 303 if there is none, VerifyError 271 if it is not what this ledger wrote."""
    data = state.get(key)
    if data is None:
        raise RuleError(303, f"there is no such {what}")
    try:
        return decode(data)
    except DecodeError as error:
        raise VerifyError(271, f"the state holds a broken {what}: {error.text}") from error


def check_own(context: Context, org: bytes, what: str) -> None:
    """Raises RuleError 305 for a thing of another organization."""
    if org != context.org:
        raise RuleError(305, f"the {what} belongs to another organization")


def check_new(state: Overlay, key: bytes, what: str) -> None:
    """Raises RuleError 302 if something is there already."""
    if state.get(key) is not None:
        raise RuleError(302, f"the {what} is on the ledger already")
