"""What an evidence file proves, step by step (SPEC.md section 12).

In: the bytes of one evidence file, and the verifier's own policy or None. Out: a Report, or a typed error that names the step that
failed. Pure: never reads a clock, a file or the network, never takes trust from the file, and never goes on after a step that
failed.
"""

from collections.abc import Callable
from hashlib import sha256
from typing import Any, NamedTuple

from .. import cose, ids, merkle, note, smt, state
from ..errors import MeterproofError, RuleError, VerifyError
from .evidence import Opened, open_parts
from .policy import Policy

LEDGER_ORIGIN = "meterproof.ledger/"
CLOCK_UNSYNCED = 0


class Step(NamedTuple):
    """A step that held, and in a sentence what it proved."""

    name: str
    proven: str


class Report(NamedTuple):
    """All steps held. `trusted`: under a policy; without one the file only agrees with itself."""

    trusted: bool
    steps: list[Step]
    opened: Opened
    key: state.DeviceKey
    assignment: state.Assignment
    signers: list[note.Vkey]


def verify_evidence(data: bytes, policy: Policy | None, passed: list[Step] | None = None) -> Report:
    """Runs every step in order. Raises the first one's error that fails, its text led by the step's name; those before are in `passed`."""
    steps: list[Step] = [] if passed is None else passed
    opened: Opened = _run("format", open_parts, data)
    steps.append(Step("format", f"{len(data)} bytes in the one allowed encoding of the proof of reading {opened.reading.seq}"))
    for name, check in CHECKS:
        steps.append(Step(name, _run(name, check, opened, policy)))
    # Every signature of the checkpoint was verified above: those of the policy's nodes that are named in it are the signers.
    named = {signature[:2] for signature in note.decode_note(opened.file.checkpoint).signatures}
    signers = [vkey for vkey in policy.nodes if (vkey.name, vkey.key_id) in named] if policy else []
    return Report(policy is not None, steps, opened, device_key(opened), assignment(opened), signers)


def failed_step(passed: list[Step]) -> str:
    """The name of the step after those that held."""
    return STEPS[len(passed)]


