"""Groups of commands that are loaded when they are asked for, and that show each command's whole first sentence.

In: names and where their code is. Out: click groups. Never imports a command's module before somebody names it or asks for help.
"""

import importlib
from collections.abc import Mapping
from typing import Any

import click

EXIT_HELP = (
    "Exit codes: 0 done, 1 refused, 2 wrong usage or unreadable input, 4 not possible now (try again), 70 a fault of the program. "
    'With --json an error is {"error": {"code", "family", "message"}} on stderr.'
)
LINE_CHARS_MAX = 1000  # of a command's first sentence: longer ones are wrapped by the formatter, never cut


class Group(click.Group):
    """`modules`: names of commands beside those added as usual, each with the module of this package that holds it."""

    def __init__(self, *arguments: Any, modules: Mapping[str, str] | None = None, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._modules = dict(modules or {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*self.commands, *self._modules})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = self._modules.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        found: click.Command = getattr(importlib.import_module(f".{module}", __package__), cmd_name.replace("-", "_"))
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        commands = {name: self.get_command(ctx, name) for name in self.list_commands(ctx)}
        rows = [(name, found.get_short_help_str(LINE_CHARS_MAX)) for name, found in commands.items() if found is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)
