"""What device, node and verifier must agree on of the ledger's state (SPEC 10): keys, the values that proofs carry, what follows from them.

In: named tuples, or bytes of a value. Out: bytes, or named tuples. Decoding refuses every second way to write a value: lists are ascending
and without repetition, ranges half-open. Never changes a state: that is `server/ledger`.

Errors: DecodeError 100..108, 112; VerifyError 243, 244, 245; RuleError 320, 321, 325.
"""

from collections import namedtuple

from . import cbor, cose, ids
from .errors import DecodeError, RuleError, VerifyError
from .statement import CHANNEL_MAX, TIER_MAX

FORMAT = 1
LIVE, SUSPENDED, REVOKED = 1, 2, 3
ID_BYTES = 10
CHAIN_ID_CHARS_MIN = 3
CHAIN_ID_CHARS_MAX = 40
SERIAL_BYTES_MAX = 256
KEYS_MAX = 16
LIVE_MAX = 256
ASSIGNMENTS_MAX = 256
EQUIVOCATIONS_MAX = 64
VALIDATORS_MAX = 100
OBJECTIONS_MAX = 64
EFFECTS_MAX = 64
POWER_MAX = 1 << 53
STATE_KEY_BYTES_MAX = 256
TIME_OPEN = 1 << 63  # after every time there is

Params = namedtuple("Params", ("genesis", "format"))
DeviceKey = namedtuple("DeviceKey", ("kid", "cose_key", "tier", "from_height", "to_height"))
Assignment = namedtuple("Assignment", ("channel", "point", "serial", "table_hash", "from_s", "to_s"))
DeviceValue = namedtuple("DeviceValue", ("org", "origin", "keys", "status", "live", "assignments", "firmware", "evidence", "equivocations"))
"""keys: list of DeviceKey by height; live: list of (from height, to height or None); assignments: list of Assignment by channel and time;
equivocations: list of (identity, identity, height) by height."""
Power = namedtuple("Power", ("kid", "power"))
Vote = namedtuple("Vote", ("kid", "height", "objected"))
BatchValue = namedtuple("BatchValue", ("old_size", "new_size", "root", "height", "snapshot", "votes"))
"""snapshot: list of Power by kid; votes: list of Vote by kid, objected: log indices, ascending."""
Receipt = namedtuple("Receipt", ("identity", "height", "index", "code", "effects"))
"""effects: list of (state key, SHA-256 of its new value) by key."""
BlockLeaf = namedtuple("BlockLeaf", ("chain_id", "height", "time_s", "index", "state_root", "params_hash"))


# --- state keys

PARAMS_KEY = cbor.encode(["params"])
VALIDATORS_KEY = cbor.encode(["validators"])


def org_key(org: bytes) -> bytes:
    return cbor.encode(["org", org])


def key_key(kid: bytes) -> bytes:
    return cbor.encode(["key", kid])


def nonce_key(kid: bytes) -> bytes:
    return cbor.encode(["nonce", kid])


def point_key(point: bytes) -> bytes:
    return cbor.encode(["point", point])


def firmware_key(firmware: bytes) -> bytes:
    return cbor.encode(["firmware", firmware])


def device_key(device: bytes) -> bytes:
    return cbor.encode(["device", device])


def log_key(origin: str) -> bytes:
    return cbor.encode(["log", origin])


def batch_key(origin: str, number: int) -> bytes:
    return cbor.encode(["batch", origin, number])


# --- checks of single values


def check_chain_id(value: object) -> str:
    """3 to 40 of [a-z0-9-]. Raises DecodeError 108."""
    text = cbor.check_text(value, CHAIN_ID_CHARS_MAX)
    if len(text) < CHAIN_ID_CHARS_MIN or not all(char in "abcdefghijklmnopqrstuvwxyz0123456789-" for char in text):
        raise DecodeError(108, "not a chain id of 3 to 40 of [a-z0-9-]")
    return text


def check_height(value: object) -> int:
    """Heights begin at 1. Raises DecodeError 108."""
    return cbor.check_int(value, 1)


