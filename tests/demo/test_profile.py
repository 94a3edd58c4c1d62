"""server/demo/profile: the CSV's watts, integrated exactly, in both directions."""

import csv
from fractions import Fraction
from pathlib import Path

import pytest

from server.demo.inverter import SHIFT_S
from server.demo.profile import CSV_PATH, read_profile
from shared.errors import DecodeError


def energy_wh(path: Path, second: int) -> tuple[int, int]:
    """(export, import) by fractions, minute by minute: the arithmetic a person would do."""
    with path.open(newline="") as file:
        watts = [Fraction(row[1]) for row in list(csv.reader(file))[1:]]
    out = into = Fraction(0)
    for i, power in enumerate(watts):
        seconds = min(max(second - 60 * i, 0), 60)
        out += max(power, 0) * seconds / 3600
        into += max(-power, 0) * seconds / 3600
    return int(out), int(into)


@pytest.mark.parametrize("second", [0, 1, 59, 60, 61, 3600, 40_000, 100_000, 156_419, 156_420])
def test_integral_is_exact(second: int) -> None:
    registers = read_profile().at(second)
    assert (registers.export_wh, registers.import_wh) == energy_wh(CSV_PATH, second)


def test_before_and_after_the_record() -> None:
    profile = read_profile()
    assert profile.at(-5) == profile.at(0)
    assert profile.at(profile.duration_s + 5000) == profile.at(profile.duration_s)
    assert (profile.duration_s, profile.at(0).power_w) == (2607 * 60, -3)


def test_a_changed_csv_changes_the_registers(tmp_path: Path) -> None:
    lines = CSV_PATH.read_text().splitlines()
    lines[600] = lines[600].split(",")[0] + ",99999"
    path = tmp_path / "changed.csv"
    path.write_text("\n".join(lines))
    assert read_profile(path).at(156_420).export_wh > read_profile().at(156_420).export_wh + 1500


@pytest.mark.parametrize("shift_s", SHIFT_S.values())
def test_shifted_days_hold_the_same_energy(shift_s: int) -> None:
    profile = read_profile()
    shifted = profile.shifted(shift_s)
    assert shifted.at(profile.duration_s).export_wh == profile.at(profile.duration_s).export_wh
    assert shifted.exported[-1] == profile.exported[-1] and shifted.imported[-1] == profile.imported[-1]
    assert shifted.power[0] == profile.power[shift_s // 60]


@pytest.mark.parametrize(
    "rows",
    [
        "",
        "time,w\n",
        "time,w\n2022-01-01 00:00:00,1\n",
        "time,w\n2022-01-01 00:00:00,1\n2022-01-01 00:01:00,x\n",
        "time,w\n2022-01-01 00:00:00,1\n2022-01-01 00:01:00,nan\n",
        "time,w\n2022-01-01 00:00:00,1\n2022-01-01 00:01:00,0.1234567\n",
        "time,w\n2022-01-01 00:00:00,1\n2022-01-01 00:01:00,1\n2022-01-01 00:03:00,1\n",
        "time,w\n2022-01-01 00:01:00,1\n2022-01-01 00:00:00,1\n",
        "time,w\nyesterday,1\ntoday,2\n",
        "time,w\n2022-01-01 00:00:00\n2022-01-01 00:01:00\n",
    ],
)
def test_what_is_no_record_is_refused(tmp_path: Path, rows: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(rows)
    with pytest.raises(DecodeError) as caught:
        read_profile(path)
    assert caught.value.code == 195


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DecodeError):
        read_profile(tmp_path / "nothing.csv")
