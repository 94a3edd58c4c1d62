"""The costly checks of ingest on one core and on two: what a second process or thread would bring.

In: nothing. Out: rows. Never leaves out what a second process costs: bundles go there and findings come back, as pickled bytes.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from server.bench.clock import Figure, seconds
from server.bench.node import READINGS, BenchDevice
from server.bench.primitives import Primitives
from server.bench.rows import Row, row
from server.bench.scale import Scale
from server.evidence.opening import verify
from server.evidence.span import build_span
from server.ingest.checks import check_rows, open_bundle

CHECKS = "decode, verify, rebuild the root"
IDS = ("checks_one_process_per_s", "checks_two_processes_per_s", "checks_two_threads_per_s")
CHUNK = 64  # bundles sent to another process at a time
DEVICES = 16
Job = tuple[bytes, bytes]  # envelope, COSE_Key


def measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    """Nothing is written to `folder`."""
    devices = [BenchDevice() for _ in range(DEVICES)]
    jobs = [(device.envelope(), device.key.cose_key) for _ in range(scale.bundles // DEVICES) for device in devices]
    chunks = [jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK)]
    one = rate(lambda: [check_many(chunk) for chunk in chunks], len(jobs), scale)
    spawning = multiprocessing.get_context("spawn")  # a fork would take this process's threads and event loop along
    two = [in_pool(pool, chunks, len(jobs), scale) for pool in (ProcessPoolExecutor(2, spawning), ThreadPoolExecutor(2))]
    texts = ("one process", "two processes", "two threads")
    bare = READINGS / (primitives.verify.median + 3 * READINGS * primitives.sha256.median)
    limits = (bare, 2 * bare, 2 * bare)
    return [row(IDS[i], CHECKS, texts[i], found, "readings/s", limit=limits[i]) for i, found in enumerate((one, *two))]


def in_pool(pool: Executor, chunks: Sequence[list[Job]], count: int, scale: Scale) -> Figure:
    """Everything is started before the clock."""
    with pool:
        list(pool.map(check_many, [chunks[0]] * 4))
        return rate(lambda: list(pool.map(check_many, chunks)), count, scale)


def rate(work: Callable[[], object], count: int, scale: Scale) -> Figure:
    return seconds(work, scale.repeats).per_second(count * READINGS)


def check_many(jobs: Sequence[Job]) -> list[tuple[Any, ...]]:
    """What ingest does before it asks anything of the log, and what the log would need of it."""
    return [_check(envelope, cose_key) for envelope, cose_key in jobs]


def _check(envelope: bytes, cose_key: bytes) -> tuple[Any, ...]:
    opened = open_bundle(envelope)
    verify(opened.signed, cose_key)
    columns = check_rows(opened)
    assert columns is not None, "a bundle of the bench has readings"
    span = build_span(columns, None)
    return opened.signed.identity, tuple(opened.statement), span.first_s, span.last_s, span.first, span.last