def check_span(start: object, end: object) -> int:
    """End of a half-open range, open ones end after everything; empty ones occur when it ends where it began. Raises DecodeError 108."""
    cbor.check_uint(start)
    return TIME_OPEN if end is None else cbor.check_int(end, start)  # type: ignore[arg-type]


def _check_ascending(items: list[object], what: str) -> None:
    for i in range(1, len(items)):
        if not items[i - 1] < items[i]:  # type: ignore[operator]
            raise DecodeError(108, what + " out of order or twice")


# --- parameters


def encode_params(params: Params) -> bytes:
    data = cbor.encode({1: params.genesis, 2: params.format})
    decode_params(data)
    return data


def decode_params(data: bytes) -> Params:
    """Raises DecodeError 100..108; the format must be the one known here."""
    fields = cbor.check_map(cbor.decode(data), (1, 2))
    return Params(cbor.check_bytes(fields[1], 32), cbor.check_int(fields[2], FORMAT, FORMAT))


# --- device


def encode_device_value(value: DeviceValue) -> bytes:
    """Puts assignments into their order. Raises DecodeError 108, 112 for what a reader would refuse."""
    assignments = sorted(value.assignments, key=lambda a: (a[0], a[4], TIME_OPEN if a[5] is None else a[5]))
    data = cbor.encode(
        {
            1: value.org,
            2: value.origin,
            3: value.keys,
            4: value.status,
            5: value.live,
            6: assignments,
            7: value.firmware,
            8: value.evidence,
            9: value.equivocations,
        }
    )
    decode_device_value(data)
    return data


def decode_device_value(data: bytes) -> DeviceValue:
    """Raises DecodeError 100..108, 112."""
    fields = cbor.check_map(cbor.decode(data), (1, 2, 3, 4, 5, 6, 7, 8, 9))
    status = cbor.check_int(fields[4], LIVE, REVOKED)
    live = _read_live(fields[5])
    if (status == LIVE) != (len(live) > 0 and live[-1][1] is None):
        raise DecodeError(108, "status and live range disagree")
    return DeviceValue(
        cbor.check_bytes(fields[1], ID_BYTES),
        ids.check_origin(fields[2]),
        _read_device_keys(fields[3]),
        status,
        live,
        _read_assignments(fields[6]),
        cbor.check_bytes(fields[7], 32),
        cbor.check_bytes(fields[8], 32),
        _read_equivocations(fields[9]),
    )


def _read_device_keys(value: object) -> list[DeviceKey]:
    keys: list[DeviceKey] = []
    for item in cbor.check_list(value, KEYS_MAX, 1):
        kid, cose_key, tier, from_height, to_height = cbor.check_list(item, 5, 5)
        if cbor.check_bytes(kid, cose.KID_BYTES) != cose.kid_of(cose.decode_key(cbor.check_bytes(cose_key, 1, 128)).data):
            raise DecodeError(108, "key id of another key")
        cbor.check_int(tier, 1, TIER_MAX)
        check_span(check_height(from_height), to_height)
        if any(key.kid == kid for key in keys) or (keys and from_height < keys[-1].from_height):
            raise DecodeError(108, "keys of a device out of order or twice")
        keys.append(DeviceKey(kid, cose_key, tier, from_height, to_height))
    return keys


def _read_live(value: object) -> list[tuple[int, int | None]]:
    live = []
    end = 1
    for item in cbor.check_list(value, LIVE_MAX, 1):
        from_height, to_height = cbor.check_list(item, 2, 2)
        if cbor.check_uint(from_height) < end:
            raise DecodeError(108, "live ranges out of order or overlapping")
        end = check_span(from_height, to_height)
        live.append((from_height, to_height))
    return live


