"""`meterproof verify`, `fsck`, `demo`, `bench` and `version`: doors to parts that are loaded only when asked for."""

import asyncio
import contextlib
import dataclasses
import importlib
import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import click

from server.config import load_config

from .common import pairs
from .groups import EXIT_HELP

FLAGS = ("served", "first_start_cut")  # of an fsck report: not counts
PASS_ON = {"ignore_unknown_options": True, "help_option_names": []}


def _delegate(module: str, arguments: tuple[str, ...]) -> int:
    """Runs `main(arguments)` of a module; its result is the exit code."""
    main: Callable[[list[str]], Any] = importlib.import_module(module).main
    result = main(list(arguments))
    return result if isinstance(result, int) else 0


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def verify(arguments: tuple[str, ...]) -> int:
    """Verify an evidence file offline against your policy.

    Example: meterproof verify reading.evidence --policy policy.toml
    """
    return _delegate("shared.verify.cli", arguments)


@click.command(epilog=EXIT_HELP)
@click.option("--home", envvar="METERPROOF_HOME", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
              help="Directory made by `meterproof init` (or METERPROOF_HOME).")  # fmt: skip
@click.option("--repair", is_flag=True, help="Rebuild derived tables that are wrong; the backend must be stopped.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def fsck(home: Path, repair: bool, as_json: bool) -> int:
    """Check everything again from tiles, rows and blocks alone.

    \b
    Example:
      meterproof fsck --home ./home

    Exit code 1 if anything is wrong. Changes nothing without --repair, and then only what is derived from the rest: it is rebuilt when
    all that was signed and stored agrees, and left alone otherwise. A home that was never served, or whose first start was cut short
    before anything was acknowledged, has nothing to check: exit code 0.
    """
    from server.fsck import fsck as check
    from server.home import lock_home

    config = load_config(home)
    with lock_home(config.home) if repair else contextlib.nullcontext():
        report = asyncio.run(check(config.home, repair))
    values = dataclasses.asdict(report)
    click.echo(json.dumps({"ok": report.ok, **values}, indent=2) if as_json else fsck_text(values, report.ok))
    return 0 if report.ok else 1


def fsck_text(values: dict[str, Any], ok: bool) -> str:
    """The report for people."""
    if not values["served"]:
        return "nothing to check: this home was initialised, but never served"
    if values["first_start_cut"]:
        return "nothing to check yet: the first start of this home did not end, and nothing was acknowledged; start it again"
    problems = values["problems"] + values["derived_problems"]
    lines: list[tuple[str, object]] = [(name, value) for name, value in values.items() if isinstance(value, int) and name not in FLAGS]
    lines += [(device, f"{stored['readings']} readings, {stored['lost']} lost") for device, stored in values["devices"].items()]
    sound = "everything agrees; derived tables were rebuilt" if values["repaired"] else "everything agrees"
    verdict = sound if ok else f"{len(problems)} problems:\n" + "\n".join(f"  {problem}" for problem in problems)
    hint = "\nall of it can be rebuilt: stop the backend, then meterproof fsck --repair" if not (ok or values["problems"]) else ""
    return f"{pairs(lines)}\n{verdict}{hint}"


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def demo(arguments: tuple[str, ...]) -> int:
    """The whole line in some minutes: meters, outages, a backend, one reading proven."""
    return _delegate("server.demo.run", arguments)


@click.command(context_settings=PASS_ON)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> int:
    """Measure this machine: pipeline and primitives side by side."""
    return _delegate("server.bench.run", arguments)


@click.command(epilog=EXIT_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def version(as_json: bool) -> None:
    """Print the version.

    \b
    Example:
      meterproof version --json
    """
    values = {"meterproof": metadata.version("meterproof"), "python": platform.python_version()}
    click.echo(json.dumps(values) if as_json else f"meterproof {values['meterproof']} (Python {values['python']})")
