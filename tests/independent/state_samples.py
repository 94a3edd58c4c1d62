"""State values, receipts and block leaves that the vectors speak of (SPEC.md section 10).

In: the second encoder. Out: records, and their fields as CBOR maps. Never random.
"""

from tests.independent import faults, ledger, trees
from tests.independent import samples as s
from tests.independent.cbor_out import cbor
from tests.independent.signing import EdKey
from tests.independent.values import Named, fill

FIELD = 108
UINT = faults.uint(0, 2**63 - 1)
HEIGHT = faults.uint(1, 2**63 - 1)
HASH = [*faults.sized(32), ("is null", None)]
GENESIS_HASH = fill("genesis", 32)
PARAMS = Named("Params", genesis=GENESIS_HASH, format=1)


def device_key(key: EdKey, from_height: int, to_height: int | None, tier: int = 1) -> Named:
    return Named("DeviceKey", kid=key.kid, cose_key=key.cose_key, tier=tier, from_height=from_height, to_height=to_height)


def assignment(channel: int, from_s: int, to_s: int | None, point: bytes = s.POINT) -> Named:
    fields = {"channel": channel, "point": point, "serial": "0004711", "table_hash": s.TABLE_HASH, "from_s": from_s, "to_s": to_s}
    return Named("Assignment", **fields)


PAIR = sorted((fill("statement a", 32), fill("statement b", 32)))
DEVICE = Named(
    "DeviceValue",
    org=s.ORG,
    origin=s.ORIGIN,
    keys=[device_key(s.DEVICE_KEY, 5, None)],
    status=1,
    live=[[5, None]],
    assignments=[assignment(0, s.START_S - 3600, None)],
    firmware=s.FIRMWARE,
    evidence=fill("evidence hash", 32),
    equivocations=[],
)
SUSPENDED = DEVICE.with_(status=2, live=[[5, 90], [100, 120]], equivocations=[[*PAIR, 90]])
REVOKED = DEVICE.with_(
    status=3,
    keys=[device_key(s.OTHER_KEY, 5, 50), device_key(s.DEVICE_KEY, 50, 120, 2)],
    live=[[5, 120]],
    assignments=[assignment(0, 10, 20), assignment(0, 20, None, fill("other point", 10)), assignment(255, 0, None)],
)

VALIDATORS = sorted([EdKey(f"validator {i}") for i in range(4)], key=lambda key: key.kid)


def vote(key: EdKey, height: int, objected: list[int]) -> Named:
    return Named("Vote", kid=key.kid, height=height, objected=objected)


def power(key: EdKey, amount: int) -> Named:
    return Named("Power", kid=key.kid, power=amount)


BATCH = Named(
    "BatchValue",
    old_size=1000,
    new_size=1042,
    root=fill("log root", 32),
    height=7,
    snapshot=[power(key, 1) for key in VALIDATORS],
    votes=[vote(VALIDATORS[0], 8, []), vote(VALIDATORS[1], 8, [1000, 1041]), vote(VALIDATORS[2], 9, [1041])],
)
FIRST_BATCH = Named(
    "BatchValue", old_size=0, new_size=1, root=fill("log root", 32), height=1, snapshot=[power(s.VALIDATOR_KEY, 1)], votes=[]
)
RECEIPT = Named("Receipt", identity=fill("transaction", 32), height=7, index=0, code=0, effects=[])
BLOCK_LEAF = Named(
    "BlockLeaf",
    chain_id=s.CHAIN_ID,
    height=7,
    time_s=s.START_S,
    index=41,
    state_root=fill("state root", 32),
    params_hash=fill("params", 32),
)


def effects(*keys: list[object]) -> list[object]:
    return [[key, trees.h(key)] for key in sorted(cbor(key) for key in keys)]


def device_fields(value: Named) -> dict[int, object]:
    listed = {
        "keys": [list(key.fields.values()) for key in value.keys],
        "assignments": [list(item.fields.values()) for item in value.assignments],
    }
    return ledger.numbered(*{**value.fields, **listed}.values())


def batch_fields(value: Named) -> dict[int, object]:
    lists = {name: [list(item.fields.values()) for item in value.fields[name]] for name in ("snapshot", "votes")}
    return ledger.numbered(*{**value.fields, **lists}.values())


def receipt_fields(value: Named) -> dict[int, object]:
    return ledger.numbered(1, *value.fields.values(), start=0)