def _read_assignments(value: object) -> list[Assignment]:
    found: list[Assignment] = []
    channel_before, end = -1, 0
    for item in cbor.check_list(value, ASSIGNMENTS_MAX):
        channel, point, serial, table_hash, from_s, to_s = cbor.check_list(item, 6, 6)
        if cbor.check_uint(channel, CHANNEL_MAX) < channel_before:
            raise DecodeError(108, "assignments out of order")
        if cbor.check_uint(from_s) < end and channel == channel_before:
            raise DecodeError(108, "assignments of a channel out of order or overlapping")
        channel_before, end = channel, check_span(from_s, to_s)
        cbor.check_text(serial, SERIAL_BYTES_MAX)
        found.append(Assignment(channel, cbor.check_bytes(point, ID_BYTES), serial, cbor.check_bytes(table_hash, 32), from_s, to_s))
    return found


def _read_equivocations(value: object) -> list[tuple[bytes, bytes, int]]:
    found: list[tuple[bytes, bytes, int]] = []
    height_before = 1
    for item in cbor.check_list(value, EQUIVOCATIONS_MAX):
        first, second, height = cbor.check_list(item, 3, 3)
        if not cbor.check_bytes(first, ids.IDENTITY_BYTES) < cbor.check_bytes(second, ids.IDENTITY_BYTES):
            raise DecodeError(108, "identities of an equivocation are not ascending")
        if any(earlier[:2] == (first, second) for earlier in found):
            raise DecodeError(108, "an equivocation twice")
        height_before = cbor.check_int(height, height_before)
        found.append((first, second, height))
    return found


def live_key_at(value: DeviceValue | None, kid: bytes, height: int) -> DeviceKey:
    """The device's key of that id, live at that height. Raises RuleError 320 when it never was the device's, 321 when not live then."""
    key: DeviceKey | None = None
    for item in value.keys if value is not None else ():
        if item.kid == kid:
            key = item
    if value is None or key is None:
        raise RuleError(320, "the device was never enrolled with this key")
    if height < key.from_height:
        raise RuleError(321, "the key was enrolled later, at height " + str(key.from_height))
    if key.to_height is not None and height >= key.to_height:
        raise RuleError(321, "the key ended before, at height " + str(key.to_height))
    ended = 0
    for from_height, to_height in value.live:
        if from_height <= height and (to_height is None or height < to_height):
            return key
        if to_height is not None and to_height <= height:
            ended = to_height
    what = "revoked" if value.status == REVOKED and ended == value.live[-1][1] else "suspended"
    raise RuleError(321, "the device was enrolled later" if not ended else "the device was " + what + " before, at height " + str(ended))


def assignment_at(value: DeviceValue, channel: int, time_s: int) -> Assignment:
    """Whom the channel served at that time. Raises RuleError 325."""
    for item in value.assignments:
        if item.channel == channel and item.from_s <= time_s and (item.to_s is None or time_s < item.to_s):
            return item  # type: ignore[no-any-return]
    raise RuleError(325, "channel " + str(channel) + " was assigned to no metering point then")


# --- batch


def encode_batch_value(value: BatchValue) -> bytes:
    """Puts snapshot and votes into the order of their kids. Raises DecodeError 108 for what a reader would refuse."""
    votes = [[kid, height, sorted(objected)] for kid, height, objected in sorted(value.votes)]
    data = cbor.encode({1: value.old_size, 2: value.new_size, 3: value.root, 4: value.height, 5: sorted(value.snapshot), 6: votes})
    decode_batch_value(data)
    return data


def decode_batch_value(data: bytes) -> BatchValue:
    """Raises DecodeError 100..108."""
    fields = cbor.check_map(cbor.decode(data), (1, 2, 3, 4, 5, 6))
    old_size = cbor.check_uint(fields[1])
    new_size = cbor.check_int(fields[2], old_size + 1)
    height = check_height(fields[4])
    snapshot = read_powers(fields[5])
    votes = []
    for item in cbor.check_list(fields[6], len(snapshot)):
        kid, voted_height, objected = cbor.check_list(item, 3, 3)
        if not any(power.kid == kid for power in snapshot):
            raise DecodeError(108, "a vote of nobody in the snapshot")
        cbor.check_int(voted_height, height)
        _check_ascending([cbor.check_int(i, old_size, new_size - 1) for i in cbor.check_list(objected, OBJECTIONS_MAX)], "objections")
        votes.append(Vote(kid, voted_height, objected))
    _check_ascending([vote.kid for vote in votes], "votes")
    return BatchValue(old_size, new_size, cbor.check_bytes(fields[3], 32), height, snapshot, votes)


