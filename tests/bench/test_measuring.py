"""The bench measures the real things. No timing is judged here; what is judged: every row is there, and the work was really done."""

import asyncio
import json
from pathlib import Path

import pytest

from edge.flash import SECTOR_BYTES
from server.bench import cores, device
from server.bench.node import BenchDevice, Node, open_node
from server.bench.run import ALL_IDS, main
from shared.errors import Unavailable, VerifyError


@pytest.mark.slow
def test_a_quick_run_measures_every_row(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    assert main(["--quick", "--out", str(out)]) == 0
    rows = json.loads(out.read_text())["rows"]
    assert [row["id"] for row in rows] == list(ALL_IDS)
    assert all(row["value"] > 0 for row in rows if row["id"] != "day_disk_linear")  # so few bundles may fill no further page
    limited = {row["id"] for row in rows if row["limit"]}
    assert limited == {
        *cores.IDS,
        "pipeline_readings_per_s",
        "pipeline_cpu_us_per_reading",
        "ledger_tx_per_s",
        "state_update_us",
        "merkle_root_1m_s",
        "mqtt_bundles_per_s",
        "mqtt_cpu_us_per_bundle",
        "overload_bundles_per_s",
        "day_proof_hashes",
        "day_restart_s",
    }
    assert out.with_suffix(".svg").stat().st_size > 1000


def with_node(tmp_path: Path, work: object) -> None:
    async def run() -> None:
        async with open_node(tmp_path / "node") as node:
            await work(node)  # type: ignore[operator]

    asyncio.run(run())


def test_bundles_of_the_bench_are_logged_chained_and_acked(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        devices = [BenchDevice(), BenchDevice()]
        await node.enroll(devices)
        await node.take([(node.topic(device), device.envelope(3)) for device in (*devices, *devices)])
        assert node.log.head.size == 4 and node.ingest.counts["logged"] == 4
        assert node.acks >= 2
        acks = [await node.log.ack_of(device.id) for device in devices]
        assert [ack.next_seq for ack in acks] == [6, 6]
        assert await node.log.store.findings() == []

    with_node(tmp_path, work)


def test_checks_on_other_cores_are_the_real_ones() -> None:
    device, thief = BenchDevice(), BenchDevice()
    jobs = [(device.envelope(count), device.key.cose_key) for count in (3, 5)]
    found = cores.check_many(jobs)
    assert [(item[1][7], item[1][8], item[4][0]) for item in found] == [(0, 3, 55_000), (3, 5, 55_000)]
    with pytest.raises(VerifyError, match="200"):
        cores.check_many([(jobs[0][0], thief.key.cose_key)])


def test_a_bundle_that_is_not_logged_is_no_measurement(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        known, stranger = BenchDevice(), BenchDevice()
        await node.enroll([known])
        again = known.envelope(2)
        await node.take([(node.topic(known), again)])
        for messages in ([(node.topic(stranger), stranger.envelope(2))], [(node.topic(known), again)]):
            with pytest.raises(Unavailable, match="not every bundle was logged"):
                await node.take(messages)

    with_node(tmp_path, work)


def test_an_error_inside_ends_the_node_and_comes_out_as_it_was(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        raise Unavailable(450, "as it was")

    with pytest.raises(Unavailable, match="as it was"):
        with_node(tmp_path, work)


def test_a_silent_answer_is_no_measurement(tmp_path: Path) -> None:
    async def work(node: Node) -> None:
        suspended = BenchDevice()
        await node.enroll([suspended])
        await node.ledger.submit(node.transactions([("device.suspend", {1: suspended.id, 2: "bench"})])[0])
        with pytest.raises(Unavailable, match="not every bundle was logged"):
            await node.take([(node.topic(suspended), suspended.envelope(2))])

    with_node(tmp_path, work)


def test_the_journal_holds_what_was_appended_and_its_bytes_are_counted() -> None:
    few, many = device.journal_bytes(20), device.journal_bytes(60)
    assert 4 < many < 64 and few > 4
    flash = device.MemoryFlash(4)
    flash.program(10, b"\x00\x01")
    found = bytearray(3)
    flash.read_into(9, found)
    assert found == b"\xff\x00\x01"
    flash.erase(0)
    assert flash.content == b"\xff" * 4 * SECTOR_BYTES
