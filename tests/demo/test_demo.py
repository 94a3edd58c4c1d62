"""The whole demonstration, shorter: its files are there, its numbers agree, and it says so by its exit code."""

import subprocess
from pathlib import Path

import pytest

from server.demo.backend import CLI
from server.demo.run import fresh_folder
from shared.errors import Unavailable


@pytest.mark.slow
def test_demo_ends_well(tmp_path: Path) -> None:
    done = subprocess.run([*CLI, "demo", "--seconds", "60", "--out", str(tmp_path / "demo")], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "PROVEN under your policy" in done.stdout and "FAILED" not in done.stdout
    for name in ("two-days.svg", "reading.evidence", "policy.toml"):
        assert (tmp_path / "demo" / name).stat().st_size > 0


def test_a_bad_csv_ends_in_words(tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_text("time,watts\nno,no\nno,no\n")
    command = [*CLI, "demo", "--csv", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "demo")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "bad.csv: not rows of time and watts" in done.stdout and "Traceback" not in done.stdout + done.stderr


def test_it_empties_no_folder_but_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(Unavailable):
        fresh_folder(tmp_path)
    assert (tmp_path / "mine").read_text() == "keep"
    (tmp_path / "logs").mkdir()
    fresh_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []
