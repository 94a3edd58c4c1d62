"""The command: exit codes, what it prints for people and for programs, and that a file cannot play tricks on a terminal."""

import json
from pathlib import Path

import pytest

from shared.errors import DecodeError
from shared.types import Reading
from shared.verify import cli, report
from shared.verify.policy import encode_policy
from tests.verify.world import World


@pytest.fixture
def paths(tmp_path):
    """Writes a world's evidence and policy; returns their paths as text."""

    def write(world, data=None):
        evidence, policy = tmp_path / "reading.evidence", tmp_path / "policy.toml"
        evidence.write_bytes(world.file() if data is None else data)
        policy.write_text(encode_policy(world.policy()))
        return str(evidence), str(policy)

    return write


def test_proven(paths, capsys):
    evidence, policy = paths(World())
    assert cli.main([evidence, "--policy", policy]) == 0
    out = capsys.readouterr().out
    assert out.count("✓") == 12
    for expected in (
        "meter      Acme Solar 3, serial SN-0042",
        "time       2026-09-21 14:15:20 UTC, clock quality 2",
        "2.8.0      7770060 Wh",
        "recorded as 777006 × 10^1",
        "tier 1, software key: the same device as at enrolment",
        "Under the policy " + policy,
        "What this file cannot prove",
        "that the meter measured right",
        "PROVEN under your policy.",
    ):
        assert expected in out


def test_without_policy(paths, capsys):
    evidence, _ = paths(World())
    assert cli.main([evidence]) == 3
    out = capsys.readouterr().out
    assert "Consistent, but trusted by nobody you named" in out
    assert "PROVEN" not in out


def test_refused_names_the_step_and_shows_the_steps_before(paths, capsys):
    world = World()
    world.enrolled = False
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy]) == 1
    out = capsys.readouterr().out
    assert out.count("✓") == 7
    assert "✗ device:        the device was never enrolled on this ledger (device-never-enrolled, 320)" in out
    assert "REFUSED" in out
    assert "What was read" not in out


def test_garbage_is_refused_at_the_format(paths, capsys):
    evidence, policy = paths(World(), b"\x00garbage")
    assert cli.main([evidence, "--policy", policy]) == 1
    assert "✗ format:" in capsys.readouterr().out


def test_too_large_a_file_is_not_read_to_its_end(paths, capsys):
    evidence, policy = paths(World(), bytes(10_000_000))
    assert cli.main([evidence, "--policy", policy]) == 1
    assert "longer than 65536 bytes" in capsys.readouterr().out


def test_unreadable_input_and_wrong_usage(paths, capsys, tmp_path):
    evidence, policy = paths(World())
    assert cli.main([str(tmp_path / "nothing")]) == 2
    assert "No such file" in capsys.readouterr().err
    assert cli.main([evidence, "--policy", str(tmp_path / "nothing")]) == 2
    (tmp_path / "policy.toml").write_text("format = 1\n")
    assert cli.main([evidence, "--policy", policy]) == 2
    assert "policy" in capsys.readouterr().err
    for wrong in ([], [evidence, evidence], ["--json"], [evidence, "--policy"], [evidence, "--policies", policy], [evidence, "-x"]):
        assert cli.main(wrong) == 2, wrong
        out, err = capsys.readouterr()
        if "--json" in wrong:
            error = json.loads(out)["error"]
            assert (error["code"], error["family"]) == (None, "UsageError")
        else:
            assert not out
            assert "meterproof verify --help" in err


def test_options_in_every_place(paths, monkeypatch):
    evidence, policy = paths(World())
    for order in (["--policy", policy, evidence], [f"--policy={policy}", evidence], ["--policy", policy, "--", evidence]):
        assert cli.main(order) == 0, order
    assert cli.main([evidence, "--policy", policy, "--policy", policy]) == 2
    monkeypatch.setattr("sys.argv", ["meterproof-verify", evidence, "--policy", policy])
    assert cli.main() == 0


