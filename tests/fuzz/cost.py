"""What one input costs, counted and not timed: lines of Python run, and the most memory held.

In: a call, or a target. Out: counts; the hardest inputs there are of an allowed length. Never a clock.
"""

import sys
import tracemalloc
from collections.abc import Callable, Iterator
from types import FrameType
from typing import NamedTuple

from tests.fuzz.mutate import BOMBS
from tests.fuzz.target import Target
from tests.fuzz.tree import NotATree, nodes_of, read_tree, write_tree

# Looking at a length and saying no: how much too long an input is does not matter.
REFUSE_STEPS_MAX = 250
REFUSE_PEAK_BYTES_MAX = 8_192
PEAK_FIXED_BYTES = 65_536
BIG_BYTES = 1 << 20  # beyond it a few inputs have to do


class Cost(NamedTuple):
    steps: int
    peak_bytes: int


class TooDear(AssertionError):
    """An input costs more than its length allows."""


def measure(call: Callable[[], object]) -> Cost:
    """Runs it twice: once counting lines, once watching memory (each slows the other)."""
    steps = 0

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal steps
        steps += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(before)
    tracemalloc.start()
    try:
        call()
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return Cost(steps, peak_bytes)


def cost_of(target: Target, data: bytes) -> Cost:
    """What the decoder takes for it, whatever it says. Encoding anew is left out: nobody can ask a node for that."""

    def call() -> None:
        try:
            (target.costs or target.decode)(data)
        except Exception:  # what may escape is checked elsewhere
            return

    return measure(call)


def check_cost(target: Target, data: bytes) -> Cost:
    """Raises TooDear when the input costs more than its length allows, or is longer than allowed and is looked at all the same."""
    cost = cost_of(target, data)
    steps_max = target.steps_fixed + target.steps_per_byte * len(data)
    peak_max = PEAK_FIXED_BYTES + target.peak_per_byte * len(data)
    if target.refuses(len(data)):
        steps_max, peak_max = REFUSE_STEPS_MAX, REFUSE_PEAK_BYTES_MAX + target.copies * len(data)
    if cost.steps > steps_max or cost.peak_bytes > peak_max:
        raise TooDear(f"{target.name}: {len(data)} bytes take {cost} of {steps_max} steps, {peak_max} bytes: {data[:40].hex()}…")
    return cost


FILLINGS = {
    "zeros": b"\x00",
    "empty lists": b"\x80",
    "empty maps": b"\xa0",
    "empty texts": b"\x60",
    "maps of one": b"\xa1\x00\x00",
    "lists of one": b"\x81\x80",
    "letters": b"a",
    "digits": b"9",
    "lines": b"\n",
    "empty lines": b"\n\n",
    "spaces": b" ",
    "slashes": b"/",
    "pluses": b"+",
    "dots": b"a.",
    "brackets": b"[",
    "braces": b"{a=",
    "quotes": b'"',
    "base64": b"QUFB",
    "dashes": b"\xe2\x80\x94 ",
    "euros": b"\xe2\x82\xac",
    "ones": b"\xff",
    "continued": b"\x80",
}


def hard_inputs(target: Target, length: int) -> Iterator[bytes]:
    """Inputs of about that length: fillings alone, under a list's head, and put where a good input has a string or a list."""
    if length > BIG_BYTES:
        yield bytes(length)
        yield b"\x9a" + (length - 5).to_bytes(4, "big") + b"\x80" * (length - 5)
        yield target.seeds[0] + b"\x80" * length
        return
    for filling in FILLINGS.values():
        yield (filling * (length // len(filling) + 1))[:length]
        yield (b"\x9a" + (length - 5 & 0xFFFFFFFF).to_bytes(4, "big") + filling * (length // len(filling)))[:length]
    for bomb in BOMBS:
        yield (bomb + bytes(length))[:length]
    for depth in (15, 16, 17):
        yield (b"\x81" * depth + b"\x9a" + (max(0, length - depth - 5)).to_bytes(4, "big") + b"\xa0" * length)[:length]
    yield from _stuffed(target, length)


def _stuffed(target: Target, length: int) -> Iterator[bytes]:
    for seed in target.seeds[:3]:
        room = length - len(seed)
        if room < 16:
            continue
        if not target.tree:
            for at in (0, len(seed) // 2, len(seed)):
                for filling in FILLINGS.values():
                    yield (seed[:at] + filling * (room // len(filling)) + seed[at:])[:length]
            continue
        yield from _stuffed_tree(seed, room)


def _stuffed_tree(seed: bytes, room: int) -> Iterator[bytes]:
    try:
        places = len(nodes_of(read_tree(seed)))
    except NotATree:
        return
    for place in range(0, places, max(1, places // 12)):
        for filling, major in ((b"\x00", 4), (b"\x80", 4), (b"\xa1\x00\x00", 4), (b"a", 3), (b"a", 2), (b"\xff", 2)):
            root = read_tree(seed)
            node = nodes_of(root)[place]
            count = (room - 16) // len(filling)
            node.items, node.data, node.major, node.width = None, filling * count, major, None
            node.claim = count
            yield write_tree(root)
