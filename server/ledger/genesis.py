"""The genesis: who may do what before the first block (SPEC section 9).

In: chain id, founding organization, keys with roles, validators, logs. Out: bytes whose SHA-256 every policy pins; or a Genesis.
Never holds anything secret.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

from shared import cbor, cose, ids, merkle
from shared.errors import DecodeError
from shared.state import FORMAT as FORMAT_NUMBER
from shared.state import (
    PARAMS_KEY,
    POWER_MAX,
    VALIDATORS_KEY,
    VALIDATORS_MAX,
    Params,
    check_chain_id,
    encode_params,
    key_key,
    log_key,
    org_key,
)

from .bodies import ADMIN, ID_BYTES, NODE, VALIDATOR, check_key, check_name, check_roles
from .values import FOUNDING_HEIGHT, KeyValue, LogValue, OrgValue, encode_key, encode_log, encode_org, encode_validators

FORMAT = "meterproof/genesis/1"
GENESIS_BYTES_MAX = 65536
KEYS_MAX = 256
LOGS_MAX = 256

KeyGrant = tuple[bytes, tuple[str, ...], str]


@dataclass(frozen=True, slots=True)
class Genesis:
    """`keys`: (COSE_Key, roles, name); `validators`: (kid, power) by kid; `logs`: (origin, node kid)."""

    data: bytes
    chain_id: str
    time_s: int
    org: bytes
    name: str
    keys: tuple[KeyGrant, ...]
    validators: tuple[tuple[bytes, int], ...]
    logs: tuple[tuple[str, bytes], ...]

    @property
    def hash(self) -> bytes:
        """SHA-256 of the bytes."""
        return sha256(self.data).digest()


def build_genesis(
    chain_id: str,
    time_s: int,
    org: bytes,
    name: str,
    keys: Iterable[tuple[bytes, Sequence[str], str]],
    validators: Iterable[tuple[bytes, int]],
    logs: Iterable[tuple[str, bytes]],
) -> bytes:
    """Genesis bytes; keys: (COSE_Key, roles, name), validators: (COSE_Key, power), logs: (origin, node kid). Raises DecodeError 181."""
    grants = [[key, sorted(roles), label] for key, roles, label in keys]
    powers = [[key, power] for key, power in validators]
    origins = [[origin, kid] for origin, kid in logs]
    data = cbor.encode({0: FORMAT, 1: chain_id, 2: time_s, 3: [org, name], 4: grants, 5: powers, 6: origins})
    decode_genesis(data)
    return data


def decode_genesis(data: bytes) -> Genesis:
    """The genesis, checked in itself. Raises DecodeError 181."""
    try:
        return _decode(data)
    except DecodeError as error:
        raise DecodeError(181, f"genesis: {error.text}") from error


def _decode(data: bytes) -> Genesis:
    fields = cbor.check_map(cbor.decode(data, GENESIS_BYTES_MAX), (0, 1, 2, 3, 4, 5, 6))
    if fields[0] != FORMAT:
        raise DecodeError(108, "another format")
    org, name = cbor.check_list(fields[3], 2, 2)
    keys = tuple(_grant(item) for item in cbor.check_list(fields[4], KEYS_MAX, 1))
    roles = {cose.kid_of(key): granted for key, granted, _ in keys}
    if len(roles) != len(keys) or not any(ADMIN in granted for granted in roles.values()):
        raise DecodeError(108, "a key is there twice, or there is no admin")
    validators = tuple(sorted(_validator(item, roles) for item in cbor.check_list(fields[5], VALIDATORS_MAX, 1)))
    logs = tuple(_log(item, roles) for item in cbor.check_list(fields[6], LOGS_MAX))
    if len({kid for kid, _ in validators}) != len(validators) or len({origin for origin, _ in logs}) != len(logs):
        raise DecodeError(108, "a validator or an origin is there twice")
    chain_id, time_s = check_chain_id(fields[1]), cbor.check_uint(fields[2])
    return Genesis(data, chain_id, time_s, cbor.check_bytes(org, ID_BYTES), check_name(name), keys, validators, logs)


def _grant(value: object) -> KeyGrant:
    key, roles, name = cbor.check_list(value, 3, 3)
    return check_key(key), check_roles(roles), check_name(name)


def _validator(value: object, roles: dict[bytes, tuple[str, ...]]) -> tuple[bytes, int]:
    key, power = cbor.check_list(value, 2, 2)
    kid = cose.kid_of(check_key(key))
    if VALIDATOR not in roles.get(kid, ()):
        raise DecodeError(108, "a validator's key is not among the keys with that role")
    return kid, cbor.check_int(power, 1, POWER_MAX)


def _log(value: object, roles: dict[bytes, tuple[str, ...]]) -> tuple[str, bytes]:
    origin, kid = cbor.check_list(value, 2, 2)
    if NODE not in roles.get(cbor.check_bytes(kid, cose.KID_BYTES), ()):
        raise DecodeError(108, "a log's node is not among the keys with that role")
    return ids.check_origin(origin), kid


def genesis_values(genesis: Genesis) -> dict[bytes, bytes]:
    """The state before the first block, by state key."""
    values = {
        PARAMS_KEY: encode_params(Params(genesis.hash, FORMAT_NUMBER)),
        VALIDATORS_KEY: encode_validators(list(genesis.validators)),
        org_key(genesis.org): encode_org(OrgValue(genesis.name, FOUNDING_HEIGHT)),
    }
    for cose_key, roles, name in genesis.keys:
        values[key_key(cose.kid_of(cose_key))] = encode_key(KeyValue(genesis.org, cose_key, roles, name, FOUNDING_HEIGHT))
    for origin, kid in genesis.logs:
        values[log_key(origin)] = encode_log(LogValue(genesis.org, kid, 0, merkle.EMPTY_ROOT, 0))
    return values
