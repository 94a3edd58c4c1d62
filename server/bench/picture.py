"""The rows as one SVG: ours beside the limit, or beside the goal where there is no limit.

In: rows. Out: SVG text. Never shows a row without a measure to hold it against.
"""

from collections.abc import Sequence
from xml.sax.saxutils import escape

from server.bench.report import number
from server.bench.rows import Row

WIDTH, LEFT, RIGHT, TOP, LINE, BAR, BOTTOM = 1040, 300, 250, 96, 34, 14, 44
REACH_MAX = 1.25  # bars are cut here: what is far better than asked needs no scale
INK, SOFT, GRID, GOOD, SHORT, LIMIT = "#1b2733", "#5c6b7a", "#dde3e9", "#2a7f8e", "#c05a2b", "#c9d1d9"
PANELS = (
    ("Beside the limit", "grey: what the bare primitives of the same run reach; tick: the part that is asked for"),
    ("Beside the goal", "grey: what is asked for; a longer bar is better than that, and cut at 1.25 times"),
)


def build_picture(rows: Sequence[Row], subtitle: str) -> str:
    """SVG text: rows with a limit first, then those with a goal alone."""
    panels = [[row for row in rows if row.ratio is not None], [row for row in rows if row.ratio is None and row.goal and row.value]]
    body, y = [_text(24, 36, "Meterproof bench", 20, INK, weight="600"), _text(24, 60, subtitle, 13)], TOP
    for (title, note), panel in zip(PANELS, panels, strict=True):
        if panel:
            body += [_text(24, y, title, 15, INK, weight="600"), _text(LEFT, y, note)]
            body += [_row(y + 12 + LINE * i, row) for i, row in enumerate(panel)]
            y += 12 + LINE * len(panel) + BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" role="img" '
        f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif"><title>Meterproof bench</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>' + "".join(body) + "</svg>\n"
    )


def reach(row: Row) -> float:
    """How far towards its limit, or else its goal: 1 is there, more is better."""
    if row.ratio is not None:
        return row.ratio
    assert row.goal, "build_picture chooses"
    return row.value / row.goal if row.more else row.goal / row.value


def x_of(part: float) -> float:
    return LEFT + min(part, REACH_MAX) * (WIDTH - LEFT - RIGHT) / REACH_MAX


def _row(y: float, row: Row) -> str:
    part = reach(row)
    colour = SHORT if row.holds is False else GOOD
    bars = [_bar(y + 6, 1.0, LIMIT), _bar(y + 10, part, colour, BAR - 8)]
    if row.goal_ratio is not None:
        x = x_of(row.goal_ratio)
        bars.append(f'<line x1="{x:.1f}" y1="{y + 2}" x2="{x:.1f}" y2="{y + BAR + 10}" stroke="{INK}" stroke-width="1.5"/>')
    against = row.limit if row.limit is not None else row.goal
    held = {True: " ✓", False: " ✗", None: ""}[row.holds]
    says = f"{number(row.value)} / {number(against or 0)} {row.unit}{held}"
    return _text(24, y + 17, row.what, 13, INK) + "".join(bars) + _text(WIDTH - RIGHT + 12, y + 17, says, 12, colour if held else SOFT)


def _bar(y: float, part: float, colour: str, height: int = BAR) -> str:
    return f'<rect x="{LEFT}" y="{y}" width="{max(1.0, x_of(part) - LEFT):.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, size: int = 12, fill: str = SOFT, weight: str = "normal") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" font-weight="{weight}">{escape(text)}</text>'
