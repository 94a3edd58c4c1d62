"""A wiring picture as SVG: the board left, the transceiver in the middle, the meter's bus right.

In: a title and (board pin, transceiver pin, colour) per wire. Out: SVG text, the same for the same input. Never draws a wire that
the table does not name.
"""

from html import escape

WIDTH = 760
ROW = 34
TOP = 84
BOX = 'fill="#f7f5f0" stroke="#555" stroke-width="1.5" rx="6"'


def text_at(x: int, y: int, text: str, anchor: str = "start", size: int = 14, weight: str = "normal") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}">{escape(text)}</text>'


def draw_wires(wires: list[tuple[str, str, str]]) -> list[str]:
    parts = []
    for i, (board_pin, part_pin, colour) in enumerate(wires):
        y = TOP + 44 + i * ROW
        parts.append(f'<path d="M200 {y}H360" stroke="{escape(colour)}" stroke-width="3" fill="none"/>')
        parts += [text_at(190, y + 5, board_pin, "end"), text_at(370, y + 5, part_pin)]
    return parts


def draw_bus(height: int) -> list[str]:
    """A, B and the reference from the transceiver to the meter; the resistor only at the ends of the bus."""
    parts = []
    for i, (name, colour) in enumerate((("A (D+)", "#2e7d32"), ("B (D−)", "#8a6d00"), ("reference", "#777"))):
        y = TOP + 44 + i * ROW
        parts.append(f'<path d="M520 {y}H610" stroke="{colour}" stroke-width="3" fill="none"/>')
        parts.append(text_at(620, y + 5, name))
    parts.append(text_at(565, TOP + height - 14, "120 Ω between A and B at both ends of the bus only", "middle", 11))
    return parts


def draw_wiring(title: str, tried: str, wires: list[tuple[str, str, str]]) -> str:
    """The picture."""
    height = 44 + max(len(wires), 4) * ROW + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {TOP + height + 24}" font-family="sans-serif" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{TOP + height + 24}" fill="#fff"/>',
        text_at(20, 32, title, size=18, weight="bold"),
        text_at(20, 56, tried, size=11),
        f'<rect x="20" y="{TOP}" width="180" height="{height}" {BOX}/>',
        f'<rect x="360" y="{TOP}" width="160" height="{height - 36}" {BOX}/>',
        f'<rect x="610" y="{TOP}" width="130" height="{height - 36}" {BOX}/>',
        text_at(30, TOP + 20, "board", weight="bold"),
        text_at(370, TOP + 20, "RS-485 transceiver", weight="bold"),
        text_at(620, TOP + 20, "meter", weight="bold"),
        *draw_wires(wires),
        *draw_bus(height),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"
