"""The small world that the vectors speak of: one organization, its keys, one device with its meter, and what it signed.

In: nothing. Out: constants. Never random.
"""

from hashlib import sha256

from tests.independent import device
from tests.independent.signing import EdKey, P256Key, identity_of, sign1
from tests.independent.values import Named, fill

CHAIN_ID = "vector-chain"
ORIGIN = "example.org/vectors/evidence"
LEDGER_ORIGIN = "meterproof.ledger/" + CHAIN_ID
ORG = fill("organization", 10)
POINT = fill("metering point", 10)
UEID = b"\x01" + fill("device", 16)
OTHER_UEID = b"\x01" + fill("other device", 16)
START_S = 1_772_000_000

DEVICE_KEY = EdKey("device")
ELEMENT_KEY = P256Key("secure element")
NODE_KEY = EdKey("node")
VALIDATOR_KEY = EdKey("validator")
ADMIN_KEY = EdKey("admin")
OTHER_KEY = EdKey("nobody in particular")

IMAGE = [
    ("shared/cbor.mpy", sha256(b"cbor").digest()),
    ("edge/main.mpy", sha256(b"main").digest()),
    ("edge/meters/modbus.mpy", sha256(b"modbus").digest()),
    ("edge/meters.mpy", sha256(b"meters").digest()),
    ("shared/__init__.mpy", sha256(b"").digest()),
]
FIRMWARE = device.firmware_hash(IMAGE)

TABLE = Named(
    "ChannelTable",
    make="Exämple Meters",
    model="EM-3",
    serial="0004711",
    firmware="2.4.1",
    registers=[
        Named("Register", obis="1.8.0", direction="import", unit="Wh", exponent=0, kind="cumulative"),
        Named("Register", obis="2.8.0", direction="export", unit="Wh", exponent=1, kind="cumulative"),
        Named("Register", obis="32.7.0", direction="none", unit="V", exponent=-1, kind="instant"),
    ],
)
TABLE_BYTES = device.channel_table(TABLE)
TABLE_HASH = sha256(TABLE_BYTES).digest()


def reading(seq: int, time_s: int, registers: list[int | None], status: int = 0) -> Named:
    return Named("Reading", seq=seq, time_s=time_s, registers=registers, status=status)


READINGS = [
    reading(100, START_S, [5_000, 120, 2301]),
    reading(101, START_S + 60, [5_012, 120, 2298]),
    reading(102, START_S + 120, [None, None, None], 1),
    reading(103, START_S + 180, [5_040, 118, 2305]),
    reading(104, START_S + 181, [5_040, None, 2305], 3),
]
BUNDLE_SALT = fill("bundle salt", 16)
PREVIOUS = fill("previous statement", 32)


def readings_statement(readings: list[Named], **changes: object) -> Named:
    """The statement of these readings."""
    fields = {
        "kind": "readings",
        "device": UEID,
        "boot": 3,
        "previous": PREVIOUS,
        "firmware": FIRMWARE,
        "tier": 1,
        "channel": 0,
        "first_seq": readings[0].seq,
        "count": len(readings),
        "start_s": readings[0].time_s,
        "clock": 2,
        "channel_table": TABLE_HASH,
        "root": device.readings_root(BUNDLE_SALT, readings),
    }
    return device.statement(Named("Statement", **{**fields, **changes}))


STATEMENT = readings_statement(READINGS)
STATEMENT_BYTES = sign1(DEVICE_KEY, "readings", device.statement_payload(STATEMENT))
STATEMENT_IDENTITY = identity_of(DEVICE_KEY, "readings", device.statement_payload(STATEMENT))


def lost(first_seq: int, count: int, identity: bytes | None = None, reason: int = 1) -> Named:
    return Named("Lost", first_seq=first_seq, count=count, identity=identity, reason=reason)


def gap_statement(losses: list[Named], **changes: object) -> Named:
    common = {"device": UEID, "boot": 3, "previous": STATEMENT_IDENTITY, "firmware": FIRMWARE, "tier": 1}
    return device.statement(Named("Statement", **{"kind": "gap", **common, "lost": losses, **changes}))


def repair_statement(boot: int, uptime_s: int, utc_s: int, clock: int, **changes: object) -> Named:
    common = {"device": UEID, "boot": 3, "previous": STATEMENT_IDENTITY, "firmware": FIRMWARE, "tier": 1}
    repair = Named("Repair", boot=boot, uptime_s=uptime_s, utc_s=utc_s, clock=clock)
    return device.statement(Named("Statement", **{"kind": "time-repair", **common, "repair": repair, **changes}))


LOSSES = [lost(0, 60, fill("lost bundle", 32), 1), lost(60, 1, None, 2), lost(80, 2**32, None, 3)]
GAP = gap_statement(LOSSES)
REPAIR = repair_statement(2, 4_000, START_S - 500, 3)
