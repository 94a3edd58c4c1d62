"""What the stores say about devices and about what was not let in, as far as it matters to an operator.

In: the evidence store, the ledger, attestations, the time. Out: plain records. Never writes, never decides what is wrong with them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import aiosqlite

from server import fastcbor
from server.evidence.chain import decode_chain
from server.evidence.findings import CLOCK_SIMULATED, CLOCK_UNSYNCED
from server.evidence.log import EvidenceLog
from server.ledger.blocks import BLOCK_BYTES_MAX
from server.ledger.engines.embedded import EmbeddedLedger
from server.registry.attestation import Attestations
from server.store.sqlite import fetch
from shared import cbor
from shared.errors import DecodeError
from shared.state import SUSPENDED, DeviceValue, decode_device_value

EVENTS_S = 86400
DEVICES_A_STEP = 20
# Of each device the six latest bundles by sequence: their distance is its interval.
_LAST = (
    "SELECT s.device, s.start_s, s.clock, r.received_s FROM chains c JOIN statements s ON s.log_index IN"
    " (SELECT log_index FROM statements WHERE device = c.device AND first_seq >= 0 ORDER BY first_seq DESC LIMIT 6)"
    " JOIN rows r ON r.log_index = s.log_index"
)
_EVENTS = (
    "SELECT f.device, f.kind, count(*), f.detail, r.received_s, max(f.log_index) FROM findings f JOIN rows r ON r.log_index = f.log_index"
    " WHERE f.log_index >= ? GROUP BY f.device, f.kind"
)
_BEGUN = (
    "SELECT f.device, f.kind, r.received_s, max(f.log_index) FROM findings f JOIN rows r ON r.log_index = f.log_index"
    " WHERE f.kind IN ('firmware-differs', 'tier-differs', 'clock-unsynced', 'clock-simulated', 'channel-table-unknown', 'not-assigned',"
    " 'channel-table-differs', 'meter-differs') GROUP BY f.device, f.kind"
)
_QUARANTINE = (
    "SELECT q.code, g.count, g.held, g.first_s, q.received_s, q.topic, q.reason FROM (SELECT count(*) AS count,"
    " sum(length(body)) AS held, min(received_s) AS first_s, max(id) AS last FROM quarantine GROUP BY code) g"
    " JOIN quarantine q ON q.id = g.last ORDER BY q.code"
)


@dataclass(frozen=True)
class Event:
    """Findings of one kind about one device: how many, when the last came, what it said."""

    kind: str
    count: int
    last_s: int
    detail: str


@dataclass(frozen=True)
class DeviceFacts:
    """One enrolled device. `conditions`: what is odd about it now, by kind (detail, since); `events`: what happened in the last day."""

    device: bytes
    org: bytes
    status: int
    enrolled_s: int
    suspended_s: int | None = None
    last_s: int | None = None  # when its newest bundle came
    interval_s: int | None = None  # at which it sends bundles
    missing: int = 0  # sequences below its highest that are neither here nor named lost
    conditions: Mapping[str, tuple[str, int | None]] = field(default_factory=dict)
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class Quarantined:
    """Samples with one error code."""

    code: int
    count: int
    sample_bytes: int
    first_s: int
    last_s: int
    topic: str
    reason: str


@dataclass(frozen=True)
class Pending:
    """A device that waits for enrolment by an organization."""

    device: bytes
    org: bytes
    since_s: int


@dataclass(frozen=True)
class Facts:
    """All of it at one moment."""

    now_s: int
    devices: tuple[DeviceFacts, ...]
    quarantine: tuple[Quarantined, ...]
    pending: tuple[Pending, ...]


async def read_facts(log: EvidenceLog, ledger: EmbeddedLedger, attestations: Attestations, now_s: int) -> Facts:
    """Everything at once. Raises Unavailable when a store cannot be read."""
    conn = log.store.reader
    said = await _said(conn, now_s)
    times = BlockTimes(ledger)
    devices = [_of_device(times, device, value, said.get(device, {})) async for device, value in _enrolled(ledger)]
    quarantine = [Quarantined(*row) for row in await fetch(conn, _QUARANTINE)]
    pending: dict[tuple[bytes, bytes], int] = {}
    for row in await attestations.pending():
        pending.setdefault((row.device, row.org), row.time_s)
    waiting = tuple(Pending(device, org, since_s) for (device, org), since_s in pending.items())
    return Facts(now_s, tuple(devices), tuple(quarantine), waiting)


async def _enrolled(ledger: EmbeddedLedger) -> AsyncIterator[tuple[bytes, DeviceValue]]:
    """(device, its value) of every device on the ledger; gives way between some of them."""
    after = b""
    while page := ledger.page("device", after=after, limit=DEVICES_A_STEP):
        for key, value in page:
            parts: Any = cbor.decode(key)
            yield parts[-1], decode_device_value(value)
        after = page[-1][0]
        await asyncio.sleep(0)


def _of_device(times: "BlockTimes", device: bytes, value: DeviceValue, said: Mapping[str, Any]) -> DeviceFacts:
    suspended = value.live[-1][1] if value.status == SUSPENDED and value.live else None
    return DeviceFacts(
        device=device,
        org=value.org,
        status=value.status,
        enrolled_s=times.at(value.keys[0].from_height),
        suspended_s=None if suspended is None else times.at(suspended),
        **said,
    )


class BlockTimes:
    """When blocks were made. A block of many transactions takes a millisecond to read: each is read once, and none more than needed."""

    def __init__(self, ledger: EmbeddedLedger) -> None:
        self._ledger = ledger
        self._known: dict[int, int] = {}

    def at(self, height: int) -> int:
        """UTC seconds; the chain's latest time for a block that is not there."""
        if height not in self._known:
            data = self._ledger.block(height)
            fields: Any = None if data is None else fastcbor.decode(data, BLOCK_BYTES_MAX)
            self._known[height] = self._ledger.time_s if fields is None else int(fields[1])
        return self._known[height]


