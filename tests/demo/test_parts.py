"""The demonstration's own parts: notebooks, plan, inverter, chart, and counts that can fail."""

import asyncio
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from pymodbus.client import ModbusTcpClient

from edge import meters
from edge.config import read_config
from server.demo import results
from server.demo.chart import LEFT, Lane, Outage, build_chart
from server.demo.fleet import Meter, Site, build_fleet, start_inverter, write_config
from server.demo.inverter import SHIFT_S, UNITS, ScaledClock, build_words, put_measured
from server.demo.notebooks import Notebook, percentile
from server.demo.plan import build_plan
from server.demo.processes import Child, Children, free_port, wait_for_port
from server.demo.profile import CSV_PATH, Registers, read_profile
from shared.errors import Unavailable

SVG = "{http://www.w3.org/2000/svg}"


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
    """The real program on a port, read by the real driver, the first time already."""
    now_s = int(time.time())
    port, clock = free_port(), ScaledClock(now_s - 10_000, now_s * 1000, 1000)
    with Children(tmp_path) as children:
        start_inverter(children, port, CSV_PATH, clock, now_s - 50_000)
        values, status = asyncio.run(read_once(port))
    profile = read_profile().shifted(23 * 60)
    low, high = profile.at(40_000), profile.at(40_060)
    assert status == 0 and low.export_wh <= values[0] <= high.export_wh and low.import_wh <= values[1] <= high.import_wh
    assert -values[2] in (low.power_w, high.power_w) and values[3] == 2400


async def read_once(port: int) -> tuple[list[int], int]:
    meter = meters.open_meter({"kind": "sunspec", "host": "127.0.0.1", "port": port, "unit": 3})
    try:
        return await meter.read()
    finally:
        meter.close()


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


def test_nothing_overlaps_in_the_chart_of_the_real_plan() -> None:
    """Texts at 0.62 of their size for each letter, as wide as common fonts are."""
    moments = build_plan(100)
    outages = [
        Outage(down.kind, int(down.at_s), int(up.at_s), results.OUTAGE_TEXT[down.kind], 1 if down.kind == "meter" else None)
        for down, up in zip(moments[::2], moments[1::2], strict=True)
    ]
    names = (("meter-1", "micropython 1.29.0"), ("meter-2", "micropython 1.29.0"), ("gateway", "cpython 3.11.7"))
    lanes = [Lane(name, note, [(time_s, 4629) for time_s in range(100)]) for name, note in names]
    texts = [
        (
            float(node.get("y")),
            float(node.get("x")),
            0.62 * float(node.get("font-size")) * len(node.text),
            node.get("text-anchor"),
            node.text,
        )
        for node in ElementTree.fromstring(build_chart("Two days of four meters", "s", lanes, outages, 600)).iter(f"{SVG}text")
    ]
    spans = sorted((y, x - {"start": 0, "middle": width / 2, "end": width}[anchor], width, text) for y, x, width, anchor, text in texts)
    for (y, x, width, text), (next_y, next_x, _, next_text) in zip(spans, spans[1:], strict=False):
        assert y != next_y or x + width < next_x, f"{text} runs into {next_text}"
    for _, x, width, text in spans:
        assert x + width <= LEFT or text not in sum(names, ()), f"{text} runs into the curve"
    assert {text for *_, text in spans} >= {"broker down", "meter-2 killed", "backend killed"}


def test_the_plan_is_by_daylight() -> None:
    """Every meter shows power at every moment of the plan, so that the chart shows what happened then."""
    profile = read_profile()
    for moment in build_plan(profile.duration_s):
        for shift_s in SHIFT_S.values():
            assert profile.shifted(shift_s).at(int(moment.at_s)).power_w > 100


def test_inverter_answers_anybody_who_speaks_modbus(tmp_path: Path) -> None:
    """All four unit ids by pymodbus: four serial numbers, days shifted against each other; nobody can write, and there is no fifth."""
    now_s = int(time.time())
    port, clock = free_port(), ScaledClock(now_s - 100_000, now_s * 1000, 1000)
    profile = read_profile()
    with Children(tmp_path) as children:
        start_inverter(children, port, CSV_PATH, clock, clock.epoch_s - 60_000)
        client = ModbusTcpClient("127.0.0.1", port=port)
        assert client.connect()
        for unit in UNITS:
            words = client.read_holding_registers(40000, count=124, device_id=unit).registers
            assert words[:2] == [0x5375, 0x6E53]
            assert b"".join(word.to_bytes(2, "big") for word in words[52:68]).rstrip(b"\0") == f"SERF-000{unit}".encode()
            export_wh = words[70 + 38] << 16 | words[70 + 39]
            shifted = profile.shifted(SHIFT_S[unit])
            assert shifted.at(60_000).export_wh <= export_wh <= shifted.at(60_060).export_wh
        assert client.write_register(40000 + 70 + 39, 1, device_id=1).isError()
        assert client.read_holding_registers(40000, count=2, device_id=9, no_response_expected=False).isError()
        client.close()


def test_a_program_that_ends_instead_of_listening_is_told(tmp_path: Path) -> None:
    with Children(tmp_path) as children:
        child = children.add("broken", [sys.executable, "-c", "raise SystemExit('no such thing')"])
        child.start()
        with pytest.raises(Unavailable) as caught:
            wait_for_port(free_port(), child)
    assert "broken does not listen" in caught.value.text and "no such thing" in caught.value.text


def test_settings_are_what_the_firmware_accepts(tmp_path: Path) -> None:
    site = Site(tmp_path / "meters", "mporg1x", "example.org/x", "00", 1883, 502)
    with Children(tmp_path / "logs") as children:
        fleet = build_fleet(children, site, tmp_path)
    assert [meter.interpreter for meter in fleet] == ["MicroPython"] * 3 + ["CPython"]
    for meter in fleet:
        write_config(meter, site, ScaledClock(1, 2, 3))
        config = read_config(str(meter.folder / "config.json"))
        assert config.clock == {"kind": "simulated", "epoch_s": 1, "wall_ms": 2, "scale_milli": 3}
        assert (config.meter["unit"], config.period_s) == (meter.unit, 60)


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
