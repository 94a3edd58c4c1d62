"""Draws the days of a demonstration as one SVG.

In: power series of the meters as the backend stored them, and the outages that happened. Out: SVG text.
Never reads a file or a clock; times are UTC seconds, shown in the zone offset given.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, LANE, GAP, BOTTOM = 1060, 168, 24, 92, 92, 14, 64
INK, SOFT, GRID, EXPORT, IMPORT = "#1b2733", "#5c6b7a", "#dde3e9", "#e0a100", "#3f6fb5"
BAND = {"broker": "#8a94a0", "backend": "#c05a2b", "meter": "#b3202c"}
HOUR_S = 3600


@dataclass(frozen=True)
class Lane:
    """One meter: its name, its (time_s, watts) points in order, and how often it was read."""

    name: str
    note: str
    points: list[tuple[int, int]]


@dataclass(frozen=True)
class Outage:
    """Something that was down during [start_s, end_s): kind is broker, backend or meter; lane is set for a meter."""

    kind: str
    start_s: int
    end_s: int
    text: str
    lane: int | None = None


@dataclass(frozen=True)
class Frame:
    """Maps times and watts to pixels."""

    start_s: int
    end_s: int
    low_w: int
    high_w: int

    def x(self, time_s: int) -> float:
        return LEFT + (time_s - self.start_s) * (WIDTH - LEFT - RIGHT) / max(1, self.end_s - self.start_s)

    def y(self, lane: int, watts: int) -> float:
        top = TOP + lane * (LANE + GAP)
        return top + LANE - (watts - self.low_w) * LANE / max(1, self.high_w - self.low_w)


def build_chart(title: str, subtitle: str, lanes: list[Lane], outages: list[Outage], gap_s: int, zone_offset_s: int = 0) -> str:
    """SVG text; a line is interrupted where neighbouring points are more than `gap_s` apart."""
    points = [point for lane in lanes for point in lane.points]
    if not points:
        raise ValueError("a chart needs at least one point")
    watts = [w for _, w in points]
    frame = Frame(min(t for t, _ in points), max(t for t, _ in points), min(0, min(watts)), max(1, max(watts)))
    height = TOP + len(lanes) * (LANE + GAP) + BOTTOM
    body = [_head(title, subtitle), _bands(outages, frame, len(lanes)), _hours(frame, len(lanes), zone_offset_s)]
    body += [_lane(index, lane, frame, gap_s) for index, lane in enumerate(lanes)]
    body.append(_legend(outages, height))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'font-family="system-ui, Segoe UI, Helvetica, Arial, sans-serif"><title>{escape(title)}</title>'
        f'<rect width="100%" height="100%" fill="#ffffff"/>' + "".join(body) + "</svg>\n"
    )


def _text(x: float, y: float, text: str, size: int = 12, fill: str = SOFT, anchor: str = "start", weight: str = "normal") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{fill}" text-anchor="{anchor}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def _head(title: str, subtitle: str) -> str:
    return _text(24, 36, title, 20, INK, weight="600") + _text(24, 60, subtitle, 13)


def _bands(outages: list[Outage], frame: Frame, lanes: int) -> str:
    """Shaded spans behind the curves; a meter's own outage only in its lane."""
    parts = []
    for outage in outages:
        x0, x1 = frame.x(max(outage.start_s, frame.start_s)), frame.x(min(outage.end_s, frame.end_s))
        top = TOP if outage.lane is None else TOP + outage.lane * (LANE + GAP)
        height = lanes * (LANE + GAP) - GAP if outage.lane is None else LANE
        parts.append(
            f'<rect x="{x0:.1f}" y="{top}" width="{max(2.0, x1 - x0):.1f}" height="{height}" fill="{BAND[outage.kind]}" '
            f'fill-opacity="0.18"><title>{escape(outage.text)}</title></rect>'
        )
    return "".join(parts)


def _hours(frame: Frame, lanes: int, zone_offset_s: int) -> str:
    """Vertical lines each six hours of local time; each with its hour."""
    bottom = TOP + lanes * (LANE + GAP) - GAP
    parts = []
    first = -(-(frame.start_s + zone_offset_s) // (6 * HOUR_S)) * 6 * HOUR_S - zone_offset_s
    for time_s in range(first, frame.end_s + 1, 6 * HOUR_S):
        x = frame.x(time_s)
        parts.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{bottom}" stroke="{GRID}"/>')
        hour = (time_s + zone_offset_s) // HOUR_S % 24
        parts.append(_text(x, bottom + 18, f"{hour:02d}:00", anchor="middle"))
    return "".join(parts)


def _lane(index: int, lane: Lane, frame: Frame, gap_s: int) -> str:
    zero, top = frame.y(index, 0), TOP + index * (LANE + GAP)
    parts = [
        f'<line x1="{LEFT}" y1="{zero:.1f}" x2="{WIDTH - RIGHT}" y2="{zero:.1f}" stroke="{SOFT}" stroke-width="0.6"/>',
        _text(24, top + 22, lane.name, 14, INK, weight="600"),
        _text(24, top + 40, lane.note),
        _text(LEFT - 6, top + 11, f"{frame.high_w / 1000:.1f} kW", 10, anchor="end"),
        _text(LEFT - 6, zero - 2, "0", 10, anchor="end"),
    ]
    for run in _runs(lane.points, gap_s):
        line = " ".join(f"{frame.x(t):.1f},{frame.y(index, w):.1f}" for t, w in run)
        area = f"{frame.x(run[0][0]):.1f},{zero:.1f} {line} {frame.x(run[-1][0]):.1f},{zero:.1f}"
        parts.append(f'<polygon points="{area}" fill="{EXPORT}" fill-opacity="0.25"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{EXPORT}" stroke-width="1.2"/>')
    return "".join(parts)


def _runs(points: list[tuple[int, int]], gap_s: int) -> list[list[tuple[int, int]]]:
    runs: list[list[tuple[int, int]]] = []
    for point in points:
        if not runs or point[0] - runs[-1][-1][0] > gap_s:
            runs.append([])
        runs[-1].append(point)
    return runs


def _legend(outages: list[Outage], height: int) -> str:
    x, parts = 24.0, []
    for outage in outages:
        parts.append(f'<rect x="{x:.1f}" y="{height - 29}" width="14" height="14" fill="{BAND[outage.kind]}" fill-opacity="0.35"/>')
        parts.append(_text(x + 20, height - 18, outage.text))
        x += 40 + 6.6 * len(outage.text)
    return "".join(parts)
