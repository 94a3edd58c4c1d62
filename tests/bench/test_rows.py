"""server/bench/rows: what holds, what is written, what is read again."""

import json
from pathlib import Path

import pytest

from server.bench.clock import Figure
from server.bench.rows import ESP32_SLOWER, Earlier, Row, read_earlier, row, to_json
from shared.errors import DecodeError

from .rows_of import ROWS

FIELDS = {"id", "what", "value", "unit", "limit", "ratio", "goal", "holds"}


def made(value: float, limit: float | None, goal: float | None, more: bool, goal_ratio: float | None) -> Row:
    return Row("a", "group", "what", value, "x", limit, goal, more, goal_ratio)


@pytest.mark.parametrize(
    ("value", "limit", "goal", "more", "goal_ratio", "ratio", "holds"),
    [
        (10.0, None, None, True, None, None, None),
        (10.0, 20.0, None, True, None, 0.5, None),
        (10.0, 5.0, None, False, None, 0.5, None),
        (10.0, None, 10.0, True, None, None, True),
        (9.9, None, 10.0, True, None, None, False),
        (10.0, None, 10.0, False, None, None, True),
        (10.1, None, 10.0, False, None, None, False),
        (10.0, 20.0, 5.0, True, 0.5, 0.5, True),
        (10.0, 20.0, 5.0, True, 0.6, 0.5, False),
        (10.0, 20.0, 15.0, True, 0.5, 0.5, False),
        (10.0, 4.0, 15.0, False, 0.5, 0.4, False),
        (10.0, 0.0, None, True, 0.5, None, False),
        (0.0, 1.0, 1.0, False, None, None, True),
    ],
)
def test_ratio_and_holds(
    value: float, limit: float | None, goal: float | None, more: bool, goal_ratio: float | None, ratio: float | None, holds: bool | None
) -> None:
    found = made(value, limit, goal, more, goal_ratio)
    assert (found.ratio, found.holds) == (ratio, holds)


def test_a_figure_becomes_a_row_with_its_spread() -> None:
    found = row("a", "g", "w", Figure(2.0, 1.0, 3.0), "ms", limit=1.0, goal=4, more=False)
    assert (found.value, found.low, found.high, found.ratio, found.holds, found.esp32) == (2.0, 1.0, 3.0, 0.5, True, None)
    assert row("a", "g", "w", Figure(2.0, 1.0, 3.0), "ms", on_device=True).esp32 == 2.0 * ESP32_SLOWER


@pytest.mark.parametrize("quick", [False, True])
def test_json_has_every_field_and_is_read_again(tmp_path: Path, quick: bool) -> None:
    path = tmp_path / "bench.json"
    path.write_text(to_json(ROWS, quick))
    assert read_earlier(path) == Earlier({row.id: row.value for row in ROWS}, quick)
    document = json.loads(path.read_text())
    assert {"python", "architecture", "cores"} == set(document["machine"])
    for row_values, expected in zip(document["rows"], ROWS, strict=True):
        assert set(row_values) >= FIELDS
        assert (row_values["ratio"], row_values["holds"]) == (expected.ratio, expected.holds)
    assert [values["holds"] for values in document["rows"]] == [False, True, True, None]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "\ufffd",
        '{"format":"x","quick":false,"rows":[]}',
        '{"format":"meterproof/bench/1","rows":[]}',
        '{"format":"meterproof/bench/1","quick":false,"rows":[{"id":"a"}]}',
        '{"format":"meterproof/bench/1","quick":false,"rows":[{"id":"a","value":"fast"}]}',
        '{"format":"meterproof/bench/1","quick":false,"rows":7}',
    ],
)
def test_a_file_that_is_no_bench_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(text)
    with pytest.raises(DecodeError) as caught:
        read_earlier(path)
    assert caught.value.code == 195


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DecodeError) as caught:
        read_earlier(tmp_path / "none.json")
    assert caught.value.code == 195
