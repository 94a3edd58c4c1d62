"""Bundles, transactions and proofs through a real node on this disk.

In: an empty folder. Out: rows; an evidence file with its policy. Devices sign beforehand: what is measured is the node's work. Never
takes an ack for granted: every bundle must be logged.
"""

import asyncio
import cProfile
import os
import pstats
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from nacl.signing import VerifyKey

from server.bench.clock import Figure, each, figure, timed
from server.bench.node import READINGS, BenchDevice, Node, open_node
from server.bench.primitives import MESSAGE_BYTES, NODE_BYTES, Primitives
from server.bench.rows import Row, row
from server.bench.scale import Scale
from server.evidence.evidence_file import EvidenceFileBuilder
from server.evidence.log import ROUND_MAX
from server.keystore import SigningKey
from shared import smt, state

PIPELINE, LEDGER = "backend, durable, one process, no broker", "embedded ledger, durable"
EVIDENCE = "evidence file of one reading"
IDS = (
    "pipeline_readings_per_s",
    "pipeline_cpu_us_per_reading",
    "anchor_statements_per_s",
    "ledger_tx_per_s",
    "state_proof_ms",
    "state_proof_verify_us",
    "evidence_bytes",
)
DEVICES = 16
PROVE_REPEATS = 50
Messages = list[tuple[str, bytes]]


def measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    """Leaves `folder`/reading.evidence and `folder`/policy.toml for the verifier."""
    return asyncio.run(_measure(folder, scale, primitives))


async def _measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    devices = [BenchDevice() for _ in range(DEVICES)]
    async with open_node(folder / "node") as node:
        await node.enroll(devices)
        await node.take(next_bundles(node, devices, DEVICES))  # caches filled, files made
        found = await pipeline_rows(node, devices, folder, scale)
        await fill(node, devices, scale.statements)
        found.append(await anchor_row(node))
        found += await ledger_rows(node, devices, scale, primitives)
        evidence = await EvidenceFileBuilder(node.ledger, node.log).build(devices[0].id, READINGS + 7)
    (folder / "reading.evidence").write_bytes(evidence)
    (folder / "policy.toml").write_bytes((folder / "node" / "policy.toml").read_bytes())
    what = f"file of one of {node.log.head.size:,} bundles"
    return [*found, Row("evidence_bytes", EVIDENCE, what, len(evidence), "B", None, 4096, False)]


def next_bundles(node: Node, devices: Sequence[BenchDevice], count: int, readings: int = READINGS) -> Messages:
    """The devices take turns, as they would."""
    topics = [node.topic(device) for device in devices]
    return [(topics[i % len(devices)], devices[i % len(devices)].envelope(readings)) for i in range(count)]


# --- bundles


async def pipeline_rows(node: Node, devices: Sequence[BenchDevice], folder: Path, scale: Scale) -> list[Row]:
    """Each repetition beside its limit, so that both meet the same machine; CPU time says the same where others use it too."""
    rates, limits, cpu_us, cpu_limits_us = [], [], [], []
    for _ in range(scale.repeats):
        bundles = next_bundles(node, devices, scale.bundles)
        count = len(bundles) * READINGS
        cpu_start = time.process_time()
        limits.append(count / timed(bare_work([payload for _, payload in bundles], folder)))
        cpu_limits_us.append((time.process_time() - cpu_start) / count * 1e6)
        start, cpu_start = time.perf_counter(), time.process_time()
        await node.take(bundles)
        rates.append(count / (time.perf_counter() - start))
        cpu_us.append((time.process_time() - cpu_start) / count * 1e6)
    rate, limit, cpu_limit_us = figure(rates), figure(limits), figure(cpu_limits_us)
    return [
        row(IDS[0], PIPELINE, "bundles of 60 × 4 to the ack", rate, "readings/s", limit=limit.median, goal=150_000, goal_ratio=0.4),
        row(IDS[1], PIPELINE, "the same in CPU time, all threads", figure(cpu_us), "µs/reading", limit=cpu_limit_us.median, more=False),
    ]


