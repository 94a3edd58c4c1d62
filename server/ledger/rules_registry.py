"""Rules for organizations, people's keys, metering points and firmware reference values (SPEC section 9).

In: an Overlay and a Context whose signer is authenticated. Out: changes in the overlay, or RuleError 301..307. Never removes anything: what
ends gets the height from which it no longer holds.
"""

from dataclasses import replace
from hashlib import sha256

from shared import cose
from shared.errors import RuleError
from shared.state import firmware_key, key_key, org_key, point_key

from .bodies import ADMIN, ID_BYTES, INSTALLER
from .context import Context, check_new, check_own, check_role, need
from .lists import admins_list
from .state import Overlay, prefix_of
from .values import (
    FirmwareValue,
    KeyValue,
    OrgValue,
    PointValue,
    decode_firmware,
    decode_key,
    decode_org,
    decode_point,
    encode_firmware,
    encode_key,
    encode_org,
    encode_point,
)


def org_id(identity: bytes) -> bytes:
    """Id of the organization that an org.create makes."""
    return sha256(b"org" + identity).digest()[:ID_BYTES]


def point_id(identity: bytes) -> bytes:
    """Id of the metering point that a point.create makes."""
    return sha256(b"point" + identity).digest()[:ID_BYTES]


def create_org(state: Overlay, context: Context) -> None:
    """org.create: a new organization with its first admin, by an admin of the founding one."""
    check_role(context, ADMIN)
    if not need(state, org_key(context.org), decode_org, "organization").founding:
        raise RuleError(305, "only the founding organization makes others")
    org = org_id(context.tx.identity)
    check_new(state, org_key(org), "organization")
    state.put(org_key(org), encode_org(OrgValue(context.body.name, context.height)))
    _add_key(state, context, org, context.body.cose_key, (ADMIN,), context.body.key_name)


def add_key(state: Overlay, context: Context) -> None:
    """key.add: a key for this organization. A key id is used once, ever: a revoked one never comes back."""
    check_role(context, ADMIN)
    _add_key(state, context, context.org, context.body.cose_key, context.body.roles, context.body.name)


def _add_key(state: Overlay, context: Context, org: bytes, cose_key: bytes, roles: tuple[str, ...], name: str) -> None:
    kid = cose.kid_of(cose_key)
    check_new(state, key_key(kid), "key")
    state.put(key_key(kid), encode_key(KeyValue(org, cose_key, roles, name, context.height)))


def revoke_key(state: Overlay, context: Context) -> None:
    """key.revoke: the key no longer signs from this block on; the last admin of an organization stays."""
    check_role(context, ADMIN)
    kid = context.body.kid
    key = need(state, key_key(kid), decode_key, "key")
    check_own(context, key.org, "key")
    if key.to_height is not None:
        raise RuleError(307, "the key is revoked already")
    if ADMIN in key.roles and not has_other_admin(state, key.org, kid):
        raise RuleError(304, "an organization keeps its last admin")
    state.put(key_key(kid), encode_key(replace(key, to_height=context.height)))


def has_other_admin(state: Overlay, org: bytes, kid: bytes) -> bool:
    """Whether an organization has a live admin beside this key. Reads the keys changed since the last block, and so many members of the
    list of admins that one must be left if there is one."""
    changed = {key: decode_key(value) for key, value in state.changed(prefix_of("key")).items()}
    if any(key != key_key(kid) and value.org == org and ADMIN in value.roles and value.to_height is None for key, value in changed.items()):
        return True
    return any(member != kid and key_key(member) not in changed for member in state.members(admins_list(org), len(changed) + 2))


def create_point(state: Overlay, context: Context) -> None:
    """point.create: a metering point, perhaps below another of the same organization."""
    check_role(context, ADMIN, INSTALLER)
    body = context.body
    if body.parent is not None:
        check_own(context, need(state, point_key(body.parent), decode_point, "parent point").org, "parent point")
    key = point_key(point_id(context.tx.identity))
    check_new(state, key, "point")
    state.put(key, encode_point(PointValue(context.org, body.name, body.parent, body.zone, context.height)))


def add_firmware(state: Overlay, context: Context) -> None:
    """firmware.add: devices with this firmware may be enrolled. A withdrawn one never comes back."""
    check_role(context, ADMIN)
    key = firmware_key(context.body.firmware)
    check_new(state, key, "firmware")
    state.put(key, encode_firmware(FirmwareValue(context.org, context.body.name, context.body.version, context.height)))


def withdraw_firmware(state: Overlay, context: Context) -> None:
    """firmware.withdraw: by the organization that added it."""
    check_role(context, ADMIN)
    key = firmware_key(context.body.firmware)
    firmware = need(state, key, decode_firmware, "firmware")
    check_own(context, firmware.org, "firmware")
    if firmware.to_height is not None:
        raise RuleError(306, "the firmware is withdrawn already")
    state.put(key, encode_firmware(replace(firmware, to_height=context.height)))
