"""Every command explains itself."""

from collections.abc import Iterator

import click
import pytest

from server.cli import cli, main

OWN_PARSERS = ("verify", "demo", "bench")


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = {" ".join(path): command for path, command in commands(cli)}


def test_the_commands_are_these() -> None:
    wanted = (
        ["init", "serve", "broker", "org", "key", "point", "device", "firmware", "evidence"]
        + ["findings", "quarantine", "status", "verify", "fsck", "demo", "bench", "version"]
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
    with pytest.raises(SystemExit) as ended:
        main(["verify", "--help"])
    assert ended.value.code == 0
    assert "exit codes" in capsys.readouterr().out


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
