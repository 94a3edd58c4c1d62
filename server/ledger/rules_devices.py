"""Rules for devices: enrolment, assignment to metering points, suspension, revocation, equivocation (SPEC section 9).

In: an Overlay and a Context whose signer is authenticated. Out: changes in the overlay, or RuleError 301..306, 322..326, VerifyError 252.
Never makes a revoked device live again and never rewrites a range that has begun.
"""

from typing import Any

from shared import cose, statement
from shared.errors import DecodeError, RuleError, VerifyError
from shared.state import (
    ASSIGNMENTS_MAX,
    EQUIVOCATIONS_MAX,
    LIVE,
    LIVE_MAX,
    REVOKED,
    SUSPENDED,
    Assignment,
    DeviceKey,
    DeviceValue,
    decode_device_value,
    device_key,
    encode_device_value,
    firmware_key,
    log_key,
    point_key,
)

from .bodies import ADMIN, INSTALLER, NODE, OPERATOR, NewAssignment
from .context import Context, Verify, check_new, check_own, check_role, is_signed_by, need
from .state import Overlay
from .values import decode_firmware, decode_point


def enroll_device(state: Overlay, context: Context) -> None:
    """device.enroll: key, tier, firmware, origin and metering points of a device that the ledger has never seen."""
    check_role(context, ADMIN, INSTALLER)
    body, height = context.body, context.height
    check_new(state, device_key(body.device), "device")
    if state.get(log_key(body.origin)) is None:
        raise RuleError(324, "the ledger has no log of this origin")
    if need(state, firmware_key(body.firmware), decode_firmware, "firmware").to_height is not None:
        raise VerifyError(252, "the firmware is withdrawn")
    for assignment in body.assignments:
        _check_point(state, context, assignment)
    key = DeviceKey(cose.kid_of(body.cose_key), body.cose_key, body.tier, height, None)
    assignments = [_open(assignment) for assignment in body.assignments]
    _put(
        state,
        body.device,
        DeviceValue(context.org, body.origin, [key], LIVE, [(height, None)], assignments, body.firmware, body.evidence, []),
    )


def assign_device(state: Overlay, context: Context) -> None:
    """device.assign: from from_s on the channel measures that point; what it measured before ends there. Time only moves on, never back."""
    check_role(context, ADMIN, INSTALLER)
    device, new = _own_device(state, context), context.body.assignment
    if device.status == REVOKED:
        raise RuleError(322, "a revoked device is assigned to nothing")
    _check_point(state, context, new)
    if len(device.assignments) >= ASSIGNMENTS_MAX:
        raise RuleError(306, f"a device has at most {ASSIGNMENTS_MAX} assignments")
    ended = [_end(earlier, new) for earlier in device.assignments]
    _put(state, context.body.device, device._replace(assignments=[*ended, _open(new)]))


def suspend_device(state: Overlay, context: Context) -> None:
    """device.suspend: its statements no longer count from this block on, until a person resumes it."""
    check_role(context, ADMIN, OPERATOR)
    device = _own_device(state, context)
    _check_not_revoked(device)
    if device.status == SUSPENDED:
        raise RuleError(323, "the device is suspended already")
    _put(state, context.body.device, _stop(device, SUSPENDED, context.height))


def resume_device(state: Overlay, context: Context) -> None:
    """device.resume: live again. The lists that a proof must carry have an end: past it a device is replaced."""
    check_role(context, ADMIN, OPERATOR)
    device = _own_device(state, context)
    _check_not_revoked(device)
    if device.status == LIVE:
        raise RuleError(306, "the device is live already")
    if len(device.live) >= LIVE_MAX or len(device.equivocations) >= EQUIVOCATIONS_MAX:
        raise RuleError(306, "the device was suspended too often: enrol another in its place")
    _put(state, context.body.device, device._replace(status=LIVE, live=[*device.live, (context.height, None)]))