async def _said(conn: aiosqlite.Connection, now_s: int) -> dict[bytes, dict[str, Any]]:
    """What the evidence log knows of each device that ever sent something: fields of DeviceFacts."""
    bundles: dict[bytes, list[tuple[int, int, int]]] = {}
    for device, start_s, clock, received_s in await fetch(conn, _LAST):
        bundles.setdefault(device, []).append((start_s, clock, received_s))
    events: dict[bytes, list[Event]] = {}
    for device, kind, count, detail, last_s, _ in await fetch(conn, _EVENTS, (await _first_since(conn, now_s - EVENTS_S),)):
        events.setdefault(device, []).append(Event(kind, count, last_s, detail))
    begun = {(device, kind): received_s for device, kind, received_s, _ in await fetch(conn, _BEGUN)}
    chains = list(await fetch(conn, "SELECT device, state FROM chains"))
    states = await asyncio.to_thread(_read_chains, chains)
    return {
        device: {
            "last_s": max((received_s for _, _, received_s in bundles.get(device, ())), default=None),
            "interval_s": interval_s(bundles.get(device, [])),
            "missing": missing,
            "conditions": {kind: (detail, begun.get((device, kind))) for kind, detail in conditions},
            "events": tuple(events.get(device, ())),
        }
        for device, (missing, conditions) in states.items()
    }


def _read_chains(rows: Iterable[Any]) -> dict[bytes, tuple[int, list[tuple[str, str]]]]:
    """Per device: how many sequences are missing, and (kind, detail) of what lasts. A damaged state is fsck's to report."""
    found = {}
    for device, data in rows:
        try:
            chain = decode_chain(data)
        except DecodeError:
            continue
        texts = [text.split(" ", 2) for text in chain.conditions]  # "<channel> <kind> <detail>"
        found[device] = sum(count for _, count in chain.missing()), [(kind, detail) for _, kind, detail in texts]
    return found


async def _first_since(conn: aiosqlite.Connection, time_s: int) -> int:
    """About the first log index that came at or after a time: receive times rise with the index but for steps of this node's clock."""
    low, high = 0, (await _number(conn, "SELECT coalesce(max(log_index), -1) FROM rows")) + 1
    while low < high:
        middle = (low + high) // 2
        if await _number(conn, "SELECT received_s FROM rows WHERE log_index = ?", middle) < time_s:
            low = middle + 1
        else:
            high = middle
    return low


async def _number(conn: aiosqlite.Connection, query: str, *values: int) -> int:
    for row in await fetch(conn, query, values):
        return int(row[0])
    return 0


def interval_s(bundles: list[tuple[int, int, int]]) -> int | None:
    """At which distance a device's latest bundles (start, clock, received) lie: by its own clock, since after an outage many come at once;
    by ours where its clock says nothing. None for fewer than two."""
    own = all(clock not in (CLOCK_UNSYNCED, CLOCK_SIMULATED) for _, clock, _ in bundles)
    times = sorted(start_s if own else received_s for start_s, _, received_s in bundles)
    steps = [later - earlier for earlier, later in zip(times, times[1:], strict=False) if later > earlier]
    return int(median(steps)) if steps else None
