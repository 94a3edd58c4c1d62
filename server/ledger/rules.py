"""The state machine: what one transaction does to the state (SPEC sections 9 and 10).

In: a state, a decoded transaction, its height, index and block time. Out: a receipt, and the state changed by all of it or by nothing but
the nonce. Never uses a clock, randomness, I/O, float or the order of a set.

A transaction that is not its signer's next one (chain, key, organization, nonce or signature wrong) changes nothing: anybody could have put
it there. One that breaks a rule uses up its nonce, so that its outcome is final and it cannot come back later.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from shared import cose
from shared.errors import DecodeError, MeterproofError, RuleError, VerifyError
from shared.state import Receipt, key_key, nonce_key

from . import rules_batches, rules_devices, rules_registry
from .context import Context, Verify
from .state import Overlay
from .transactions import Tx
from .values import KeyValue, decode_key, decode_nonce, encode_nonce

PLACES_MAX = 4096
Rule = Callable[[Overlay, Context], None]

RULES: dict[str, Rule] = {
    "org.create": rules_registry.create_org,
    "key.add": rules_registry.add_key,
    "key.revoke": rules_registry.revoke_key,
    "point.create": rules_registry.create_point,
    "firmware.add": rules_registry.add_firmware,
    "firmware.withdraw": rules_registry.withdraw_firmware,
    "device.enroll": rules_devices.enroll_device,
    "device.assign": rules_devices.assign_device,
    "device.suspend": rules_devices.suspend_device,
    "device.resume": rules_devices.resume_device,
    "device.revoke": rules_devices.revoke_device,
    "device.equivocation": rules_devices.record_equivocation,
    "batch": rules_batches.add_batch,
    "vote": rules_batches.add_vote,
}

key_place, nonce_place = lru_cache(PLACES_MAX)(key_key), lru_cache(PLACES_MAX)(nonce_key)
# A node that cannot check a signature, or whose own state is broken, must stop: a receipt saying so would fork it from the others.
FATAL = (202, 271)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a transaction; `final` when its nonce is used up, so that this identity has its one receipt."""

    receipt: Receipt
    final: bool
    error: MeterproofError | None = None


def apply_tx(state: Overlay, tx: Tx, height: int, index: int, time_s: int, chain_id: str, verify: Verify = cose.verify_sign1) -> Receipt:
    """The receipt of `tx` at that place; see run_tx."""
    return run_tx(state, tx, height, index, time_s, chain_id, verify).receipt


def run_tx(state: Overlay, tx: Tx, height: int, index: int, time_s: int, chain_id: str, verify: Verify = cose.verify_sign1) -> Outcome:
    """Changes the state and says what happened. Raises only VerifyError 202 and 271, when this node must stop."""
    try:
        key = check_signer(state, tx, height, chain_id, verify)
    except (RuleError, VerifyError) as error:
        return _failed(tx, height, index, error, final=False)
    state.put(nonce_place(tx.kid), encode_nonce(tx.nonce + 1))
    trial = Overlay(state)
    try:
        RULES[tx.type](trial, Context(tx, key, height, time_s, verify))
    except (RuleError, VerifyError, DecodeError) as error:
        return _failed(tx, height, index, error, final=True)
    state.absorb(trial)
    effects = sorted((changed, sha256(value).digest()) for changed, value in trial.changes.items())
    return Outcome(Receipt(tx.identity, height, index, 0, effects), True)


def _failed(tx: Tx, height: int, index: int, error: MeterproofError, final: bool) -> Outcome:
    if error.code in FATAL:
        raise error
    return Outcome(Receipt(tx.identity, height, index, error.code, []), final, error)


def check_signer(state: Overlay, tx: Tx, height: int, chain_id: str, verify: Verify) -> KeyValue:
    """The signer's key. Raises VerifyError 241 for another chain, 200 for an unknown key, RuleError 307 for one that is not live, 305 for
    another organization's, 300 for a nonce that is not the next, VerifyError 201 for a wrong signature."""
    if tx.chain_id != chain_id:
        raise VerifyError(241, f"the transaction is for the chain {tx.chain_id}")
    data = state.get(key_place(tx.kid))
    if data is None:
        raise VerifyError(200, "the signer's key is not on the ledger")
    key = decode_key(data)
    if not key.live_at(height):
        raise RuleError(307, "the signer's key is revoked")
    if key.org != tx.org:
        raise RuleError(305, "the signer's key belongs to another organization")
    due = decode_nonce(state.get(nonce_place(tx.kid)))
    if tx.nonce != due:
        raise RuleError(300, f"the nonce is {tx.nonce}, the key's next is {due}")
    verify(tx.signed, key.cose_key)
    return key


class SignatureCache:
    """Verifies each signature once between check and apply. The signature is part of the entry: an identity alone says what was signed, not
    that it was."""

    def __init__(self, entries_max: int = 16_384) -> None:
        self._entries_max = entries_max
        self._good: dict[tuple[bytes, bytes, bytes], None] = {}

    def __call__(self, signed: cose.Signed, cose_key: bytes) -> None:
        """As cose.verify_sign1."""
        entry = (signed.identity, signed.signature, cose_key)
        if entry in self._good:
            return
        cose.verify_sign1(signed, cose_key)
        if len(self._good) >= self._entries_max:
            self._good.pop(next(iter(self._good)))  # the oldest
        self._good[entry] = None