def revoke_device(state: Overlay, context: Context) -> None:
    """device.revoke: for good."""
    check_role(context, ADMIN, OPERATOR)
    device = _own_device(state, context)
    _check_not_revoked(device)
    _put(state, context.body.device, _stop(device, REVOKED, context.height))


def record_equivocation(state: Overlay, context: Context) -> None:
    """device.equivocation: two statements that contradict each other stay on record and suspend the device, whatever its organization."""
    check_role(context, NODE)
    body = context.body
    device = need(state, device_key(body.device), decode_device_value, "device")
    first, second = sorted(check_equivocation(device, body.device, (body.first, body.second), context.verify))
    if any((first, second) == (a, b) for a, b, _ in device.equivocations):
        raise RuleError(302, "this equivocation is on the ledger already")
    if len(device.equivocations) >= EQUIVOCATIONS_MAX:
        raise RuleError(306, "enough equivocations of this device are on record")
    if device.status == LIVE:
        device = _stop(device, SUSPENDED, context.height)
    _put(state, body.device, device._replace(equivocations=[*device.equivocations, (first, second, context.height)]))


def check_equivocation(device: DeviceValue, ueid: bytes, statements: tuple[bytes, bytes], verify: Verify) -> list[bytes]:
    """Identities of two readings statements of the device that claim one sequence for different readings. Raises RuleError 326."""
    try:
        opened = [statement.open_statement(data) for data in statements]
    except DecodeError as error:
        raise RuleError(326, f"not a statement: {error.text}") from error
    if not all(is_signed_by(signed, _key_of(device, signed.kid), verify) for signed, _ in opened):
        raise RuleError(326, "not signed by the device")
    (signed_a, a), (signed_b, b) = opened
    if any(item.kind != "readings" or item.device != ueid for item in (a, b)):
        raise RuleError(326, "not two readings statements of this device")
    if signed_a.identity == signed_b.identity:
        raise RuleError(326, "one statement twice is no contradiction")
    if a.first_seq + a.count <= b.first_seq or b.first_seq + b.count <= a.first_seq:
        raise RuleError(326, "the sequences do not overlap")
    return [signed_a.identity, signed_b.identity]


def _key_of(device: DeviceValue, kid: bytes) -> bytes:
    """COSE_Key that the device has or had under this id; it may have equivocated while its key was live or not."""
    for key in device.keys:
        if key.kid == kid:
            return bytes(key.cose_key)
    raise RuleError(326, "signed by a key that never was the device's")


def _own_device(state: Overlay, context: Context) -> Any:
    device = need(state, device_key(context.body.device), decode_device_value, "device")
    check_own(context, device.org, "device")
    return device


def _check_not_revoked(device: DeviceValue) -> None:
    if device.status == REVOKED:
        raise RuleError(322, "a revoked device stays revoked")


def _check_point(state: Overlay, context: Context, assignment: NewAssignment) -> None:
    check_own(context, need(state, point_key(assignment.point), decode_point, "metering point").org, "metering point")


def _open(new: NewAssignment) -> Assignment:
    return Assignment(new.channel, new.point, new.serial, new.table_hash, new.from_s, None)


def _end(earlier: Assignment, new: NewAssignment) -> Assignment:
    """An assignment as it stands after a new one; equal times leave it an empty range, which corrects a mistake in full sight."""
    if earlier.channel != new.channel or earlier.to_s is not None:
        return earlier
    if new.from_s < earlier.from_s:
        raise RuleError(306, f"the channel's assignment began later, at {earlier.from_s}")
    return earlier._replace(to_s=new.from_s)


def _stop(device: DeviceValue, status: int, height: int) -> Any:
    """The device no longer live from `height` on; a range that began in the same block is left empty."""
    live = list(device.live)
    if live[-1][1] is None:
        live[-1] = (live[-1][0], height)
    return device._replace(status=status, live=live)


def _put(state: Overlay, device: bytes, value: DeviceValue) -> None:
    state.put(device_key(device), encode_device_value(value))
