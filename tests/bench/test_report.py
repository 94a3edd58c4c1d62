"""server/bench/report: the table on wide and narrow terminals, with and without an earlier run."""

import io

import pytest
from rich.console import Console

from server.bench.report import NARROW_COLUMNS, WIDE, WIDE_COLUMNS, change_text, explained, number, report

from .rows_of import ROWS


def shown(width: int, before: dict[str, float] | None = None) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(report(ROWS, width, before))
    return console.export_text().splitlines()


def line_of(lines: list[str], start: str) -> str:
    return next(line for line in lines if line.startswith(start))


def test_a_wide_terminal_shows_everything() -> None:
    lines = shown(WIDE)
    assert [name for name in WIDE_COLUMNS if name not in lines[1]] == []
    line = line_of(lines, "bundles to the ack")
    for part in ("123,457 readings/s", "120,000 … 130,000", "400,000", "0.31 ≥ 0.4", "≥ 150,000", "no"):
        assert part in line
    assert "≈ 175 ms" in line_of(lines, "sign") and "yes" in line_of(lines, "sign")


def test_a_narrow_terminal_shows_every_row_within_its_width() -> None:
    lines = shown(80)
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert [name for name in NARROW_COLUMNS if name not in lines[1]] == []
    line = line_of(lines, "bundles to the ack")
    assert "123,457 readings/s" in line and "0.31 ≥ 0.4" in line and "no" in line
    assert any("ESP32, est.: 175" in line for line in lines)
    assert "60 %" not in "".join(lines) and "0.60" in line_of(lines, "root")


@pytest.mark.parametrize("width", [20, 40, 60])
def test_a_tiny_terminal_still_shows_something(width: int) -> None:
    lines = shown(width)
    assert max(len(line) for line in lines) <= width and len(lines) > len(ROWS)


@pytest.mark.parametrize("width", [80, WIDE])
def test_changes(width: int) -> None:
    lines = shown(width, {"pipeline": 100_000.0, "root": 0.5, "sign": 7.0})
    ends = [line_of(lines, start).split()[-2:] for start in ("bundles to", "root", "heap")]
    assert ends[:2] == [["+23", "%"], ["+0", "%"]] and ends[2][-1] == "new"
    assert any("-50 %" in line for line in lines)


def test_groups_are_named_once_and_only_the_first_has_column_names() -> None:
    lines = [line.strip() for line in shown(100)]
    assert [line for line in lines if line in ("backend", "trees", "device")] == ["backend", "trees", "device"]
    assert sum("holds" in line for line in lines) == 1


def test_numbers_and_changes() -> None:
    assert [number(v) for v in (0.1234, 12.34, 1234.5, 12_345_678.0, 0.0)] == ["0.123", "12.3", "1,234", "12.3 M", "0"]
    assert [change_text(2.0, v) for v in (None, 0.0, 1.0, 4.0)] == ["new", "", "+100 %", "-50 %"]


def test_the_reader_is_told_what_a_quick_run_is_worth() -> None:
    assert "quick" not in explained(False) and "estimate" in explained(False)
    assert "quick run" in explained(True)
    assert "say little" in explained(True, False) and "say little" in explained(False, True)
    assert "say little" not in explained(False, False) and "say little" not in explained(True, True)
