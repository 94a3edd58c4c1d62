"""Bodies of the transactions of SPEC section 9: what each field may hold, whatever the state says.

In: a transaction type and the decoded CBOR map. Out: one frozen dataclass per type. Never looks at the state: that is rules_*.py.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared import cbor, cose, ids
from shared.errors import DecodeError
from shared.state import OBJECTIONS_MAX
from shared.statement import STATEMENT_BYTES_MAX, TIER_MAX

ADMIN, INSTALLER, OPERATOR, NODE, VALIDATOR = "admin", "installer", "operator", "node", "validator"
ROLES = (ADMIN, INSTALLER, NODE, OPERATOR, VALIDATOR)  # in the order in which a role list is written
ID_BYTES = 10
HASH_BYTES = 32
NAME_BYTES_MAX = 128
CHANNELS_MAX = 64
PATH_MAX = 64
ENTRY_BYTES_MAX = 65535  # SPEC section 5: what a log can hold, statement or not
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+){0,3}")


@dataclass(frozen=True, slots=True)
class OrgCreate:
    name: str
    cose_key: bytes
    key_name: str


@dataclass(frozen=True, slots=True)
class KeyAdd:
    cose_key: bytes
    roles: tuple[str, ...]
    name: str


@dataclass(frozen=True, slots=True)
class KeyRevoke:
    kid: bytes


@dataclass(frozen=True, slots=True)
class PointCreate:
    name: str
    parent: bytes | None
    zone: str


@dataclass(frozen=True, slots=True)
class FirmwareAdd:
    firmware: bytes
    name: str
    version: str


@dataclass(frozen=True, slots=True)
class FirmwareWithdraw:
    firmware: bytes


@dataclass(frozen=True, slots=True)
class NewAssignment:
    """From `from_s` on, the meter with that serial behind the channel measures that point."""

    channel: int
    point: bytes
    serial: str
    table_hash: bytes
    from_s: int


@dataclass(frozen=True, slots=True)
class DeviceEnroll:
    device: bytes
    cose_key: bytes
    tier: int
    firmware: bytes
    origin: str
    assignments: tuple[NewAssignment, ...]
    evidence: bytes


@dataclass(frozen=True, slots=True)
class DeviceAssign:
    device: bytes
    assignment: NewAssignment


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Body of device.suspend, device.resume and device.revoke."""

    device: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class DeviceEquivocation:
    device: bytes
    first: bytes
    second: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    origin: str
    old_size: int
    new_size: int
    root: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Objection:
    """One statement of a batch that the validator does not accept, and why (an error code)."""

    index: int
    code: int
    statement: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Vote:
    origin: str
    number: int
    root: bytes
    objections: tuple[Objection, ...]


def decode_body(tx_type: str, value: object) -> Any:
    """The body of a transaction of that type. Raises DecodeError 108, 112 or 180."""
    decoder = DECODERS.get(tx_type)
    if decoder is None:
        raise DecodeError(180, "no such transaction type")
    count, build = decoder
    return build(cbor.check_map(value, tuple(range(1, count + 1))))


def check_name(value: object, least: int = 1) -> str:
    """A name for people: `least`..128 bytes of text without control characters."""
    text = cbor.check_text(value, NAME_BYTES_MAX)
    if len(text) < least or any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise DecodeError(108, "a name is empty or holds control characters")
    return text


def check_roles(value: object) -> tuple[str, ...]:
    """At least one role, each once, in alphabetical order: one spelling of one grant."""
    roles = tuple(cbor.check_list(value, len(ROLES), 1))
    if any(role not in ROLES for role in roles) or list(roles) != sorted(set(roles)):
        raise DecodeError(108, "roles are unknown, twice or out of alphabetical order")
    return roles


def check_key(value: object) -> bytes:
    """A COSE_Key."""
    return bytes(cose.decode_key(cbor.check_bytes(value, 1, 128)).data)


def _check_zone(value: object) -> str:
    zone = cbor.check_text(value, 64)
    if not _ZONE.fullmatch(zone):
        raise DecodeError(108, "not the name of an IANA zone")
    return zone


def _check_path(value: object, most: int = PATH_MAX) -> tuple[bytes, ...]:
    return tuple(cbor.check_bytes(step, HASH_BYTES) for step in cbor.check_list(value, most))


def _assignment(value: object) -> NewAssignment:
    channel, point, serial, table_hash, from_s = cbor.check_list(value, 5, 5)
    return NewAssignment(
        cbor.check_uint(channel, 255),
        cbor.check_bytes(point, ID_BYTES),
        check_name(serial, least=0),  # a pulse meter may have none
        cbor.check_bytes(table_hash, HASH_BYTES),
        cbor.check_uint(from_s),
    )


def _org_create(body: dict[int, Any]) -> OrgCreate:
    return OrgCreate(check_name(body[1]), check_key(body[2]), check_name(body[3]))


def _key_add(body: dict[int, Any]) -> KeyAdd:
    return KeyAdd(check_key(body[1]), check_roles(body[2]), check_name(body[3]))


def _key_revoke(body: dict[int, Any]) -> KeyRevoke:
    return KeyRevoke(cbor.check_bytes(body[1], cose.KID_BYTES))


def _point_create(body: dict[int, Any]) -> PointCreate:
    parent = None if body[2] is None else cbor.check_bytes(body[2], ID_BYTES)
    return PointCreate(check_name(body[1]), parent, _check_zone(body[3]))


def _firmware_add(body: dict[int, Any]) -> FirmwareAdd:
    return FirmwareAdd(cbor.check_bytes(body[1], HASH_BYTES), check_name(body[2]), check_name(body[3]))


def _firmware_withdraw(body: dict[int, Any]) -> FirmwareWithdraw:
    return FirmwareWithdraw(cbor.check_bytes(body[1], HASH_BYTES))


def _device_enroll(body: dict[int, Any]) -> DeviceEnroll:
    assignments = tuple(_assignment(item) for item in cbor.check_list(body[6], CHANNELS_MAX))
    channels = [assignment.channel for assignment in assignments]
    if channels != sorted(set(channels)):
        raise DecodeError(108, "channels are twice or out of order")
    tier = cbor.check_int(body[3], 1, TIER_MAX)
    firmware, evidence = cbor.check_bytes(body[4], HASH_BYTES), cbor.check_bytes(body[7], HASH_BYTES)
    return DeviceEnroll(ids.check_device(body[1]), check_key(body[2]), tier, firmware, ids.check_origin(body[5]), assignments, evidence)


def _device_assign(body: dict[int, Any]) -> DeviceAssign:
    return DeviceAssign(ids.check_device(body[1]), _assignment(body[2]))


def _device_status(body: dict[int, Any]) -> DeviceStatus:
    return DeviceStatus(ids.check_device(body[1]), check_name(body[2]))


def _device_equivocation(body: dict[int, Any]) -> DeviceEquivocation:
    first, second = (cbor.check_bytes(body[key], 1, STATEMENT_BYTES_MAX) for key in (2, 3))
    return DeviceEquivocation(ids.check_device(body[1]), first, second)


def _batch(body: dict[int, Any]) -> Batch:
    sizes = cbor.check_uint(body[2]), cbor.check_uint(body[3])
    return Batch(ids.check_origin(body[1]), *sizes, cbor.check_bytes(body[4], HASH_BYTES), _check_path(body[5], 2 * PATH_MAX))


def _objection(value: object) -> Objection:
    index, code, statement, path = cbor.check_list(value, 4, 4)
    return Objection(
        cbor.check_uint(index), cbor.check_int(code, 100, 499), cbor.check_bytes(statement, 0, ENTRY_BYTES_MAX), _check_path(path)
    )


def _vote(body: dict[int, Any]) -> Vote:
    objections = tuple(_objection(item) for item in cbor.check_list(body[4], OBJECTIONS_MAX))
    indices = [objection.index for objection in objections]
    if indices != sorted(set(indices)):
        raise DecodeError(108, "objections are twice or out of order")
    return Vote(ids.check_origin(body[1]), cbor.check_uint(body[2]), cbor.check_bytes(body[3], HASH_BYTES), objections)


DECODERS: dict[str, tuple[int, Callable[[dict[int, Any]], Any]]] = {
    "org.create": (3, _org_create),
    "key.add": (3, _key_add),
    "key.revoke": (1, _key_revoke),
    "point.create": (3, _point_create),
    "firmware.add": (3, _firmware_add),
    "firmware.withdraw": (1, _firmware_withdraw),
    "device.enroll": (7, _device_enroll),
    "device.assign": (2, _device_assign),
    "device.suspend": (2, _device_status),
    "device.resume": (2, _device_status),
    "device.revoke": (2, _device_status),
    "device.equivocation": (3, _device_equivocation),
    "batch": (5, _batch),
    "vote": (4, _vote),
}
