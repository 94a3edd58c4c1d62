"""The node's numbers now: what its parts say of themselves, read in one go.

In: the running parts. Out: `Numbers`, plain and frozen. Never waits, never writes, never reads a store: it may be asked at any moment, also
when a store is stuck. This is the one place that looks into the queues of other parts.
"""

import asyncio
import os
import resource
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from server.config import Config
from server.evidence import log as evidence_log
from server.evidence.log import EvidenceLog
from server.ingest.core import Ingest
from server.ingest.quarantine import Quarantine
from server.ledger.anchor import Anchor
from server.ledger.engines import embedded
from server.ledger.engines.embedded import EmbeddedLedger
from server.registry.records import RegistryStore
from server.store import sqlite
from server.supervisor import Supervisor

STORES = ("evidence.sqlite", "ledger.sqlite", "registry.sqlite")
OUTCOMES = (
    "received", "challenged", "attested", "logged", "duplicates", "acked", "refused", "mismatched", "quarantined", "quarantine-skipped",
    "silent", "undecided", "unavailable",
)  # fmt: skip
BROKER_OUTCOMES = ("connects", "taken", "dropped", "dropped-unknown", "dropped-again", "published", "unsent")
VOTES_LOOKED_AT_MAX = 256


class Mqtt(Protocol):
    """The MQTT shell of ingest."""

    counts: Counter[str]
    _queue: asyncio.Queue[tuple[int, str, bytes]]
    _queued_bytes: int
    _queue_bytes_max: int
    _answers: set[asyncio.Task[None]]

    @property
    def connected(self) -> bool: ...


@dataclass(frozen=True)
class Parts:
    """What the composition root made."""

    config: Config
    ledger: EmbeddedLedger
    evidence: EvidenceLog
    mqtt: Mqtt
    ingest: Ingest
    quarantine: Quarantine
    anchor: Anchor
    registry: RegistryStore
    validator_kid: bytes
    broker: Supervisor | None
    started_s: int


@dataclass(frozen=True)
class Queue:
    """How many wait, and how many may: None where nothing is refused, only left for later. The same in bytes where bytes are counted."""

    length: int
    limit: int | None
    held_bytes: int | None = None
    limit_bytes: int | None = None

    @property
    def percent(self) -> int:
        """How full it is, by what is nearer to its limit."""
        by_bytes = 100 * self.held_bytes // self.limit_bytes if self.held_bytes is not None and self.limit_bytes else 0
        return max(100 * self.length // self.limit if self.limit else 0, by_bytes)


@dataclass(frozen=True)
class Numbers:
    """Sizes in bytes, times in UTC seconds; counts are since the start of this process."""

    now_s: int
    started_s: int
    queues: Mapping[str, Queue]
    oldest_unacked_s: int | None  # when the oldest statement that waits for its ack came
    log_trouble: str | None
    messages: Mapping[str, int]
    broker_messages: Mapping[str, int]
    broker_connected: bool
    broker_address: str
    broker_starts: int | None  # None: not ours
    quarantined: Mapping[int, int]
    quarantine_dropped: int
    quarantine_skipped: int
    chain_id: str
    height: int
    block_time_s: int
    ledger_log_size: int
    published_size: int
    evidence_log_size: int
    anchored_size: int
    batches: int
    votes_due: int
    withheld: Mapping[int, str]
    anchor_trouble: str | None
    disk_free_bytes: int
    disk_total_bytes: int
    store_bytes: Mapping[str, int]
    rss_bytes: int
    cpu_s: float
    open_files: int


def read_numbers(parts: Parts, now_s: int) -> Numbers:
    """Everything about the node but what is in its stores."""
    evidence, ledger, mqtt, anchor = parts.evidence, parts.ledger, parts.mqtt, parts.anchor
    log = ledger.log(parts.config.origin)
    disk = shutil.disk_usage(parts.config.home)
    waiting = evidence._queue
    return Numbers(
        now_s=now_s,
        started_s=parts.started_s,
        queues=read_queues(parts, 0 if log is None else log.size),
        oldest_unacked_s=waiting[0].admission.arrival.received_s if waiting else None,
        log_trouble=_text(evidence.trouble),
        messages={name: parts.ingest.counts[name] for name in sorted({*OUTCOMES, *parts.ingest.counts})},
        broker_messages={name: mqtt.counts[name] for name in BROKER_OUTCOMES},
        broker_connected=mqtt.connected,
        broker_address=_address(*parts.config.mqtt_address),
        broker_starts=None if parts.broker is None else parts.broker.starts,
        quarantined=dict(sorted(parts.quarantine.counts.items())),
        quarantine_dropped=parts.quarantine.dropped,
        quarantine_skipped=parts.quarantine.skipped,
        chain_id=ledger.chain_id,
        height=ledger.height,
        block_time_s=ledger.time_s,
        ledger_log_size=ledger.log_size,
        published_size=ledger.published_size,
        evidence_log_size=evidence.head.size,
        anchored_size=0 if log is None else log.size,
        batches=0 if log is None else log.batches,
        votes_due=len(ledger.votes_due(parts.config.origin, parts.validator_kid, limit=VOTES_LOOKED_AT_MAX)),
        withheld=dict(anchor.withheld),
        anchor_trouble=_text(anchor.last_error),
        disk_free_bytes=disk.free,
        disk_total_bytes=disk.total,
        store_bytes={name: _file_bytes(parts, name) for name in STORES},
        rss_bytes=_rss_bytes(),
        cpu_s=time.process_time(),
        open_files=len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0,
    )


def read_queues(parts: Parts, anchored: int) -> dict[str, Queue]:
    """Every queue between a message and its block, in the order of the way."""
    evidence, ledger, mqtt = parts.evidence, parts.ledger, parts.mqtt
    writers = {"evidence_store": evidence.store.writer, "ledger_store": ledger._writer, "registry_store": parts.registry._writer}
    return {
        "ingest": Queue(mqtt._queue.qsize(), mqtt._queue.maxsize, mqtt._queued_bytes, mqtt._queue_bytes_max),
        "quarantine": Queue(len(parts.quarantine._waiting), None),
        "answers": Queue(len(mqtt._answers), None),
        "evidence_log": Queue(len(evidence._queue), evidence_log.QUEUE_MAX, evidence._queued_bytes, evidence_log.QUEUE_BYTES_MAX),
        **{name: Queue(writer._jobs.qsize(), sqlite.QUEUE_MAX) for name, writer in writers.items()},
        "anchor": Queue(evidence.head.size - anchored, None),
        "ledger_pool": Queue(len(ledger._waiting), embedded.WAITING_MAX),
        "ledger_publish": Queue(ledger.log_size - ledger.published_size, None),
    }


def _text(error: Exception | None) -> str | None:
    return None if error is None else str(error)


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _file_bytes(parts: Parts, name: str) -> int:
    """A database with its write-ahead log."""
    paths = [parts.config.home / f"{name}{end}" for end in ("", "-wal")]
    return sum(path.stat().st_size for path in paths if path.exists())


def _rss_bytes() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: the most there ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
