"""Numbers and facts of a node on which nothing is wrong; a test changes what it is about. Contains no test itself."""

from collections import Counter
from dataclasses import replace
from typing import Any

from server.health.facts import DeviceFacts, Facts
from server.health.numbers import BROKER_OUTCOMES, OUTCOMES, Numbers, Queue
from shared.state import LIVE

NOW_S = 1_800_000_000
FOUNDER, OTHER = b"f" * 10, b"o" * 10
QUEUES = (
    "ingest",
    "quarantine",
    "answers",
    "evidence_log",
    "evidence_store",
    "ledger_store",
    "registry_store",
    "anchor",
    "ledger_pool",
    "ledger_publish",
)

QUIET = Numbers(
    now_s=NOW_S,
    started_s=NOW_S - 10_000,
    queues={name: Queue(0, None if name in ("quarantine", "answers", "anchor", "ledger_publish") else 4096) for name in QUEUES},
    oldest_unacked_s=None,
    log_trouble=None,
    messages=dict.fromkeys(OUTCOMES, 0),
    broker_messages=dict.fromkeys(BROKER_OUTCOMES, 0),
    broker_connected=True,
    broker_address="127.0.0.1:1883",
    broker_starts=1,
    quarantined=Counter(),
    quarantine_dropped=0,
    quarantine_skipped=0,
    chain_id="test",
    height=7,
    block_time_s=NOW_S - 5,
    ledger_log_size=14,
    published_size=14,
    evidence_log_size=9,
    anchored_size=9,
    batches=2,
    votes_due=0,
    withheld={},
    anchor_trouble=None,
    disk_free_bytes=50 << 30,
    disk_total_bytes=100 << 30,
    store_bytes={"evidence.sqlite": 4096},
    rss_bytes=70 << 20,
    cpu_s=1.5,
    open_files=27,
)


def numbers(at_s: int = 0, **changes: Any) -> Numbers:
    """`at_s` seconds after NOW_S."""
    return replace(QUIET, now_s=NOW_S + at_s, **changes)


def device(number: int = 1, **changes: Any) -> DeviceFacts:
    """A device that sends every quarter of an hour and did so a minute ago."""
    made = DeviceFacts(bytes([1, number]) + bytes(15), FOUNDER, LIVE, NOW_S - 86400 * 30, last_s=NOW_S - 60, interval_s=900)
    return replace(made, **changes)


def facts(*devices: DeviceFacts, **changes: Any) -> Facts:
    return replace(Facts(NOW_S, devices, (), ()), **changes)
