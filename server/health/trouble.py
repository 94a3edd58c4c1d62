"""What is wrong, since when, and what to do: from numbers and facts to a list for people. Pure.

In: the node's numbers with what held a moment ago, facts about devices. Out: troubles, those that need a person first. Never reads a clock
or a store; the same numbers give the same list.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from server.evidence.findings import KINDS
from shared.codes import CODES
from shared.state import LIVE, REVOKED, SUSPENDED

from .advice import DEVICES, NODE, Advice, of_code
from .facts import DeviceFacts, Facts
from .numbers import Numbers

DISK_FREE_BYTES_MIN = 1 << 30
QUEUE_PERCENT_MAX = 80
UNACKED_S_MAX = 30
SILENT_INTERVALS = 3
SILENT_S_MIN = 300
SILENT_S_UNKNOWN = 86400  # while a device's interval is not known
NEVER_HEARD_S = 3600
QUARANTINE_S = 86400  # older samples are history
# How long something must hold before it is trouble, and how long it stays on the list after it was last seen.
GRACE_S = {"broker-away": 10, "anchor-behind": 60, "votes-due": 60, "publish-behind": 60}
HOLD_S = {"shedding": 300, "flood": 300, "broker-ends": 3600}


@dataclass(frozen=True)
class Affected:
    """A device with what is wrong about it."""

    device: bytes
    since_s: int | None
    detail: str


@dataclass(frozen=True)
class Trouble:
    """`act`: a person is needed. `org`: whose it is, None for the node's. `since_s`: None if nobody knows."""

    kind: str
    act: bool
    since_s: int | None
    what: str
    do: str
    detail: str = ""
    org: bytes | None = None
    devices: tuple[Affected, ...] = ()


@dataclass(frozen=True)
class Seen:
    """A condition of the node: first and last seen, with what it said last."""

    since_s: int
    last_s: int
    detail: str


@dataclass
class Memory:
    """What the node looked like before: what held since when, the numbers of a moment ago, why a store cannot be read, and since when
    devices can reach it (None: they cannot), since silence before that says nothing of them."""

    seen: dict[str, Seen] = field(default_factory=dict)
    before: Numbers | None = None
    unreadable: str | None = None
    listening_s: int | None = 0


def note(memory: Memory, numbers: Numbers) -> None:
    """Brings the memory up to now."""
    now_s = numbers.now_s
    holds = dict(conditions(numbers, memory.before))
    if memory.unreadable is not None:
        holds["store-unreadable"] = memory.unreadable
    for kind, detail in holds.items():
        old = memory.seen.get(kind)
        memory.seen[kind] = Seen(now_s, now_s, detail) if old is None else replace(old, last_s=now_s, detail=detail)
    for kind, seen in list(memory.seen.items()):
        if kind not in holds and (kind not in HOLD_S or now_s - seen.last_s > HOLD_S[kind]):
            del memory.seen[kind]
    if not numbers.broker_connected:
        memory.listening_s = None
    elif memory.before is None or not memory.before.broker_connected:
        memory.listening_s = now_s
    memory.before = numbers


def conditions(now: Numbers, before: Numbers | None) -> Iterator[tuple[str, str]]:
    """(kind, detail) of what holds now, however short."""
    if now.log_trouble is not None:
        yield "log-stuck", now.log_trouble
    if now.disk_free_bytes < DISK_FREE_BYTES_MIN:
        yield "disk-low", f"{size_text(now.disk_free_bytes)} of {size_text(now.disk_total_bytes)} free"
    if not now.broker_connected:
        yield "broker-away", now.broker_address
    if now.oldest_unacked_s is not None and now.now_s - now.oldest_unacked_s > UNACKED_S_MAX:
        yield "unacked-old", f"{now.queues['evidence_log'].length} wait, the oldest for {now.now_s - now.oldest_unacked_s} s"
    full = [
        f"{name}: {queue.length} wait, {queue.percent} % of what may"
        for name, queue in now.queues.items()
        if queue.percent >= QUEUE_PERCENT_MAX
    ]
    if full:
        yield "queue-full", ", ".join(full)
    if before is not None:
        yield from _risen(now, before)
    yield from _of_ledger(now)


def _risen(now: Numbers, before: Numbers) -> Iterator[tuple[str, str]]:
    if shed(now) > shed(before):
        yield "shedding", f"{shed(now)} since the start"
    if now.quarantine_skipped > before.quarantine_skipped:
        yield "flood", f"{now.quarantine_skipped} without a sample since the start"
    if now.broker_starts is not None and before.broker_starts is not None and now.broker_starts > max(before.broker_starts, 1):
        yield "broker-ends", f"{now.broker_starts} starts at {now.broker_address}"


def shed(numbers: Numbers) -> int:
    """Messages that were turned away for want of room or of a store."""
    broker, messages = numbers.broker_messages, numbers.messages  # what was sent again while it waits here already is not counted
    return broker["dropped"] + broker["dropped-unknown"] + messages["unavailable"] + messages["quarantine-skipped"]


def _of_ledger(now: Numbers) -> Iterator[tuple[str, str]]:
    behind = now.evidence_log_size - now.anchored_size
    if behind:
        yield "anchor-behind", f"{behind} statements" + (f": {now.anchor_trouble}" if now.anchor_trouble else "")
    if now.withheld:
        number, reason = max(now.withheld.items())
        yield "vote-withheld", f"{len(now.withheld)} batches; batch {number}: {reason}"
    if now.votes_due > len(now.withheld):
        yield "votes-due", f"{now.votes_due} batches"
    if now.published_size < now.ledger_log_size:
        yield "publish-behind", f"{now.ledger_log_size - now.published_size} entries"


