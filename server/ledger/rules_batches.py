"""Rules for batches and votes: every evidence log only grows, and who vouches for what it holds (SPEC section 9).

In: an Overlay and a Context whose signer is authenticated. Out: changes in the overlay, or RuleError 301, 303, 306, 340..342.
Never weighs a vote: whether a statement counts follows from the batch value (shared/state.check_counts).
"""

from dataclasses import replace

from shared import merkle, statement
from shared.errors import DecodeError, RuleError, VerifyError
from shared.state import (
    VALIDATORS_KEY,
    BatchValue,
    Vote,
    batch_key,
    decode_batch_value,
    decode_device_value,
    device_key,
    encode_batch_value,
    live_key_at,
    log_key,
)

from .bodies import NODE, VALIDATOR, Objection
from .context import Context, Verify, check_role, is_signed_by, need
from .state import Overlay
from .values import decode_log, decode_validators, encode_log

SIGNATURE, PAYLOAD, NEVER_ENROLLED, NOT_LIVE, ROWS_MISSING, ROWS_WRONG = 201, 231, 320, 321, 232, 233
WORD_ONLY = (ROWS_MISSING, ROWS_WRONG)  # rows are not on the ledger: nobody else can check these


def add_batch(state: Overlay, context: Context) -> None:
    """batch: a new head of an evidence log, proven to extend the last one, with the validators who are to vote on it."""
    body = context.body
    check_role(context, NODE)
    log = need(state, log_key(body.origin), decode_log, "log")
    if context.tx.kid != log.node_kid:
        raise RuleError(301, "only the log's own node adds batches to it")
    if body.old_size != log.size or body.new_size <= log.size:
        raise RuleError(340, f"the log has {log.size} entries; a batch starts there and adds some")
    _check_growth(body.old_size, body.new_size, list(body.proof), log.root, body.root)
    snapshot = need(state, VALIDATORS_KEY, decode_validators, "set of validators")
    batch = BatchValue(body.old_size, body.new_size, body.root, context.height, snapshot, [])
    state.put(batch_key(body.origin, log.batches), encode_batch_value(batch))
    state.put(log_key(body.origin), encode_log(replace(log, size=body.new_size, root=body.root, batches=log.batches + 1)))


def _check_growth(old_size: int, new_size: int, proof: list[bytes], old_root: bytes, new_root: bytes) -> None:
    if old_size == 0:
        if proof:
            raise RuleError(340, "an empty log needs no proof")
        return
    try:
        merkle.verify_consistency(old_size, new_size, proof, old_root, new_root)
    except VerifyError as error:
        raise RuleError(340, f"the log would not extend the last batch: {error.text}") from error


def add_vote(state: Overlay, context: Context) -> None:
    """vote: a validator's word, once, that it checked every statement and row of a batch, but for those it objects to."""
    body = context.body
    check_role(context, VALIDATOR)
    key = batch_key(body.origin, body.number)
    batch = need(state, key, decode_batch_value, "batch")
    if all(power.kid != context.tx.kid for power in batch.snapshot):
        raise RuleError(341, "not a validator when the batch was anchored")
    if any(vote.kid == context.tx.kid for vote in batch.votes):
        raise RuleError(341, "this validator has voted")
    if body.root != batch.root:
        raise RuleError(306, "a vote for another root")
    for objection in body.objections:
        check_objection(state, batch, objection, context.verify)
    vote = Vote(context.tx.kid, context.height, [objection.index for objection in body.objections])
    state.put(key, encode_batch_value(batch._replace(votes=[*batch.votes, vote])))


def check_objection(state: Overlay, batch: BatchValue, objection: Objection, verify: Verify) -> None:
    """Raises RuleError 342 unless the statement is in the batch and what is objected to it is so, as far as the ledger can tell."""
    if not batch.old_size <= objection.index < batch.new_size:
        raise RuleError(342, "the statement is not in this batch")
    leaf = merkle.leaf_hash(objection.statement)
    try:
        merkle.verify_inclusion(objection.index, batch.new_size, leaf, list(objection.path), batch.root)
    except VerifyError as error:
        raise RuleError(342, f"the statement is not at this place: {error.text}") from error
    if objection.code not in WORD_ONLY and objection.code not in statement_faults(state, objection.statement, batch.height, verify):
        raise RuleError(342, f"objection {objection.code} is not so")


def statement_faults(state: Overlay, data: bytes, height: int, verify: Verify) -> tuple[int, ...]:
    """Codes of what is wrong with a logged statement: 231 if it is none, else 320 or 321 by its key at the batch's height, and 201."""
    try:
        signed, opened = statement.open_statement(data)
    except DecodeError:
        return (PAYLOAD,)
    key = device_key(opened.device)
    device = None if state.get(key) is None else need(state, key, decode_device_value, "device")
    faults = []
    try:
        live_key_at(device, signed.kid, height)
    except RuleError as error:
        faults.append(error.code)
    if device is not None and any(key.kid == signed.kid and not is_signed_by(signed, key.cose_key, verify) for key in device.keys):
        faults.append(SIGNATURE)
    return tuple(faults)
