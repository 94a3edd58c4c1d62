"""server/bench/picture: one SVG that says what the rows say."""

from xml.etree import ElementTree

import pytest

from server.bench.picture import LEFT, PANELS, REACH_MAX, RIGHT, WIDTH, build_picture, reach, x_of
from server.bench.rows import Row

from .rows_of import HEAP, PIPELINE, ROOT, ROWS, SIGN

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def bars(svg: str) -> list[float]:
    rects = list(ElementTree.fromstring(svg).iter(f"{SVG}rect"))[1:]
    return [float(rect.attrib["width"]) for rect in rects]


def test_rows_stand_in_the_panel_of_what_they_are_held_against() -> None:
    found = texts(build_picture(ROWS, "two cores & more"))
    assert "two cores & more" in found
    limit, goal = (found.index(title) for title, _ in PANELS)
    assert limit < found.index("bundles to the ack") < found.index("root") < goal < found.index("sign")
    assert HEAP.what not in found, "nothing to hold it against"
    assert "123,457 / 400,000 readings/s ✗" in found and "0.5 / 0.3 s ✓" in found and "3.5 / 4 ms ✓" in found


def test_bars_are_as_long_as_what_is_reached() -> None:
    whole = x_of(1.0) - LEFT
    lengths = bars(build_picture([ROOT, SIGN], ""))
    assert lengths == [pytest.approx(whole, abs=0.1), pytest.approx(0.6 * whole, abs=0.1), pytest.approx(whole, abs=0.1),
                       pytest.approx(4 / 3.5 * whole, abs=0.1)]  # fmt: skip


def test_a_goal_on_the_ratio_is_a_tick() -> None:
    (tick,) = ElementTree.fromstring(build_picture([PIPELINE, ROOT], "")).iter(f"{SVG}line")
    assert float(tick.attrib["x1"]) == pytest.approx(x_of(0.4), abs=0.1)


def test_nothing_is_drawn_beyond_the_edge_or_without_width() -> None:
    far = Row("a", "g", "far", 1.0, "ms", None, 1000.0, False)
    near = Row("b", "g", "near", 1.0, "x", None, 1e9)
    lengths = bars(build_picture([far, near], ""))
    assert lengths[1] == WIDTH - LEFT - RIGHT == round(x_of(REACH_MAX) - LEFT) and lengths[3] == 1.0
    assert reach(far) == 1000.0 and reach(near) == pytest.approx(1e-9)


def test_rows_without_measure_make_an_empty_picture() -> None:
    svg = build_picture([HEAP, Row("z", "g", "zero", 0.0, "ms", None, 5.0, False)], "nothing <here>")
    assert texts(svg) == ["Meterproof bench", "nothing <here>"] and bars(svg) == []


def test_what_a_row_says_is_escaped() -> None:
    svg = build_picture([Row("a", "g", "a <b> & c", 1.0, "x", 2.0)], "")
    assert "a <b> & c" in texts(svg) and "<b>" not in svg
