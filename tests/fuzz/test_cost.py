"""Time and memory for one input are bounded by its length, and nothing longer than allowed is looked at. Counted in lines and bytes, not
timed.

In: targets, the hardest inputs there are. Out: passes or failures. Never a clock.
"""

from itertools import islice

import pytest

from shared import cbor
from shared.errors import DecodeError
from tests.fuzz.cost import Cost, TooDear, check_cost, cost_of, hard_inputs, measure
from tests.fuzz.target import Target, check_input
from tests.fuzz.targets import TARGETS

SHORT_BYTES = 1024
LONG_BYTES = 65536


def check_all(target: Target, length: int, every: int) -> int:
    """Every n-th hard input of that length; gives how many were tried."""
    tried = 0
    for i, data in enumerate(hard_inputs(target, length)):
        if i % every == 0:
            check_cost(target, data)
            tried += 1
    return tried


@pytest.mark.parametrize("name", TARGETS)
def test_cost_grows_with_length_only(name: str) -> None:
    target = TARGETS[name]
    for seed in target.seeds[:5]:
        check_cost(target, seed)
    length = max(SHORT_BYTES, 2 * max(map(len, target.seeds)))
    assert check_all(target, min(target.limit_bytes or length, length), 3) > 20


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_cost_at_full_length(name: str) -> None:
    """Up to the limit itself; at most 64 KiB, where what grows faster than the length would show."""
    target = TARGETS[name]
    assert check_all(target, min(target.limit_bytes or LONG_BYTES, LONG_BYTES), 7) > 5


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.limit_bytes is not None])
def test_what_is_too_long_is_not_looked_at(name: str) -> None:
    target = TARGETS[name]
    tried = 0
    for times in (4 if target.chars else 1, 16 if target.limit_bytes < 100_000 else 1):
        for data in islice(hard_inputs(target, times * target.limit_bytes + 4), 0, None, 1 + target.limit_bytes // 4096):
            if target.refuses(len(data)):
                assert check_input(target, data) > 0
                check_cost(target, data)
                tried += 1
    assert tried >= 2


def test_items_of_a_block_are_counted_before_any_is_made() -> None:
    """A block may have 22 MB; as many empty lists would become more than a gigabyte."""
    count = 1 << 20
    for inner in (b"\x80", b"\xa0", b"\x60", b"\x00"):
        data = b"\x83\x01\x01\x9a" + count.to_bytes(4, "big") + inner * count
        assert check_input(TARGETS["block"], data) == 182
        cost = cost_of(TARGETS["block"], data)
        assert cost.steps < 200
        assert cost.peak_bytes < 8192


def test_counts_are_the_same_every_time() -> None:
    assert measure(lambda: cbor.decode(bytes([0x83, 1, 2, 3]))).steps == measure(lambda: cbor.decode(bytes([0x83, 1, 2, 3]))).steps > 10
    assert measure(lambda: bytes(1_000_000)).peak_bytes >= 1_000_000


# --- the check itself


def refused(data: bytes) -> None:
    raise DecodeError(100, "no")


def test_time_that_grows_with_the_square_is_found() -> None:
    def quadratic(data: bytes) -> int:
        return sum(1 for _ in data for _ in data)

    with pytest.raises(TooDear):
        check_cost(Target("planted", quadratic, 65536, [b""]), bytes(400))


def test_memory_that_a_length_only_promises_is_found() -> None:
    with pytest.raises(TooDear):
        check_cost(Target("planted", lambda data: bytes(1 << 20), 65536, [b""]), b"\x5a\x00\x10\x00\x00")


def test_looking_at_what_is_too_long_is_found() -> None:
    def late(data: bytes) -> None:
        if sum(1 for _ in data) > 100:
            refused(data)

    check_cost(Target("planted", refused, 100, [b""]), bytes(5000))
    with pytest.raises(TooDear):
        check_cost(Target("planted", late, 100, [b""]), bytes(5000))


def test_a_cost_is_two_numbers() -> None:
    assert Cost(1, 2) == (1, 2)
