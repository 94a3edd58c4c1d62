"""What the demonstration shows while it runs and at the end.

In: counts. Out: a live picture with rich, or plain lines where there is no terminal. Never counts anything itself.
"""

import time
from collections import deque
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

EVENTS_SHOWN = 8
PLAIN_EVERY_S = 10


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
    events: deque[str] = field(default_factory=lambda: deque(maxlen=EVENTS_SHOWN))


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
        line = f"{time.monotonic() - self._started:6.1f} s  {text}"
        self._picture.events.append(line)
        self._console.print(Text(line, style=style))
        self.show()

    def show(self) -> None:
        if self._live:
            self._live.update(render(self._picture))
        elif time.monotonic() - self._plain_at >= PLAIN_EVERY_S and self._picture.clock:
            self._plain_at = time.monotonic()
            taken = ", ".join(f"{m.name} {m.taken}" for m in self._picture.meters)
            self._console.print(f"          {self._picture.clock}: taken {taken}; {self._picture.backend}", highlight=False)


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
    bar = ProgressBar(total=1.0, completed=picture.done, width=60)
    return Group(Text(), table, Text(), Text(f"  {picture.clock}"), bar, Text(f"  {picture.backend}", style="dim"))


def results_table(title: str, rows: list[tuple[str, str, str]]) -> Table:
    """Rows of (what, value, where the value comes from)."""
    table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None, padding=(0, 2, 0, 0))
    for what, value, source in rows:
        table.add_row(what, Text(value, style="bold", justify="right"), Text(source, style="dim"))
    return table
