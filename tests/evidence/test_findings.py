"""Findings: odd statements are logged and acked all the same, and each oddity is named once."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.evidence import findings
from server.evidence.columns import Columns
from server.evidence.span import build_span
from shared import channel
from shared.types import ChannelTable, Register
from tests.evidence.backend import open_half
from tests.evidence.fleet import START_S, Device


def story_of(tmp_path: Path, *makers):
    """Sends what each maker makes of the device; gives the kinds of findings. Everything must be acked."""

    async def story() -> list[str]:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
            assert await half.kinds() == []
            for make in makers:
                sent = make(meter)
                ack = await half.ack(meter, sent)
                assert ack.identity == sent.identity, "a finding is never a refusal"
            return await half.kinds()

    return asyncio.run(story())


def fallen(meter: Device):
    meter.registers = [10, 10]
    return meter.readings()


def leapt(meter: Device):
    meter.registers[0] += 10**9
    return meter.readings()


def at(**fields: object):
    def make(meter: Device):
        for name, value in fields.items():
            setattr(meter, name, value)
        return meter.readings()

    return make


def skipping(meter: Device):
    meter.next_seq += 4
    return meter.readings()


@pytest.mark.parametrize(
    ("makers", "kinds"),
    [
        ([fallen], ["register-backward", "register-backward"]),
        ([leapt], ["rate-implausible"]),
        ([at(clock=0), at(clock=0), at(clock=2)], ["clock-unsynced"]),
        ([at(clock=4), at(clock=4)], ["clock-simulated"]),
        ([at(clock=4), at(clock=2), at(clock=4)], ["clock-simulated", "clock-simulated"]),
        ([at(time_s=START_S - 3600)], ["clock-backward"]),
        ([at(time_s=START_S + 86400 + 301)], ["clock-ahead"]),
        ([at(time_s=START_S + 86400 + 301, clock=4)], ["clock-simulated"]),
        ([at(time_s=START_S - 86400 - 1)], ["not-assigned", "clock-backward"]),
        ([at(firmware=bytes(32)), at(firmware=bytes(32))], ["firmware-differs"]),
        ([at(previous=bytes(32))], ["chain-break"]),
        ([lambda m: m.readings(tier=2)], ["tier-differs"]),
        ([lambda m: m.readings(channel=7)], ["not-assigned"]),
        ([lambda m: m.readings(channel_table=bytes(32))], ["channel-table-unknown", "channel-table-differs"]),
        ([lambda m: m.readings(step=0), lambda m: m.readings(step=0), lambda m: m.time_repair()], []),
    ],
)
def test_oddities(tmp_path: Path, makers: list, kinds: list[str]) -> None:
    assert story_of(tmp_path, *makers) == kinds


def test_a_silent_gap_is_a_finding_until_then_only_missing(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
            ack = await half.ack(meter, skipping(meter))
            assert (ack.next_seq, ack.missing) == (3, [(3, 4)])
            assert await half.kinds() == ["sequence-gap"]

    asyncio.run(story())


def test_a_backward_register_is_found_in_whatever_order_the_bundles_came(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            first, second = meter.readings(), meter.readings()
            meter.registers = [0, 0]
            third = meter.readings()
            await half.send(meter, first)
            await half.send(meter, third)
            assert await half.kinds() == ["register-backward"] * 2, "already against the first"
            await half.send(meter, second)
            assert await half.kinds() == ["register-backward"] * 4
            assert (await half.log.ack_of(meter.id)).next_seq == 9

    asyncio.run(story())


def test_times_since_boot_are_compared_within_one_boot_only(tmp_path: Path) -> None:
    kinds = story_of(tmp_path, at(clock=0, time_s=500), at(clock=0, time_s=100), at(clock=0, time_s=20, boot=2))
    assert kinds == ["clock-unsynced", "clock-backward", "clock-unsynced"]


def test_another_meter_behind_the_channel_is_found(tmp_path: Path) -> None:
    other = channel.encode_table(ChannelTable("Example", "M1", "SN-2", "1.0", [Register("1.8.0", "import", "Wh", 3, "cumulative")]))

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
            meter.table = other
            await half.ack(meter, meter.readings(), meter.readings())
            assert await half.kinds() == ["channel-table-differs", "meter-differs", "register-count", "register-count"]

    asyncio.run(story())


def test_bundles_of_one_table_with_other_numbers_of_registers_are_not_compared(tmp_path: Path) -> None:
    makers = at(registers=[1000]), at(registers=[10, 10]), at(registers=[5])
    assert story_of(tmp_path, *makers) == ["register-count", "register-count"]


def test_a_gap_over_every_sequence_there_is_can_be_stored(tmp_path: Path) -> None:
    assert story_of(tmp_path, lambda m: m.gap((0, 1 << 63, None, 1))) == ["lost"]


def test_a_register_that_may_fall_is_left_alone(tmp_path: Path) -> None:
    table = channel.encode_table(ChannelTable("Example", "M1", "SN-1", "1.0", [Register("1.7.0", "import", "W", 0, "instant")]))

    async def story() -> None:
        meter = Device("m1", table=table, registers=[5000])
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings(step=-1000), meter.readings(step=10**9))
            assert await half.kinds() == []

    asyncio.run(story())


@given(
    st.lists(st.integers(-5, 40_000) | st.none() | st.sampled_from([0, 0, 60]), min_size=1, max_size=8),
    st.lists(st.tuples(st.none() | st.integers(-100, 0), st.none() | st.integers(-50, 50)), max_size=1),
    st.lists(st.tuples(st.none() | st.integers(50, 100), st.none() | st.integers(-50, 90_000)), max_size=1),
    st.sampled_from(["Wh", "varh", "m3"]),
    st.sampled_from([-1, 0, 1]),
)
def test_the_ends_of_a_steady_register_say_as_much_as_all_of_it(deltas: list, before: list, after: list, unit: str, exponent: int) -> None:
    register = Register("1.8.0", "import", unit, exponent, "cumulative")
    values, last = [], 0
    for delta in deltas:
        last += delta or 0
        values.append(None if delta is None else last)
    times = [2 * i for i in range(len(values))]
    span = build_span(Columns(times, [values], [0] * len(values)), ChannelTable("", "", "", "", [register]))
    short = [*before, *span.of_register(0), *after]
    whole = [*before, *zip(times, values, strict=True), *after]
    assert list(findings._of_register(register, short)) == list(findings._of_register(register, whole))