def bare_work(payloads: Sequence[bytes], folder: Path) -> Callable[[], None]:
    """The least one core must do: one verification a bundle, three SHA-256 a reading, one append, flushed as often as the log does."""
    key, message, node = SigningKey.generate(), os.urandom(MESSAGE_BYTES), os.urandom(NODE_BYTES)
    public, signature = VerifyKey(key.raw), key.sign(message)

    def work() -> None:
        with (folder / "bare").open("wb", buffering=0) as file:
            for start in range(0, len(payloads), ROUND_MAX):
                for payload in payloads[start : start + ROUND_MAX]:
                    public.verify(message, signature)
                    for _ in range(3 * READINGS):
                        sha256(node).digest()
                    file.write(payload)
                os.fsync(file.fileno())

    return work


async def fill(node: Node, devices: Sequence[BenchDevice], size: int) -> None:
    """Short bundles until the log has `size` statements."""
    while (missing := size - node.log.head.size) > 0:
        await node.take(next_bundles(node, devices, min(missing, 2000), 1))


async def anchor_row(node: Node) -> Row:
    """Batches and this validator's votes for all that is in the log; on the verdict of ingest, as `serve` does."""
    size, start = node.log.head.size, time.perf_counter()
    await node.anchor.anchor()
    rate = size / (time.perf_counter() - start)
    return Row("anchor_statements_per_s", PIPELINE, "batches and votes on bundles", rate, "statements/s")


# --- the ledger


async def ledger_rows(node: Node, devices: Sequence[BenchDevice], scale: Scale, primitives: Primitives) -> list[Row]:
    rates = [await transactions_per_s(node, scale.transactions) for _ in range(max(1, scale.repeats - 2))]
    key = state.device_key(devices[0].id)
    ledger, verify_limit = node.ledger, primitives.verify.per_second().median
    proving = each(lambda: ledger.prove([key]), PROVE_REPEATS, scale.repeats).scaled(1000)
    return [
        row(IDS[3], LEDGER, "transactions to the receipt", figure(rates), "tx/s", limit=verify_limit, goal=2000),
        row(IDS[4], LEDGER, f"state proof, {state_keys(node):,} keys", proving, "ms", more=False),
        row(IDS[5], LEDGER, "state proof verified", state_verifying(node, key, scale), "µs", more=False),
    ]


async def transactions_per_s(node: Node, count: int) -> float:
    """Signature, nonce, rules, state tree, block, commit; the receipts are what everybody waits for."""
    data = node.transactions([("point.create", {1: f"point {i}", 2: None, 3: "UTC"}) for i in range(count)])
    start = time.perf_counter()
    receipts = await asyncio.gather(*(node.ledger.submit(transaction) for transaction in data))
    elapsed_s = time.perf_counter() - start
    assert all(receipt.code == 0 for receipt in receipts), "a transaction of the bench breaks a rule"
    return count / elapsed_s


def state_keys(node: Node) -> int:
    """About how many keys the state tree has: the points are nearly all."""
    count, after = 0, b""
    while rows := node.ledger.page("point", after=after):
        count, after = count + len(rows), rows[-1][0]
    return count


def state_verifying(node: Node, key: bytes, scale: Scale) -> Figure:
    proof = node.ledger.prove([key])
    value, path = proof.values[0]
    root = state.decode_block_leaf(proof.block_leaf).state_root
    assert value is not None, "the device is enrolled"
    return each(lambda: smt.verify_member(root, key, value, path), 500, scale.repeats).scaled(1e6)


# --- where time goes


def profile(folder: Path, scale: Scale, lines: int) -> None:
    """Prints where one repetition of the pipeline spends its time, by function alone and with what it calls; all slower than without."""

    async def run() -> cProfile.Profile:
        devices = [BenchDevice() for _ in range(DEVICES)]
        async with open_node(folder / "profiled") as node:
            await node.enroll(devices)
            await node.take(next_bundles(node, devices, DEVICES))
            bundles = next_bundles(node, devices, scale.bundles)
            with cProfile.Profile() as profiler:
                await node.take(bundles)
        return profiler

    stats = pstats.Stats(asyncio.run(run())).strip_dirs()
    for order in ("tottime", "cumulative"):
        stats.sort_stats(order).print_stats(lines)