def read_powers(value: object) -> list[Power]:
    """`[[kid, power]…]` by kid, as in a snapshot and in the validators' own value. Raises DecodeError 108."""
    powers = []
    for item in cbor.check_list(value, VALIDATORS_MAX, 1):
        kid, power = cbor.check_list(item, 2, 2)
        powers.append(Power(cbor.check_bytes(kid, cose.KID_BYTES), cbor.check_int(power, 1, POWER_MAX)))
    _check_ascending([power.kid for power in powers], "validators")
    return powers


def check_counts(value: BatchValue, log_index: int) -> None:
    """More than 2/3 of the power must have voted without objecting to this statement.

    Raises VerifyError 245 for an index outside the batch, 243 when too few voted at all, 244 when too many objected.
    """
    if not value.old_size <= log_index < value.new_size:
        raise VerifyError(245, "the statement is not in this batch")
    total = voted = agreed = 0
    objected = {vote.kid: log_index in vote.objected for vote in value.votes}
    for kid, power in value.snapshot:
        total += power
        if kid in objected:
            voted += power
            agreed += 0 if objected[kid] else power
    if 3 * voted <= 2 * total:
        raise VerifyError(243, "too few votes: " + str(voted) + " of " + str(total))
    if 3 * agreed <= 2 * total:
        raise VerifyError(244, "objected to: only " + str(agreed) + " of " + str(total) + " agree")


# --- entries of the ledger log


def encode_receipt(receipt: Receipt) -> bytes:
    """Puts effects into the order of their keys. Raises DecodeError 108."""
    effects = sorted(receipt.effects)
    data = cbor.encode({0: 1, 1: receipt.identity, 2: receipt.height, 3: receipt.index, 4: receipt.code, 5: effects})
    decode_receipt(data)
    return data


def decode_receipt(data: bytes) -> Receipt:
    """Raises DecodeError 100..108."""
    fields = cbor.check_map(cbor.decode(data), (0, 1, 2, 3, 4, 5))
    cbor.check_int(fields[0], 1, 1)
    effects = []
    for item in cbor.check_list(fields[5], EFFECTS_MAX):
        key, value_hash = cbor.check_list(item, 2, 2)
        effects.append((cbor.check_bytes(key, 1, STATE_KEY_BYTES_MAX), cbor.check_bytes(value_hash, 32)))
    _check_ascending([key for key, _ in effects], "effects")
    code = cbor.check_uint(fields[4], 999)
    if 0 < code < 100 or (code and effects):
        raise DecodeError(108, "not the code of an error, or effects of a transaction that failed")
    identity = cbor.check_bytes(fields[1], ids.IDENTITY_BYTES)
    return Receipt(identity, check_height(fields[2]), cbor.check_uint(fields[3]), code, effects)


def encode_block_leaf(leaf: BlockLeaf) -> bytes:
    """Raises DecodeError 108."""
    fields = {0: 0, 1: leaf.chain_id, 2: leaf.height, 3: leaf.time_s, 4: leaf.index, 5: leaf.state_root, 6: leaf.params_hash}
    data = cbor.encode(fields)
    decode_block_leaf(data)
    return data


def decode_block_leaf(data: bytes) -> BlockLeaf:
    """Raises DecodeError 100..108."""
    fields = cbor.check_map(cbor.decode(data), (0, 1, 2, 3, 4, 5, 6))
    cbor.check_int(fields[0], 0, 0)
    return BlockLeaf(
        check_chain_id(fields[1]),
        check_height(fields[2]),
        cbor.check_uint(fields[3]),
        cbor.check_uint(fields[4]),
        cbor.check_bytes(fields[5], 32),
        cbor.check_bytes(fields[6], 32),
    )