def _run(name: str, check: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return check(*arguments)
    except MeterproofError as error:
        raise type(error)(error.code, f"{name}: {error.text}") from error


def check_checkpoint(opened: Opened, policy: Policy | None) -> str:
    """The ledger's checkpoint is signed by those the policy names, and by no one else."""
    point = opened.checkpoint
    if policy is None:
        return f"checkpoint of {point.origin} at size {point.size}; its signatures were NOT checked, for want of a policy that names a key"
    signers = checkpoint_signers(opened, policy)
    keys = ", ".join(f"{vkey.name} ({vkey.raw.hex()[:16]}…)" for vkey in signers)
    return (
        f"checkpoint of {point.origin} at size {point.size}, root {_short(point.root)}, signed by {keys}; the policy asks for {policy.need}"
    )


def checkpoint_signers(opened: Opened, policy: Policy) -> list[note.Vkey]:
    """The policy's nodes that signed. Raises VerifyError 240 (another ledger, too few signatures, an uncounted one), 201."""
    if opened.checkpoint.origin != LEDGER_ORIGIN + policy.chain_id:
        raise VerifyError(240, f"a checkpoint of {opened.checkpoint.origin}, the policy trusts only {LEDGER_ORIGIN}{policy.chain_id}")
    signed_note = note.decode_note(opened.file.checkpoint)
    signers: list[note.Vkey] = note.verify_note(signed_note, policy.nodes)
    if len(signers) < policy.need:
        raise VerifyError(240, f"signed by {len(signers)} of the nodes the policy names, it asks for {policy.need}")
    # A signature that is not counted could be changed without anybody noticing: every byte of the file has to matter.
    if len(signed_note.signatures) != len(signers):
        raise VerifyError(240, "carries signatures that the policy does not count on")
    return signers


def check_block(opened: Opened, policy: Policy | None) -> str:
    """The block leaf is in the ledger log the checkpoint fixes, and belongs to its chain."""
    block, point = opened.block, opened.checkpoint
    merkle.verify_inclusion(block.index, point.size, merkle.leaf_hash(opened.file.block_leaf), opened.file.block_path, point.root)
    if point.origin != LEDGER_ORIGIN + block.chain_id or (policy and block.chain_id != policy.chain_id):
        raise VerifyError(241, f"a block of chain {block.chain_id}")
    place = f"block {block.height} of chain {block.chain_id} is entry {block.index} of that ledger log"
    return f"{place}; it fixes the state {_short(block.state_root)}"


def check_genesis(opened: Opened, policy: Policy | None) -> str:
    """The block's parameters are these, and the chain began with the genesis the policy pins."""
    if sha256(opened.file.params).digest() != opened.block.params_hash:
        raise VerifyError(242, "the parameters are not the block's")
    if policy is None:
        return f"the chain says it began with genesis {_short(opened.params.genesis)}; no policy pins it"
    if opened.params.genesis != policy.genesis:
        raise VerifyError(242, "the chain began with another genesis than the policy's")
    return f"the chain began with the policy's genesis {_short(policy.genesis)}"


def check_state(opened: Opened, policy: Policy | None) -> str:
    """The batch, and the device or its absence, are in the block's state."""
    file, root = opened.file, opened.block.state_root
    smt.verify_member(root, state.batch_key(file.origin, file.batch_number), file.batch_value, file.batch_proof)
    key = state.device_key(opened.statement.device)
    if file.device_value is None:
        smt.verify_absent(root, key, file.device_proof)
        return f"that state holds batch {file.batch_number} of {file.origin}, and no such device at all"
    smt.verify_member(root, key, file.device_value, file.device_proof)
    return f"that state holds batch {file.batch_number} of {file.origin}, and the device with its keys and metering points"


def check_votes(opened: Opened, policy: Policy | None) -> str:
    """More than 2/3 of the voting power vouched for the batch without objecting to this statement."""
    batch = opened.batch
    state.check_counts(batch, opened.file.log_index)
    powers = dict(batch.snapshot)
    voted = sum(powers[vote.kid] for vote in batch.votes if opened.file.log_index not in vote.objected)
    return f"validators with {voted} of {sum(powers.values())} votes checked the batch and did not object to this statement"


def check_log(opened: Opened, policy: Policy | None) -> str:
    """The statement is in the evidence log under the batch's root; that it is within the batch was seen with the votes."""
    file, batch = opened.file, opened.batch
    merkle.verify_inclusion(file.log_index, batch.new_size, merkle.leaf_hash(file.statement), file.log_path, batch.root)
    return f"the statement is entry {file.log_index} of the evidence log {file.origin}, anchored in block {batch.height}"


def enrolled(opened: Opened) -> state.DeviceValue:
    """The device's entry in the registry. Raises RuleError 320 when the file proves that there is none."""
    if opened.device is None:
        raise RuleError(320, "the device was never enrolled on this ledger")
    return opened.device


def device_key(opened: Opened) -> state.DeviceKey:
    """The enrolled key that signed, live when the batch was anchored. Raises RuleError 320, 321, 324 with the reason."""
    device = enrolled(opened)
    if device.origin != opened.file.origin:
        raise RuleError(324, f"the device was enrolled for the log {device.origin}, not {opened.file.origin}")
    return state.live_key_at(device, opened.signed.kid, opened.batch.height)


def check_device(opened: Opened, policy: Policy | None) -> str:
    """The device's key was enrolled and live at the batch's height."""
    key = device_key(opened)
    return f"the device's key {_short(key.kid)} was enrolled in block {key.from_height} and live in block {opened.batch.height}"


def check_signature(opened: Opened, policy: Policy | None) -> str:
    """The statement is signed by that key."""
    key = device_key(opened)
    cose.verify_sign1(opened.signed, key.cose_key)
    algorithm = "Ed25519" if opened.signed.alg == cose.EDDSA else "ECDSA P-256"
    return f"the statement is signed by that key ({algorithm}); identity {_short(opened.signed.identity)}"


def check_reading(opened: Opened, policy: Policy | None) -> str:
    """The reading is the one at its place in the signed bundle."""
    file, said, reading = opened.file, opened.statement, opened.reading
    merkle.verify_inclusion(file.place, said.count, merkle.leaf_hash(file.leaf), file.path, said.root)
    if reading.seq != said.first_seq + file.place:
        raise VerifyError(248, f"reading {reading.seq} stands where {said.first_seq + file.place} belongs")
    if reading.time_s < said.start_s or (file.place == 0 and reading.time_s != said.start_s):
        raise VerifyError(248, "the reading's time does not fit the statement's")
    return f"reading {reading.seq} is number {file.place + 1} of the {said.count} that the statement commits to"


def check_channel_table(opened: Opened, policy: Policy | None) -> str:
    """The channel table that gives the numbers meaning is the signed one."""
    table = opened.table
    if sha256(opened.file.channel_table).digest() != opened.statement.channel_table:
        raise VerifyError(247, "the channel table is not the one the statement names")
    if len(table.registers) != len(opened.reading.registers):
        raise VerifyError(247, f"names {len(table.registers)} registers, the reading has {len(opened.reading.registers)}")
    return f"the signed channel table names {len(table.registers)} registers of meter {table.make} {table.model}, serial {table.serial}"


def assignment(opened: Opened) -> state.Assignment:
    """The assignment of the channel at the reading's time. Raises RuleError 325, VerifyError 247 when another meter or table was read."""
    said = opened.statement
    if said.clock == CLOCK_UNSYNCED:
        raise RuleError(325, "the device did not know the time when it read: this file cannot say what it was assigned to")
    found = state.assignment_at(enrolled(opened), said.channel, opened.reading.time_s)
    if found.serial != opened.table.serial or found.table_hash != said.channel_table:
        raise VerifyError(247, f"the assignment is for meter serial {found.serial} with its own channel table, not for this one")
    return found


def check_assignment(opened: Opened, policy: Policy | None) -> str:
    """The channel and this meter served a metering point at the reading's time."""
    found = assignment(opened)
    point = ids.encode_id(ids.POINT, found.point)
    return f"channel {found.channel} of the device was assigned to metering point {point} at the reading's time"


def _short(digest: bytes) -> str:
    return digest.hex()[:16] + "…"


CHECKS: tuple[tuple[str, Callable[[Opened, Policy | None], str]], ...] = (
    ("checkpoint", check_checkpoint),
    ("block", check_block),
    ("genesis", check_genesis),
    ("state", check_state),
    ("votes", check_votes),
    ("log", check_log),
    ("device", check_device),
    ("signature", check_signature),
    ("reading", check_reading),
    ("channel table", check_channel_table),
    ("assignment", check_assignment),
)
STEPS = ("format", *(name for name, _ in CHECKS))
