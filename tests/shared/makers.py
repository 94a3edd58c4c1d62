"""Right values of every record, to be changed by one thing in a test, and strategies of readings.

In: fields to change. Out: named tuples of shared/types.py and shared/state.py. Never random, but in the strategies.
"""

import pytest
from hypothesis import strategies as st

from shared import bundle, channel, cose, state
from shared.errors import MeterproofError
from shared.types import Ack, ChannelTable, Evidence, Lost, Reading, Refusal, Register, Repair, Statement

DEVICE = b"\x01" + bytes(range(16))
ORIGIN = "example.org/demo/evidence"
SALT = bytes(range(100, 116))
X = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")  # RFC 8032 7.1, test 1
KEY = cose.encode_key_ed25519(X)
KID = cose.kid_of(KEY)
KID2 = bytes(15) + b"\x02"
INT64_MAX = 2**63 - 1

REGISTER = Register("2.8.0", "export", "Wh", 0, "cumulative")
TABLE = ChannelTable("Make", "Model", "0815", "1.0", [REGISTER, Register("1.7.0", "import", "W", -1, "instant")])
TABLE_BYTES = channel.encode_table(TABLE)


def code_of(call, *arguments: object) -> int:
    """The code of the error that the call must raise."""
    with pytest.raises(MeterproofError) as caught:
        call(*arguments)
    return caught.value.code


def reading(place: int, **changes: object) -> Reading:
    return Reading(place, 1_700_000_000 + place, [place * 7, -3], 0)._replace(**changes)


def readings(count: int, width: int = 2) -> list[Reading]:
    return [Reading(50 + i, 1_700_000_000 + 60 * i, [i * i * (r + 1) for r in range(width)], 0) for i in range(count)]


def statement_of(rows: list[Reading], salt: bytes = SALT, **changes: object) -> Statement:
    """A readings statement over these rows."""
    root = bundle.readings_root(salt, rows)
    fields = [DEVICE, 1, None, bytes(32), 1, 0, rows[0].seq, len(rows), rows[0].time_s, 2, channel.table_hash(TABLE_BYTES), root]
    return Statement("readings", *fields, None, None)._replace(**changes)


def gap(lost: list[Lost], **changes: object) -> Statement:
    return Statement("gap", DEVICE, 1, bytes(32), bytes(32), 1, *[None] * 7, lost, None)._replace(**changes)


def repair(boot: int = 1, uptime_s: int = 5, utc_s: int = 1_700_000_000, clock: int = 2) -> Statement:
    return Statement("time-repair", DEVICE, 1, bytes(32), bytes(32), 1, *[None] * 8, Repair(boot, uptime_s, utc_s, clock))


def ack(**changes: object) -> Ack:
    return Ack(ORIGIN, DEVICE, 10, bytes(32), [(12, 3), (20, 1)], 99)._replace(**changes)


def refusal(**changes: object) -> Refusal:
    return Refusal(ORIGIN, DEVICE, bytes(32), 322, "the device is revoked")._replace(**changes)


def evidence(**changes: object) -> Evidence:
    fields = [
        KEY,
        bytes(32),
        DEVICE,
        b"unix",
        5,
        0,
        1,
        bytes(16),
        "meterproof-edge",
        "0.1.0",
        1,
        bytes(32),
        "cpython 3.11.7",
        {0: TABLE_BYTES},
    ]
    return Evidence(*fields)._replace(**changes)


def device_value(**changes: object) -> state.DeviceValue:
    assignment = state.Assignment(0, bytes(10), "0815", bytes(32), 1_700_000_000, None)
    key = state.DeviceKey(KID, KEY, 1, 5, None)
    fields = [bytes(10), ORIGIN, [key], state.LIVE, [(5, None)], [assignment], bytes(32), bytes(32), []]
    return state.DeviceValue(*fields)._replace(**changes)


def batch_value(powers: tuple[int, ...] = (1,), votes: tuple[tuple[int, tuple[int, ...]], ...] = ((0, ()),)) -> state.BatchValue:
    """Validator i has powers[i]; votes are (validator, objected log indices) on a batch of [100, 200)."""
    kids = [i.to_bytes(16, "big") for i in range(len(powers))]
    snapshot = [state.Power(kids[i], power) for i, power in enumerate(powers)]
    return state.BatchValue(100, 200, bytes(32), 7, snapshot, [state.Vote(kids[i], 8, list(objected)) for i, objected in votes])


int64s = st.integers(-(2**63), INT64_MAX)


@st.composite
def bundles(draw) -> list[Reading]:  # type: ignore[no-untyped-def]
    """1..12 readings of 1..4 registers with times that do not fall and nulls that go with the status."""
    width = draw(st.integers(1, 4))
    first_seq = draw(st.integers(0, 2**62))
    time_s = draw(st.integers(0, 2**40))
    rows = []
    for i in range(draw(st.integers(1, 12))):
        status = draw(st.integers(0, 5))
        value = st.none() if status == 1 else st.none() | int64s if status == 3 else int64s | st.integers(0, 3)
        rows.append(Reading(first_seq + i, time_s, draw(st.lists(value, min_size=width, max_size=width)), status))
        time_s += draw(st.integers(0, 2**30) | st.sampled_from([0, 60]))
    return rows
