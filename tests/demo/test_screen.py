"""What people see: in a narrow terminal nothing is cut or broken at the edge, in a file every event is one line."""

import io

import pytest
from rich.cells import cell_len
from rich.console import Console

from server.demo import results
from server.demo.fleet import Meter
from server.demo.notebooks import Notebook
from server.demo.plan import build_plan
from server.demo.processes import Child
from server.demo.screen import MeterLine, Picture, Screen, folded, render, results_table

REPORT = """\
Evidence file build/demo/reading.evidence
  ✓ format:        2374 bytes in the one allowed encoding of the proof of reading 389
  ✗ channel table: the signed channel table names 4 registers of meter Meterproof SERF East replay, serial SERF-0001

  its key    mpkey18emtknxu4qrl6xfcxrzxqzstjv3afp8u, tier 1, software key: the same device as at enrolment
  - that the software key never left its device: whoever copied it can sign the same way
PROVEN under your policy."""


def drawn(*things: object, width: int = 80, terminal: bool = True) -> list[str]:
    """Lines as they are shown, without colours."""
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=terminal, color_system=None, legacy_windows=False)
    for thing in things:
        console.print(thing)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_report_goes_on_beside_its_labels(width: int) -> None:
    lines = folded(REPORT, width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    assert " ".join(" ".join(lines).split()) == " ".join(REPORT.split())
    at = lines.index(next(line for line in lines if "channel table" in line))
    if width < 120:
        assert lines[at + 1].startswith(" " * 19) and lines[at + 1][19] != " "
        assert all(line.startswith(("  - ", "    ")) for line in lines[lines.index("PROVEN under your policy.") - 2 : -1])


def test_what_happened_fits_eighty_columns(tmp_path) -> None:
    meter = Meter("meter-1", 1, "x", tmp_path, Child("x", [], tmp_path / "log"), Notebook(tmp_path / "n"), id="mpdev1x")
    report = {"devices": {}, "readings": 123_456, "problems": [], "derived_problems": []}
    report |= dict.fromkeys(("lost", "gaps", "duplicates", "statements", "log_size", "unanchored", "batches", "blocks"), 12_345)
    rows, _ = results.count([meter], report, 4000, ([99_999], [9_999]))
    lines = drawn(results_table("What happened", rows))
    assert len(lines) == len(rows) + 1, "no row is broken"
    assert all(len(line.rstrip()) <= 80 for line in lines)


def test_the_live_picture_fits_eighty_columns() -> None:
    names = ("meter-1", "meter-2", "meter-3", "gateway")
    meters = [MeterLine(name, "MicroPython 1.29.0", 99_999, 9_999, 9_999, 99) for name in names]
    backend = "evidence log 99999, anchored 99999, batches 9999, block 99999"
    lines = [line.rstrip() for line in drawn(render(Picture(meters, backend, "hour 43.5 of 43.5", 0.5)))]
    assert "  " + backend in lines, "in a line of its own"
    assert len([line for line in lines if line.startswith("  meter-")]) == 3 and all(len(line) <= 80 for line in lines)


@pytest.mark.parametrize(("terminal", "lines_of_one"), [(True, 2), (False, 1)])
def test_an_event_is_broken_only_on_a_terminal(terminal: bool, lines_of_one: int) -> None:
    file = io.StringIO()
    console = Console(file=file, width=50, force_terminal=terminal, color_system=None, legacy_windows=False)
    Screen(console, Picture([])).line("12.3 s", "four devices enrolled: key, firmware and metering point of each")
    lines = file.getvalue().splitlines()
    assert len(lines) == lines_of_one and lines[0].startswith("  12.3 s  four devices")
    assert all(line.startswith(" " * 10) and len(line.rstrip()) <= 50 for line in lines[1:])


def test_every_moment_is_told() -> None:
    assert all(moment.say and len(moment.say) <= 68 for moment in build_plan(100)), "one line of eighty columns each"
