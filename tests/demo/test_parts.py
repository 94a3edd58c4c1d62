"""The demonstration's own parts: notebooks, plan, inverter, chart, and counts that can fail."""

import asyncio
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

from edge import meters
from server.demo import results
from server.demo.chart import Lane, Outage, build_chart
from server.demo.fleet import Meter
from server.demo.inverter import build_words, put_measured
from server.demo.notebooks import Notebook, percentile
from server.demo.plan import build_plan
from server.demo.processes import Child, Children, free_port
from server.demo.profile import CSV_PATH, Registers, read_profile


def test_notebook_is_read_as_it_grows(tmp_path: Path) -> None:
    path = tmp_path / "notebook"
    book = Notebook(path)
    book.update()
    assert book.taken == {}
    path.write_text("boot 1 5\ntaken 0 100\ntaken 1 160\nsealed ab 0 2 900\npublished ab 1000\ntaken 2 2")
    book.update()
    assert book.taken == {0: 100, 1: 160} and book.boots == 1 and book.sealed == {"ab": 2}
    with path.open("a") as file:
        file.write("20\npublished ab 2000\ntaken 1 170\ngarbage\n")
    book.update()
    assert book.taken[2] == 220, "a line cut in two is one line"
    assert book.first_published_ms == {"ab": 1000} and book.publications["ab"] == 2 and book.twice == 1


def test_percentile() -> None:
    assert [percentile([], 95), percentile([7], 95), percentile(list(range(1, 101)), 95), percentile([3, 1, 2], 50)] == [0, 7, 95, 2]


def test_plan_ends_what_it_begins_and_never_two_at_once() -> None:
    plan = build_plan(100)
    assert [moment.at_s for moment in plan] == sorted(moment.at_s for moment in plan)
    for down, up in zip(plan[::2], plan[1::2], strict=True):
        assert down.down and not up.down and down.kind == up.kind and up.at_s > down.at_s
    assert {moment.kind for moment in plan} == {"broker", "meter", "backend"}


def test_inverter_answers_as_the_firmware_reads(tmp_path: Path) -> None:
    """The real program on a port, read by the real driver."""
    now_s = int(time.time())
    port = free_port()
    options = {"--port": port, "--start-s": now_s - 50_000, "--epoch-s": now_s - 10_000, "--wall-ms": now_s * 1000, "--scale-milli": 1000}
    words = [text for name, value in options.items() for text in (name, str(value))]
    with Children(tmp_path) as children:
        children.add("inverter", [sys.executable, "-m", "server.demo.inverter", "--csv", str(CSV_PATH), *words]).start()
        values, status = asyncio.run(read_until_there(port))
    profile = read_profile().shifted(23 * 60)
    low, high = profile.at(40_000), profile.at(40_060)
    assert status == 0 and low.export_wh <= values[0] <= high.export_wh and low.import_wh <= values[1] <= high.import_wh
    assert -values[2] in (low.power_w, high.power_w) and values[3] == 2400


async def read_until_there(port: int) -> tuple[list[int], int]:
    meter = meters.open_meter({"kind": "sunspec", "host": "127.0.0.1", "port": port, "unit": 3})
    end = time.monotonic() + 20
    while True:
        values, status = await meter.read()
        if status == 0 or time.monotonic() > end:
            meter.close()
            return values, status
        await asyncio.sleep(0.1)


def test_registers_keep_their_sign() -> None:
    words = build_words(2, Registers(70_000, 65_536, 4000))
    assert (words[70 + 38] << 16 | words[70 + 39], words[70 + 46], words[70 + 47]) == (70_000, 1, 0)
    assert words[70 + 18] == 65_536 - 4000, "export is negative power"
    put_measured(words, Registers(1, 1, -3))
    assert words[70 + 18] == 3


def test_chart_is_well_formed_and_marks_every_outage() -> None:
    lanes = [Lane("a & b", "x", [(0, -3), (60, 100), (600, 50)]), Lane("c", "y", [(0, 1), (60, 2)])]
    outages = [Outage("broker", 10, 20, "broker <down>"), Outage("meter", 30, 40, "killed", 1)]
    svg = build_chart("T", "s", lanes, outages, 120)
    root = ElementTree.fromstring(svg)
    titles = [node.text for node in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles == ["T", "broker <down>", "killed"]
    assert len(list(root.iter("{http://www.w3.org/2000/svg}polyline"))) == 3, "a gap interrupts the line"


def test_a_lost_reading_makes_the_demonstration_fail(tmp_path: Path) -> None:
    meter = Meter("meter-1", 1, "x", tmp_path, Child("x", [], tmp_path / "log"), Notebook(tmp_path / "n"), id="mpdev1x")
    meter.notebook.taken = {0: 1, 1: 2, 2: 3}
    report = {"devices": {"mpdev1x": {"sequences": [[0, 2]]}}, "readings": 2, "problems": [], "derived_problems": []}
    report |= dict.fromkeys(("lost", "gaps", "duplicates", "statements", "log_size", "unanchored", "batches", "blocks"), 0)
    rows, failures = results.count([meter], report, 4097, ([], []))
    assert failures == ["meter-1 lost 1 readings", "taken 3, stored 2", "the evidence file has 4097 bytes"]
    assert ("lost", "1") in [row[:2] for row in rows]
    report["devices"]["mpdev1x"]["sequences"], report["readings"] = [[0, 3]], 3
    assert results.count([meter], report, 4096, ([], []))[1] == []