def test_a_file_may_be_called_like_an_option(paths, tmp_path, monkeypatch):
    evidence, policy = paths(World())
    (tmp_path / "--json").write_bytes(Path(evidence).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert cli.main(["--policy", policy, "--", "--json"]) == 0


def test_help_names_the_exit_codes(capsys):
    assert cli.main(["--help"]) == 0
    assert "3 consistent but trusted by nobody you named" in " ".join(capsys.readouterr().out.split())


def test_json_of_a_proof(paths, capsys):
    world = World()
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy, "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert (values["verdict"], values["exit"], values["failed"]) == ("proven", 0, None)
    assert [step["name"] for step in values["steps"]][:2] == ["format", "checkpoint"]
    assert values["reading"]["meter"] == {"make": "Acme", "model": "Solar 3", "serial": "SN-0042", "firmware": "1.7"}
    register = values["reading"]["registers"][1]
    assert (register["value"], register["exponent"], register["unit"], register["text"]) == (777006, 1, "Wh", "7770060")
    assert values["point"].startswith("mppoint1")
    assert values["checkpoint_signers"] == ["meterproof.ledger/world-chain"]
    assert values["device_key"]["tier"] == 1


def test_json_of_a_refusal_and_of_unreadable_input(paths, capsys, tmp_path):
    world = World()
    world.votes = []
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy, "--json"]) == 1
    values = json.loads(capsys.readouterr().out)
    assert values["verdict"] == "refused"
    assert (values["failed"]["step"], values["failed"]["code"], values["failed"]["name"]) == ("votes", 243, "votes-insufficient")
    assert "reading" not in values
    assert cli.main([str(tmp_path / "nothing"), "--json"]) == 2
    values = json.loads(capsys.readouterr().out)
    assert values["verdict"] == "unreadable"
    assert values["error"]["family"] == "OSError" and "No such file" in values["error"]["message"]
    (tmp_path / "policy.toml").write_text("format = 1\n")
    assert cli.main([evidence, "--policy", policy, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == 141


def test_control_characters_of_a_file_never_reach_the_terminal(paths, capsys):
    world = World()
    world.table = world.table._replace(make="Acme\x1b[2J\u202e", serial="SN\n  ✓ forged:  line")
    world.assigned_serial = world.table.serial
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out and "\u202e" not in out
    assert "Acme\\u001b[2J\\u202e" in out
    assert not any(line.startswith("  ✓ forged") for line in out.splitlines())


def test_our_own_bug_ends_as_refused(paths, capsys, monkeypatch):
    evidence, _ = paths(World())

    def broken(*arguments):
        raise KeyError("a secret")

    monkeypatch.setattr(cli, "verify_evidence", broken)
    assert cli.main([evidence]) == 1
    assert "secret" not in capsys.readouterr().err


def test_registers_without_value_and_simulated_clock(paths, capsys):
    world = World()
    world.readings = [Reading(r.seq, r.time_s, [None, None], 1) for r in world.readings]
    world.statement_changes = {"clock": 4}
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy]) == 0
    out = capsys.readouterr().out
    assert "status no data" in out and "no value" in out
    assert "for a demonstration" in out


def test_higher_tier_claimed_than_enrolled(paths, capsys):
    world = World()
    world.statement_changes = {"tier": 3}
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy]) == 0
    out = capsys.readouterr().out
    assert "the ledger enrolled tier 1, which is what counts" in out


def test_secure_element_and_equivocation(paths, capsys):
    world = World()
    world.tier = 3
    identity = cli.verify_evidence(world.file(), None).opened.signed.identity
    world.equivocations = [(bytes(32), identity, 6)]
    evidence, policy = paths(world)
    assert cli.main([evidence, "--policy", policy]) == 0
    out = capsys.readouterr().out
    assert "that the protection of the key (secure element) was never broken" in out
    assert "which of two signed statements" in out


@pytest.mark.parametrize(
    ("value", "exponent", "text"),
    [
        (0, 0, "0"),
        (5, 3, "5000"),
        (-5, 1, "-50"),
        (12345, -2, "123.45"),
        (5, -3, "0.005"),
        (-5, -1, "-0.5"),
        (0, -1, "0.0"),
        (None, 2, "no value"),
    ],
)
def test_scaled_text(value, exponent, text):
    assert report.scaled_text(value, exponent) == text


@pytest.mark.parametrize(("time_s", "text"), [(0, "1970-01-01 00:00:00 UTC"), (2**62, f"{2**62} s since 1970")])
def test_utc_text(time_s, text):
    assert report.utc_text(time_s) == text


def test_decode_errors_of_the_policy_carry_their_code(tmp_path):
    with pytest.raises(DecodeError) as caught:
        cli.decode_policy(b"")
    assert caught.value.code == 141
