"""The whole demonstration, shorter: its files are there, its numbers agree, and it says so by its exit code."""

import subprocess
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

from server.demo.backend import CLI
from server.demo.notebooks import Notebook
from server.demo.run import fresh_folder
from shared.errors import Unavailable

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.slow
def test_demo_ends_well(tmp_path: Path) -> None:
    out = tmp_path / "demo"
    done = subprocess.run([*CLI, "demo", "--seconds", "40", "--out", str(out)], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert "PROVEN under your policy" in done.stdout and "FAILED" not in done.stdout
    assert 0 < (out / "reading.evidence").stat().st_size <= 4096
    assert tomllib.loads((out / "policy.toml").read_text())["chain_id"] == "meterproof-demo"
    titles = [node.text for node in ElementTree.fromstring((out / "two-days.svg").read_text()).iter(f"{SVG}title")]
    assert titles[1:] == ["broker down", "backend killed", "meter-2 killed"]
    books = [Notebook(path) for path in sorted((out / "meters").glob("*/notebook.txt"))]
    for book in books:
        book.update()
    assert [book.boots for book in books] == [3, 3, 4, 3], "gateway, meters 1 to 3: commissioning, replay, the end; one was killed"
    assert all(len(book.taken) > 400 and book.twice == 0 for book in books)
    first = (out / "logs" / "meter-1.log").read_text()
    assert "taken_with_status" not in first, "the inverter was there before the meters"


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
