"""Values of the ledger's state (SPEC section 10) that only the ledger reads; the others and all keys are in shared/state.py.

In: fields, or bytes out of the state. Out: value bytes, frozen dataclasses. Never checks a rule.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from shared import cbor
from shared.errors import DecodeError, VerifyError
from shared.state import read_powers

_HEIGHT = (int, type(None))
FOUNDING_HEIGHT = 0  # only the genesis can make something that holds from height 0


@dataclass(frozen=True, slots=True)
class OrgValue:
    name: str
    from_height: int

    @property
    def founding(self) -> bool:
        """Whether the genesis named it."""
        return self.from_height == FOUNDING_HEIGHT


@dataclass(frozen=True, slots=True)
class KeyValue:
    """Key of a person, node or validator, good for heights in [from_height, to_height)."""

    org: bytes
    cose_key: bytes
    roles: tuple[str, ...]
    name: str
    from_height: int
    to_height: int | None = None

    def live_at(self, height: int) -> bool:
        """Whether it may sign in that block."""
        return self.from_height <= height and (self.to_height is None or height < self.to_height)


@dataclass(frozen=True, slots=True)
class PointValue:
    org: bytes
    name: str
    parent: bytes | None
    zone: str
    from_height: int


@dataclass(frozen=True, slots=True)
class FirmwareValue:
    org: bytes
    name: str
    version: str
    from_height: int
    to_height: int | None = None


@dataclass(frozen=True, slots=True)
class LogValue:
    """The evidence log of one origin, as far as batches have put it on the ledger."""

    org: bytes
    node_kid: bytes
    size: int
    root: bytes
    batches: int


def encode_org(value: OrgValue) -> bytes:
    """Value bytes."""
    return cbor.encode({1: value.name, 2: value.from_height})


def encode_key(value: KeyValue) -> bytes:
    """Value bytes."""
    roles = list(value.roles)
    return cbor.encode({1: value.org, 2: value.cose_key, 3: roles, 4: value.name, 5: value.from_height, 6: value.to_height})


def encode_point(value: PointValue) -> bytes:
    """Value bytes."""
    return cbor.encode({1: value.org, 2: value.name, 3: value.parent, 4: value.zone, 5: value.from_height})


def encode_firmware(value: FirmwareValue) -> bytes:
    """Value bytes."""
    return cbor.encode({1: value.org, 2: value.name, 3: value.version, 4: value.from_height, 5: value.to_height})


def encode_log(value: LogValue) -> bytes:
    """Value bytes."""
    return cbor.encode({1: value.org, 2: value.node_kid, 3: value.size, 4: value.root, 5: value.batches})


def encode_nonce(nonce: int) -> bytes:
    """Value bytes."""
    return cbor.encode(nonce)


def encode_validators(validators: list[tuple[bytes, int]]) -> bytes:
    """Value bytes: (kid, power) by kid."""
    return cbor.encode([list(validator) for validator in sorted(validators)])


def decode_org(data: bytes) -> OrgValue:
    """Raises VerifyError 271 for bytes that this ledger never wrote."""
    return OrgValue(*_fields(data, str, int))


@lru_cache(4096)
def decode_key(data: bytes) -> KeyValue:
    """Raises VerifyError 271. The same bytes are decoded once: every transaction asks for its signer's key."""
    org, cose_key, roles, *rest = _fields(data, bytes, bytes, list, str, int, _HEIGHT)
    return KeyValue(org, cose_key, tuple(_all(roles, str)), *rest)


def decode_point(data: bytes) -> PointValue:
    """Raises VerifyError 271."""
    return PointValue(*_fields(data, bytes, str, (bytes, type(None)), str, int))


def decode_firmware(data: bytes) -> FirmwareValue:
    """Raises VerifyError 271."""
    return FirmwareValue(*_fields(data, bytes, str, str, int, _HEIGHT))


def decode_log(data: bytes) -> LogValue:
    """Raises VerifyError 271."""
    return LogValue(*_fields(data, bytes, bytes, int, bytes, int))


def decode_nonce(data: bytes | None) -> int:
    """The next nonce; 0 for a key that never signed. Raises VerifyError 271."""
    return 0 if data is None else int(_typed(_decode(data), int))


def decode_validators(data: bytes) -> list[tuple[bytes, int]]:
    """(kid, power) by kid. Raises VerifyError 271."""
    try:
        return [(power.kid, power.power) for power in read_powers(_decode(data))]
    except DecodeError as error:
        raise VerifyError(271, f"the set of validators is broken: {error.text}") from error


def _fields(data: bytes, *types: type | tuple[type, ...]) -> list[Any]:
    """Values of the map 1, 2, …, each exactly of its type."""
    fields: Any = _typed(_decode(data), dict)
    if list(fields) != list(range(1, len(types) + 1)):
        raise VerifyError(271, "a state value of another shape")
    return [_typed(value, wanted) for value, wanted in zip(fields.values(), types, strict=True)]


def _all(values: list[Any], wanted: type) -> list[Any]:
    return [_typed(value, wanted) for value in values]


def _typed(value: object, wanted: type | tuple[type, ...]) -> Any:
    if type(value) not in (wanted if isinstance(wanted, tuple) else (wanted,)):
        raise VerifyError(271, "a state value of another shape")
    return value


def _decode(data: bytes) -> object:
    try:
        return cbor.decode(data)
    except DecodeError as error:
        raise VerifyError(271, "a state value is not CBOR") from error