def size_text(size: int) -> str:
    """12.3 GiB."""
    value, units = float(size), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} {units[0]}" if units[0] == "bytes" else f"{value:.1f} {units[0]}"


def build_troubles(memory: Memory, facts: Facts) -> list[Trouble]:
    """Everything: those that need a person first, of these the node's own before those of devices, and then by how long they last."""
    now_s = facts.now_s if memory.before is None else memory.before.now_s  # facts may be old, when a store cannot be read
    found = [*node_troubles(memory, now_s), *_of_quarantine(memory, facts), *_of_devices(memory, facts)]
    return sorted(found, key=lambda trouble: (not trouble.act, trouble.org is not None, trouble.since_s or now_s, trouble.kind))


def node_troubles(memory: Memory, now_s: int) -> Iterator[Trouble]:
    """Those that are known without any store."""
    for kind, seen in memory.seen.items():
        if now_s - seen.since_s >= GRACE_S.get(kind, 0):
            yield _trouble(kind, NODE[kind], seen.since_s, seen.detail)


def _of_quarantine(memory: Memory, facts: Facts) -> Iterator[Trouble]:
    if memory.before is not None and memory.before.quarantine_dropped:
        first_s = min((row.first_s for row in facts.quarantine), default=None)
        yield _trouble("quarantine-full", NODE["quarantine-full"], first_s, f"{memory.before.quarantine_dropped} made room since the start")
    for row in facts.quarantine:
        if facts.now_s - row.last_s <= QUARANTINE_S:
            detail = f"{row.count} kept, code {row.code} {CODES.get(row.code, '')}; the last: {row.reason}; on topic {row.topic}"
            yield _trouble(f"quarantine-{row.code}", of_code(row.code), row.first_s, detail)


def _trouble(kind: str, advice: Advice, since_s: int | None, detail: str) -> Trouble:
    return Trouble(kind, advice.act, since_s, advice.what, advice.do, detail)


def _of_devices(memory: Memory, facts: Facts) -> Iterator[Trouble]:
    """One trouble for each kind and organization, with its devices, the longest first."""
    groups: dict[tuple[bytes, str], list[Affected]] = {}
    for pending in facts.pending:
        groups.setdefault((pending.org, "device-pending"), []).append(Affected(pending.device, pending.since_s, ""))
    for device in facts.devices:
        if device.status != REVOKED:
            for kind, since_s, detail in device_troubles(device, facts.now_s, memory.listening_s):
                groups.setdefault((device.org, kind), []).append(Affected(device.device, since_s, detail))
    for (org, kind), affected in groups.items():
        advice = DEVICES.get(kind) or NODE[kind]
        affected.sort(key=lambda item: (item.since_s or facts.now_s, item.device))
        yield Trouble(kind, advice.act, affected[0].since_s, advice.what, advice.do, "", org, tuple(affected))


def device_troubles(device: DeviceFacts, now_s: int, listening_s: int | None) -> Iterator[tuple[str, int | None, str]]:
    """(kind, since, detail) of one device. `listening_s`: since when it can reach this node, None if it cannot."""
    if device.status == SUSPENDED:
        yield "suspended", device.suspended_s, ""
    elif listening_s is not None:
        yield from _silence(device, now_s, listening_s)
    if device.missing:
        yield "missing", None, f"{device.missing} readings"
    for kind, (detail, since_s) in device.conditions.items():
        yield kind, since_s, detail
    for event in device.events:
        if event.kind not in device.conditions and event.kind in KINDS:
            yield event.kind, event.last_s, f"{event.detail}" + (f" (and {event.count - 1} more in a day)" if event.count > 1 else "")


def _silence(device: DeviceFacts, now_s: int, listening_s: int) -> Iterator[tuple[str, int | None, str]]:
    if device.last_s is None:
        if now_s - max(device.enrolled_s, listening_s) >= NEVER_HEARD_S:
            yield "never-heard", device.enrolled_s, ""
    elif now_s - max(device.last_s, listening_s) > silent_after_s(device):
        yield "silent", device.last_s, f"usually every {span_text(device.interval_s)}" if device.interval_s else "it sent only once"


def silent_after_s(device: DeviceFacts) -> int:
    """How long after its last bundle a device is overdue."""
    return SILENT_S_UNKNOWN if device.interval_s is None else max(SILENT_INTERVALS * device.interval_s, SILENT_S_MIN)


def span_text(seconds: int | None) -> str:
    """45 s, 12 min, 3 h, 5 days."""
    if seconds is None:
        return "?"
    for length, name in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * length:
            return f"{seconds // length} {name}"
    return f"{seconds} s"


def visible(troubles: Iterable[Trouble], org: bytes, founder: bytes) -> list[Trouble]:
    """What a person of that organization may see: its own devices; the node's affairs only in the founding organization."""
    return [trouble for trouble in troubles if trouble.org == org or (trouble.org is None and org == founder)]


def counts_of(memory: Memory, facts: Facts) -> Mapping[str, int]:
    """How many devices are how; each once."""
    found = dict.fromkeys(("live", "silent", "never_heard", "suspended", "revoked"), 0)
    for device in facts.devices:
        kinds = {kind for kind, _, _ in device_troubles(device, facts.now_s, memory.listening_s)}
        if device.status == LIVE:
            name = "silent" if "silent" in kinds else "never_heard" if device.last_s is None else "live"
        else:
            name = "suspended" if device.status == SUSPENDED else "revoked"
        found[name] += 1
    return found
