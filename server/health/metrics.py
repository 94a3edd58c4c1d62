"""The node's numbers in Prometheus's text format 0.0.4, for GET /metrics.

In: numbers, facts, memory. Out: text. Never a label whose values somebody outside could make up: no device, no organization, no topic.

Our own forty lines and not prometheus_client: everything is read when it is asked for, so there is nothing to register or count, and that
package takes 14 MiB of memory and 0.2 s of start.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from .facts import Facts
from .numbers import Numbers
from .trouble import Memory, Trouble, build_troubles, counts_of

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True)
class Metric:
    """`samples`: (labels, value)."""

    name: str
    kind: str
    about: str
    samples: tuple[tuple[Mapping[str, str], int | float], ...]


def render(numbers: Numbers, facts: Facts, memory: Memory) -> str:
    """The exposition."""
    troubles = build_troubles(memory, facts)
    lines = []
    for metric in [
        *_of_queues(numbers),
        *_of_messages(numbers, facts),
        *_of_ledger(numbers),
        *_of_devices(counts_of(memory, facts), facts, troubles),
        *_of_process(numbers),
    ]:
        lines += [f"# HELP {metric.name} {metric.about}", f"# TYPE {metric.name} {metric.kind}"]
        lines += [f"{metric.name}{_labels(labels)} {value}" for labels, value in metric.samples]
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    parts = []
    for name, value in labels.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        parts.append(f'{name}="{escaped}"')
    return "{" + ",".join(parts) + "}"


def _gauge(name: str, about: str, value: int | float) -> Metric:
    return Metric(f"meterproof_{name}", "gauge", about, (({}, value),))


def _counter(name: str, about: str, value: int | float) -> Metric:
    return Metric(name, "counter", about, (({}, value),))


def _by(name: str, kind: str, about: str, label: str, values: Mapping[str, int]) -> Metric:
    return Metric(f"meterproof_{name}", kind, about, tuple(({label: key}, value) for key, value in values.items()))


def _of_queues(n: Numbers) -> Iterator[Metric]:
    age_s = 0 if n.oldest_unacked_s is None else max(0, n.now_s - n.oldest_unacked_s)
    lengths = {name: queue.length for name, queue in n.queues.items()}
    limits = {name: queue.limit for name, queue in n.queues.items() if queue.limit is not None}
    yield _by("queue_length", "gauge", "Items waiting, from the broker to the block.", "queue", lengths)
    yield _by("queue_limit", "gauge", "Items that may wait.", "queue", limits)
    held = {name: queue.held_bytes for name, queue in n.queues.items() if queue.held_bytes is not None}
    yield _by("queue_bytes", "gauge", "Bytes waiting, where they are counted.", "queue", held)
    limits = {name: queue.limit_bytes for name, queue in n.queues.items() if queue.limit_bytes is not None}
    yield _by("queue_limit_bytes", "gauge", "Bytes that may wait.", "queue", limits)
    yield _gauge(
        "oldest_unacked_seconds", "Age of the oldest checked statement that waits for its acknowledgement; 0 when none does.", age_s
    )
    yield _gauge("log_stuck", "1 while nothing can be logged or acknowledged.", int(n.log_trouble is not None))


def _of_messages(n: Numbers, facts: Facts) -> Iterator[Metric]:
    yield _by("messages_total", "counter", "Messages of devices by what became of them.", "outcome", n.messages)
    yield _by("broker_messages_total", "counter", "Messages at the broker connection.", "outcome", n.broker_messages)
    yield _gauge("broker_connected", "1 while the broker can be reached.", int(n.broker_connected))
    if n.broker_starts is not None:
        yield _counter("meterproof_broker_starts_total", "Starts of the backend's own broker.", n.broker_starts)
    by_code = {str(code): count for code, count in n.quarantined.items()}
    yield _by("quarantined_total", "counter", "Messages not let in, by error code.", "code", by_code)
    yield _counter("meterproof_quarantine_dropped_total", "Samples that made room for newer ones.", n.quarantine_dropped)
    yield _counter("meterproof_quarantine_skipped_total", "Messages not let in of which no sample was taken.", n.quarantine_skipped)
    yield _gauge("quarantine_samples", "Samples kept.", sum(row.count for row in facts.quarantine))
    yield _gauge("quarantine_bytes", "Bytes of samples kept.", sum(row.sample_bytes for row in facts.quarantine))
    oldest_s = min((row.first_s for row in facts.quarantine), default=facts.now_s)
    yield _gauge("quarantine_oldest_seconds", "Age of the oldest sample kept; 0 when none is.", max(0, facts.now_s - oldest_s))


def _of_ledger(n: Numbers) -> Iterator[Metric]:
    yield _gauge("ledger_height", "Height of the last block.", n.height)
    yield _gauge("ledger_block_timestamp_seconds", "Time of the last block.", n.block_time_s)
    yield _gauge("ledger_log_size", "Entries of the ledger log.", n.ledger_log_size)
    yield _gauge("ledger_published_size", "Entries of the ledger log that everybody can read.", n.published_size)
    yield _gauge("evidence_log_size", "Statements in the evidence log.", n.evidence_log_size)
    yield _gauge("anchored_size", "Statements of it that are on the ledger.", n.anchored_size)
    yield _gauge("batches", "Batches of this log on the ledger.", n.batches)
    yield _gauge("votes_due", "Batches that wait for this validator's vote.", n.votes_due)
    yield _gauge("votes_withheld", "Batches that this validator cannot vote on.", len(n.withheld))
    yield _gauge("anchor_failing", "1 while the last try to put statements on the ledger failed.", int(n.anchor_trouble is not None))


def _of_devices(states: Mapping[str, int], facts: Facts, troubles: Iterable[Trouble]) -> Iterator[Metric]:
    levels = {"act": 0, "watch": 0}
    for trouble in troubles:
        levels["act" if trouble.act else "watch"] += 1
    yield _by("devices", "gauge", "Enrolled devices by state.", "state", states)
    yield _gauge("devices_pending", "Devices that wait for enrolment.", len({pending.device for pending in facts.pending}))
    yield _gauge("readings_missing", "Readings known to be missing that may still come.", sum(device.missing for device in facts.devices))
    yield _by("troubles", "gauge", "Kinds of trouble now: those that need a person (act) and others (watch).", "level", levels)


def _of_process(n: Numbers) -> Iterator[Metric]:
    yield _by("store_bytes", "gauge", "Size of each database with its write-ahead log.", "store", n.store_bytes)
    yield _gauge("disk_free_bytes", "Free room on the disk of the home.", n.disk_free_bytes)
    yield _gauge("disk_total_bytes", "Size of that disk.", n.disk_total_bytes)
    yield Metric("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", (({}, n.rss_bytes),))
    yield Metric("process_start_time_seconds", "gauge", "When the process began, in UTC seconds.", (({}, n.started_s),))
    yield _counter("process_cpu_seconds_total", "User and system CPU time in seconds.", round(n.cpu_s, 3))
    yield Metric("process_open_fds", "gauge", "Open file descriptors.", (({}, n.open_files),))
