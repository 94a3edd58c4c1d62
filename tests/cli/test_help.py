"""Every command explains itself."""

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from server.cli import main
from server.cli.app import MODULES, cli
from tests.cli.running import ROOT

CONTEXT = click.Context(cli)
OWN_PARSERS = ("verify", "demo", "bench")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name in group.list_commands(CONTEXT):
        command = group.get_command(CONTEXT, name)
        assert command is not None and command.name == name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = {" ".join(path): command for path, command in commands(cli)}


def test_the_commands_are_these() -> None:
    wanted = (
        ["init", "serve", "broker", "org", "key", "point", "device", "firmware", "evidence"]
        + ["findings", "quarantine", "status", "verify", "fsck", "demo", "bench", "version"]
        + ["backup", "restore", "confirm-head"]
        + [f"org {name}" for name in ("create", "show", "list")]
        + [f"key {name}" for name in ("create", "add", "revoke", "list")]
        + [f"point {name}" for name in ("create", "list")]
        + [f"device {name}" for name in ["pending", "show-evidence", "enroll", "show", "list", "assign", "suspend", "resume", "revoke"]]
        + [f"firmware {name}" for name in ("hash", "add", "withdraw", "list")]
        + ["evidence get", "evidence list", "broker passwd"]
    )
    assert set(ALL) == set(wanted)


@pytest.mark.parametrize("name", [name for name in ALL if name not in OWN_PARSERS])
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: meterproof {name}")
    assert "Exit codes:" in shown
    command = ALL[name]
    assert command.get_short_help_str().strip()
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, parameter.name


@pytest.mark.parametrize("name", [name for name, command in ALL.items() if isinstance(command, click.Group) or " " not in name])
def test_groups_show_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if name in OWN_PARSERS:
        assert ALL[name].help
        return
    main([name, "--help"])
    assert "Example" in capsys.readouterr().out


def test_verify_has_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--help"]) == 0
    assert "Exit codes" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["", *[name for name, command in ALL.items() if isinstance(command, click.Group)]])
def test_no_description_is_cut(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """In 80 columns every command's whole first sentence is there."""
    monkeypatch.setenv("COLUMNS", "80")
    assert main([*name.split(), "--help"]) == 0
    shown = capsys.readouterr().out
    assert "..." not in shown.split("Commands:")[1]
    assert max(len(line) for line in shown.splitlines()) <= 80
    words = " ".join(shown.split())
    group = ALL.get(name, cli)
    assert isinstance(group, click.Group)
    for command, found in commands(group):
        if len(command) == 1:
            assert found.help
            first = " ".join(found.help.split("\n\n")[0].split())
            assert f"{command[0]} {first.split('. ')[0].rstrip('.')}" in words


def test_lazy_commands_are_named_once() -> None:
    assert not MODULES.keys() & cli.commands.keys()
    assert cli.get_command(CONTEXT, "nothing") is None


HEAVY = {
    "click",
    "pydantic",
    "fastapi",
    "uvicorn",
    "aiosqlite",
    "aiomqtt",
    "cryptography",
    "server.main",
    "server.config",
    "argparse",
    "asyncio",
}


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        (["verify", "--help"], HEAVY),
        (["status", "--help"], {"pydantic", "fastapi", "uvicorn", "aiosqlite", "aiomqtt", "server.main", "server.ledger"}),
    ],
)
def test_a_command_loads_only_what_it_needs(arguments: list[str], never: set[str]) -> None:
    code = f"import sys; from server.cli import main; code = main({arguments!r}); print(*sys.modules); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert not set(done.stdout.splitlines()[-1].split()) & never


def test_a_fault_of_ours_is_no_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr(ALL["version"], "callback", broken)
    monkeypatch.delenv("METERPROOF_DEBUG", raising=False)
    assert main(["version"]) == 70
    assert "ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.setenv("METERPROOF_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["version"])
