"""`make fuzz` itself: it finds a planted fault, keeps what found it, says how far it came, and a short run of it over every decoder.

In: the campaign's own functions. Out: passes or failures. Where atheris has no wheel, only the word that it is missing is tested.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.campaign import Outcome, count_costs, run_fuzzer
from tests.fuzz.planted import PLANTED
from tests.fuzz.target import Target, check_input
from tests.fuzz.targets import TARGETS

SHORT_INPUTS = 5_000


def run_command(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["make fuzz", *arguments])
    return command.main()


if find_spec("atheris"):

    def test_a_planted_fault_is_found_and_kept(tmp_path: Path) -> None:
        """Bytes that must be right one after the other: what learns from coverage gets there, after some thousand inputs."""
        outcome = run_fuzzer(PLANTED, 1_000_000, 1e9, tmp_path, lambda now: None)
        assert not outcome.done
        assert len(outcome.broken) == 1
        with pytest.raises(AssertionError, match="IndexError escapes"):
            check_input(PLANTED, Path(outcome.broken[0]).read_bytes())

    def test_a_run_is_counted_and_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
        assert run_command(monkeypatch, "--inputs", "3000", "--only", "hello", "--home", str(tmp_path)) == 0
        said = capfd.readouterr().out
        assert "1 of 1 decoders" in said
        assert "3,000 inputs, 0 broke a decoder" in said
        (outcome,) = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
        assert outcome["inputs"] == 3000
        assert 0 < outcome["accepted"] < 3000
        assert outcome["coverage"][1] >= outcome["coverage"][0] > 20
        assert outcome["corpus"] > 0
        assert outcome["steps"] > 50
        assert outcome["peak_bytes"] > 100

    @pytest.mark.slow
    @pytest.mark.parametrize("name", TARGETS)
    def test_a_short_run(name: str, tmp_path: Path) -> None:
        outcome = run_fuzzer(TARGETS[name], SHORT_INPUTS, 1e9, tmp_path, lambda now: None)
        assert outcome.broken == []
        assert outcome.inputs == SHORT_INPUTS
        assert outcome.coverage[0] > 0


def test_what_broke_a_decoder_is_said_and_is_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = [Outcome("cbor", inputs=7, done=True), Outcome("note", inputs=3, broken=["build/x"])]
    assert command.report(outcomes, tmp_path) == 1
    said = capsys.readouterr().out
    assert "note: build/x" in said
    assert "tests/fuzz/corpus/note/" in said
    assert "10 inputs, 1 broke a decoder" in said
    assert command.report(outcomes[:1], tmp_path) == 0


def test_an_input_that_is_too_dear_is_a_failure(tmp_path: Path) -> None:
    (tmp_path / "dear").write_bytes(bytes(700))
    (tmp_path / "cheap").write_bytes(b"1")
    outcome = Outcome("planted")
    count_costs(Target("planted", lambda data: sum(1 for _ in data for _ in data), 65536, [b""]), tmp_path, outcome)
    assert outcome.corpus == 2
    assert len(outcome.broken) == 1
    assert "dear" in outcome.broken[0]


def test_without_atheris_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    assert run_command(monkeypatch) == 2
    assert "atheris" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("--only", "nothing"), ("--inputs", "0"), ("--seconds", "-1")])
def test_wrong_arguments(arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run_command(monkeypatch, *arguments)
    assert "error" in capsys.readouterr().err
