"""The rows as a table for people, as wide as the terminal allows.

In: rows, a width, perhaps an earlier run. Out: a rich table. Never leaves a row out: on a narrow terminal it is columns that go.
"""

from collections.abc import Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from server.bench.rows import ESP32_SLOWER, Row

WIDE = 140  # columns of a terminal that has room for spread, limit and the ESP32
NARROW_COLUMNS = {"value": 19, "ratio": 10, "goal": 9, "holds": 5}
WIDE_COLUMNS = {"value": 22, "from … to": 19, "limit": 10, "ratio": 10, "goal": 9, "holds": 5, "ESP32, estimated": 16}
CHANGE = {"change": 7}


def report(rows: Sequence[Row], width: int, before: dict[str, float] | None = None) -> Group:
    """One table for each group; with `before` (values of an earlier run) also the change of each row."""
    parts: list[RenderableType] = []
    for group, members in groupby(rows, key=lambda row: row.group):
        parts += [Text(group, "bold cyan"), table(list(members), width, before, not parts), ""]
    return Group(*parts)


def table(rows: Sequence[Row], width: int, before: dict[str, float] | None, headed: bool) -> Table:
    """Columns have the same width in every group."""
    wide = width >= WIDE
    made = Table(box=None, padding=(0, 2, 0, 0), header_style="dim", show_header=headed, expand=True)
    made.add_column("", overflow="fold", ratio=1)
    for name, wanted in ((WIDE_COLUMNS if wide else NARROW_COLUMNS) | ({} if before is None else CHANGE)).items():
        made.add_column(name, justify="left" if name == "goal" else "right", overflow="fold", width=wanted)
    for row in rows:
        cells = wide_cells(row) if wide else narrow_cells(row)
        made.add_row(*cells, *([] if before is None else [change_text(row.value, before.get(row.id))]))
    return made


def wide_cells(row: Row) -> list[Text | str]:
    estimate = "" if row.esp32 is None else f"≈ {number(row.esp32)} {row.unit}"
    limit = "" if row.limit is None else number(row.limit)
    cells = [row.what, f"{number(row.value)} {row.unit}", spread_text(row), limit, ratio_text(row), goal_text(row)]
    return [*cells, held_text(row), estimate]


def narrow_cells(row: Row) -> list[Text | str]:
    estimate = "" if row.esp32 is None else f"\nESP32, est.: {number(row.esp32)}"
    return [row.what, f"{number(row.value)} {row.unit}{estimate}", ratio_text(row), goal_text(row), held_text(row)]


def number(value: float) -> str:
    """Three significant digits, thousands separated."""
    if abs(value) >= 1_000_000:
        return f"{value / 1_000_000:.3g} M"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def spread_text(row: Row) -> str:
    if row.low is None or row.high is None or row.low == row.high:
        return ""
    return f"{number(row.low)} … {number(row.high)}"


def ratio_text(row: Row) -> str:
    """With what is asked of it."""
    asked = "" if row.goal_ratio is None else f" ≥ {row.goal_ratio:g}"
    return "" if row.ratio is None else f"{row.ratio:.2f}{asked}"


def goal_text(row: Row) -> str:
    return "" if row.goal is None else f"{'≥' if row.more else '≤'} {number(row.goal)}"


def held_text(row: Row) -> Text:
    return {True: Text("yes", "green"), False: Text("no", "bold red"), None: Text("")}[row.holds]


def change_text(value: float, earlier: float | None) -> str:
    """In per cent of the earlier value; `new` for a row that it did not have."""
    if earlier is None:
        return "new"
    return "" if earlier == 0 else f"{(value / earlier - 1) * 100:+.0f} %"


def explained(quick: bool, earlier_quick: bool | None = None) -> str:
    """What the columns mean, below the table; `earlier_quick`: of the run compared with."""
    lines = [
        "limit: what the bare primitives reach in this same run; ratio: the part of it that is reached (1 is the limit itself).",
        "Value and limit are medians of several repetitions.",
        f"ESP32: an estimate, {ESP32_SLOWER} times what MicroPython takes on this host; not tried on a board.",
    ]
    if quick:
        lines.append("This was a quick run: few repetitions and small inputs. It shows that the bench works, not how fast the project is.")
    if earlier_quick is not None and earlier_quick != quick:
        lines.append("One of the two runs was quick and the other whole: the changes say little.")
    return "\n".join(lines)
