"""What the demonstration shows while it runs and at the end.

In: counts. Out: a live picture with rich, or plain lines where there is no terminal. Never counts anything itself.
"""

import re
import textwrap
import time
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PLAIN_EVERY_S = 10
MIN_WIDTH = 60
LABEL = re.compile(r"  [✓✗] [a-z ]+: +|  - |  \S+(?: \S+)? {2,}|  ")  # a step, a point of a list, a name and its value


@dataclass
class MeterLine:
    """One meter as it stands now."""

    name: str
    interpreter: str
    taken: int = 0
    sealed: int = 0
    published: int = 0
    boots: int = 0
    alive: bool = True


@dataclass
class Picture:
    """All that is shown."""

    meters: list[MeterLine]
    backend: str = ""
    clock: str = ""
    done: float = 0.0


class Screen:
    """Context: `say` for an event, `show` for the numbers."""

    def __init__(self, console: Console, picture: Picture) -> None:
        self._console = console
        self._picture = picture
        self._started = time.monotonic()
        self._plain_at = 0.0
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Screen":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def say(self, text: str, style: str = "") -> None:
        self.line(f"{time.monotonic() - self._started:6.1f} s", text, style)
        self.show()

    def line(self, head: str, text: str, style: str = "") -> None:
        """One event; a terminal that is too narrow breaks it under its own text, a file keeps it in one line."""
        if not self._console.is_terminal:
            self._console.print(f"{head:>8}  {text}", highlight=False, markup=False, soft_wrap=True)
            return
        row = Table.grid(padding=(0, 2, 0, 0))
        row.add_column(width=8, justify="right", no_wrap=True)
        row.add_column()
        row.add_row(head, Text(text, style=style))
        self._console.print(row)

    def show(self) -> None:
        if self._live:
            self._live.update(render(self._picture))
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY_S and self._picture.clock:
            self._plain_at = time.monotonic()
            taken = ", ".join(f"{m.name} {m.taken}" for m in self._picture.meters)
            self.line("", f"{self._picture.clock}: taken {taken}; {self._picture.backend}")


def render(picture: Picture) -> RenderableType:
    table = Table(box=None, padding=(0, 2))
    for column, justify in (
        ("meter", "left"),
        ("firmware runs on", "left"),
        ("taken", "right"),
        ("bundles", "right"),
        ("published", "right"),
        ("boots", "right"),
    ):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    for meter in picture.meters:
        style = "" if meter.alive else "red"
        numbers = (str(meter.taken), str(meter.sealed), str(meter.published), str(meter.boots))
        table.add_row(meter.name, meter.interpreter if meter.alive else "killed", *numbers, style=style)
    bar = Padding(ProgressBar(total=1.0, completed=picture.done, width=60), (0, 2))
    return Group(Text(), table, Text(), Text(f"  {picture.clock}"), bar, Text(f"  {picture.backend}", style="dim"))


def results_table(title: str, rows: list[tuple[str, str, str]]) -> Table:
    """Rows of (what, value, where the value comes from)."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, justify="right")
    table.add_column()
    for what, value, source in rows:
        table.add_row(what, Text(value, style="bold"), Text(source, style="dim"))
    return table


def folded(text: str, width: int) -> str:
    """Lines of a report, none longer than `width`: what does not fit goes on below the text of its own line, beside the label."""
    lines = []
    for line in text.splitlines():
        label = LABEL.match(line)
        indent = " " * (len(label.group()) if label else 0)
        lines += textwrap.wrap(line, max(width, MIN_WIDTH), subsequent_indent=indent, break_on_hyphens=False) or [""]
    return "\n".join(lines)
