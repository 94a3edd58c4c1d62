"""server/bench/run: what is measured for which rows, what is written, what happens when something cannot be measured."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.bench import device, primitives, run
from server.bench.primitives import Primitives
from server.bench.rows import Row
from server.bench.run import ALL_IDS, SECTIONS, Section
from server.bench.scale import QUICK, Scale
from shared.errors import Unavailable

from .rows_of import ROWS

Told = list[str]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Told:
    """Two sections with fixed numbers; what was measured is noted."""
    noted: Told = []

    def section(name: str, rows: list[Row], needs: Section | None = None) -> Section:
        def measure(folder: Path, scale: Scale, found: Primitives) -> list[Row]:
            noted.append(name if scale is not QUICK else f"{name}, quick")
            return rows

        return Section(name, tuple(row.id for row in rows), measure, needs)

    first = section("first", ROWS[:2])
    sections = (first, section("second", ROWS[2:], first))
    monkeypatch.setattr(run, "SECTIONS", sections)
    monkeypatch.setattr(run, "ALL_IDS", tuple(row.id for row in ROWS))
    monkeypatch.setattr(primitives, "measure", lambda folder, scale: None)
    return noted


def ids_in(path: Path) -> list[str]:
    return [row["id"] for row in json.loads(path.read_text())["rows"]]


def test_everything_is_written_and_shown(told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "bench.json"
    assert run.main(["--out", str(out)]) == 0
    assert told == ["first", "second"] and ids_in(out) == [row.id for row in ROWS]
    assert out.with_suffix(".svg").read_text().startswith("<svg")
    assert "bundles to the ack" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("only", "measured"), [(["root"], ["first"]), (["heap"], ["first", "second"]), (["heap", "root"], ["first", "second"])]
)
def test_only_what_is_asked_for_and_what_that_needs(told: Told, tmp_path: Path, only: list[str], measured: list[str]) -> None:
    out = tmp_path / "bench.json"
    assert run.main(["--out", str(out), "--only", *only]) == 0
    assert told == measured and sorted(ids_in(out)) == sorted(only)


def test_a_part_does_not_overwrite_the_whole(told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "ROOT", tmp_path)
    assert run.main([]) == 0 and run.main(["--quick"]) == 0 and run.main(["--only", "root"]) == 0
    assert told == ["first", "second", "first, quick", "second, quick", "first"]
    assert ids_in(tmp_path / "build" / "bench.json") == [row.id for row in ROWS]
    assert ids_in(tmp_path / "build" / "bench-part.json") == ["root"]


def test_an_unknown_row_is_wrong_usage(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run.main(["--only", "root", "speed"])
    error = capsys.readouterr().err
    assert caught.value.code == 2 and "no row speed" in error and "pipeline" in error and told == []


def test_an_earlier_run_is_compared(told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    earlier, out = tmp_path / "earlier.json", tmp_path / "bench.json"
    assert run.main(["--quick", "--out", str(earlier)]) == 0
    document: Any = json.loads(earlier.read_text())
    document["rows"][1]["value"] = 1.0
    earlier.write_text(json.dumps(document))
    capsys.readouterr()
    assert run.main(["--compare", str(earlier), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "-50 %" in printed and "say little" in printed


def test_a_file_that_cannot_be_compared_stops_before_measuring(told: Told, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["--compare", str(tmp_path / "none.json")]) == 1
    assert "195" in capsys.readouterr().out and told == []


def test_what_cannot_be_measured_fails_and_writes_nothing(
    told: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(folder: Path, scale: Scale, found: Primitives) -> list[Row]:
        raise Unavailable(460, "MicroPython does not run")

    monkeypatch.setattr(run, "SECTIONS", (*run.SECTIONS, Section("third", ("third",), broken)))
    monkeypatch.setattr(run, "ALL_IDS", (*run.ALL_IDS, "third"))
    out = tmp_path / "bench.json"
    assert run.main(["--out", str(out)]) == 1
    assert "460" in capsys.readouterr().out and not out.exists()


def test_without_micropython_there_are_no_device_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(Unavailable) as caught:
        device.micropython(tmp_path, ["-c", "pass"])
    assert caught.value.code == 460


def test_a_script_that_fails_in_micropython_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no module named 'nothing'"):
        device.micropython(tmp_path, ["-c", "import nothing"])
    assert device.micropython(tmp_path, ["-c", "print('a', 1.5, 'ms'); print('b')"]) == {"a": 1.5}


def test_ids_are_unique_and_sections_need_earlier_ones() -> None:
    assert len(set(ALL_IDS)) == len(ALL_IDS)
    for i, section in enumerate(SECTIONS):
        assert section.needs is None or section.needs in SECTIONS[:i]
