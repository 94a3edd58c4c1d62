"""What is odd about a statement that is logged all the same: findings for people, never a reason to refuse.

In: one statement with its readings, what is known of its device, channel and neighbours. Out: findings in a fixed order. Never reads a
clock or a store: fsck finds the same again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from shared import state
from shared.errors import RuleError
from shared.types import ChannelTable, Register, Statement

from .chain import Chain, Step, Tail
from .span import Pairs, Span, is_implausible

KINDS = {
    "equivocation": "two statements for one sequence: the device is suspended",
    "chain-break": "follows a statement that is neither logged nor named lost",
    "sequence-gap": "the device left out sequences without naming them lost",
    "lost": "the device names readings lost",
    "lost-but-logged": "named lost, but it is in the log",
    "clock-unsynced": "times are seconds since boot, until a time repair",
    "clock-simulated": "times come from a scaled or set clock",
    "clock-backward": "starts before the bundle that precedes it ended",
    "clock-ahead": "starts after it was received",
    "register-backward": "a cumulative register fell",
    "rate-implausible": "a register moved faster than any plausible meter",
    "register-count": "not as many registers as the channel table names",
    "channel-table-unknown": "the channel table was never shown by this device",
    "channel-table-differs": "not the channel table that was enrolled for this channel",
    "meter-differs": "another meter serial than was enrolled for this channel",
    "not-assigned": "the channel was assigned to no metering point at that time",
    "firmware-differs": "another firmware than was enrolled",
    "tier-differs": "another key tier than was enrolled",
}
CLOCK_UNSYNCED, CLOCK_SIMULATED = 0, 4
AHEAD_S_MAX = 300
FINDINGS_MAX = 16  # of one statement
CONDITIONS_MAX = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """`kind` is a key of KINDS; `detail` is for people and says the numbers."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a statement is judged against. `device`: its ledger value when it was let in; `table`: its channel table if at hand then."""

    received_s: int
    device: Any  # state.DeviceValue
    kid: bytes
    table: ChannelTable | None
    overlaps: Sequence[bytes]  # identities of other readings statements that hold one of its sequences
    lost_before: Sequence[bytes]  # of those it names lost, the ones that are logged
    earlier: Tail | None  # the bundle of this channel before it by sequence
    later: Tail | None  # and after it, as (its first time, its first registers)


def judge(statement: Statement, span: Span | None, chain: Chain, step: Step, touched: bool, context: Context) -> list[Finding]:
    """Findings on a statement just applied to `chain`; what lasts is reported when it begins. `touched`: its range was covered before."""
    found = list(_of_chain(statement, step, touched, context))
    if span is not None:
        found += _begun(chain, statement, _conditions(statement, context))
        found += _of_times(statement, span.last_s, context)
        found += _of_registers(statement, span, context)
    return found[:FINDINGS_MAX]


def _of_chain(statement: Statement, step: Step, touched: bool, context: Context) -> Iterator[Finding]:
    for identity in context.overlaps:
        yield Finding("equivocation", f"with statement {identity.hex()}")
    for before in step.broken_after:
        yield Finding("chain-break", f"after {before.hex() if before else 'nothing'}")
    if step.skipped:
        first, count = step.skipped
        yield Finding("sequence-gap", f"{count} from {first} on")
    if statement.kind == "readings" and touched and not context.overlaps:
        yield Finding("lost-but-logged", f"sequences from {statement.first_seq} on came after all")
    for item in statement.lost or ():
        yield Finding("lost", f"{item.count} from {item.first_seq} on, reason {item.reason}")
    for identity in context.lost_before:
        yield Finding("lost-but-logged", f"statement {identity.hex()} is in the log")


def _conditions(statement: Statement, context: Context) -> Iterator[tuple[str, str]]:
    """(kind, detail) of what lasts: reported once until it changes."""
    device = context.device
    if device.firmware != statement.firmware:
        yield "firmware-differs", f"{statement.firmware.hex()}, enrolled {device.firmware.hex()}"
    tier = next((key.tier for key in device.keys if key.kid == context.kid), None)
    if tier != statement.tier:
        yield "tier-differs", f"{statement.tier}, enrolled {tier}"
    if statement.clock == CLOCK_UNSYNCED:
        yield "clock-unsynced", f"boot {statement.boot}"
    if statement.clock == CLOCK_SIMULATED:
        yield "clock-simulated", "clock quality 4"
    yield from _of_assignment(statement, context)


def _of_assignment(statement: Statement, context: Context) -> Iterator[tuple[str, str]]:
    where = f"channel {statement.channel}"
    if context.table is None:
        yield "channel-table-unknown", f"{where}: {statement.channel_table.hex()}"
    time_s = context.received_s if statement.clock == CLOCK_UNSYNCED else statement.start_s
    try:
        assignment = state.assignment_at(context.device, statement.channel, time_s)
    except RuleError:
        yield "not-assigned", where
        return
    if assignment.table_hash != statement.channel_table:
        yield "channel-table-differs", f"{where}: {statement.channel_table.hex()}, enrolled {assignment.table_hash.hex()}"
    if context.table is not None and context.table.serial != assignment.serial:
        yield "meter-differs", f"{where}: {context.table.serial!r}, enrolled {assignment.serial!r}"


def _begun(chain: Chain, statement: Statement, conditions: Iterator[tuple[str, str]]) -> Iterator[Finding]:
    """Those conditions that did not hold before on this channel; the chain remembers which hold."""
    scope = f"{statement.channel} "
    now = {f"{scope}{kind} {detail}": Finding(kind, detail) for kind, detail in conditions}
    known = set(chain.conditions)
    others = [text for text in chain.conditions if not text.startswith(scope)]
    chain.conditions = (others + list(now))[-CONDITIONS_MAX:]
    yield from (finding for text, finding in now.items() if text not in known)


def _of_times(statement: Statement, end_s: int, context: Context) -> Iterator[Finding]:
    if statement.clock not in (CLOCK_UNSYNCED, CLOCK_SIMULATED) and statement.start_s > context.received_s + AHEAD_S_MAX:
        yield Finding("clock-ahead", f"{statement.start_s - context.received_s} s")
    earlier, later = context.earlier, context.later
    if earlier and _same_time(earlier, statement) and statement.start_s < earlier.last_s:
        yield Finding("clock-backward", f"{earlier.last_s - statement.start_s} s")
    if later and _same_time(later, statement) and later.last_s < end_s:
        yield Finding("clock-backward", f"{end_s - later.last_s} s before the bundle after it")


def _same_time(other: Tail, statement: Statement) -> bool:
    """Whether times of the two can be compared: seconds since boot only within one boot."""
    if CLOCK_UNSYNCED in (other.clock, statement.clock):
        return bool(other.clock == statement.clock and other.boot == statement.boot)
    return True


def _of_registers(statement: Statement, span: Span, context: Context) -> Iterator[Finding]:
    if context.table is None:
        return
    registers, count = context.table.registers, len(span.first)
    if len(registers) != count:
        yield Finding("register-count", f"{count}, the table names {len(registers)}")
        return
    before, after = _of_neighbour(context.earlier, statement, count), _of_neighbour(context.later, statement, count)
    for number, register in enumerate(registers):
        if register.kind == "cumulative":
            series = [(time_s, values[number]) for time_s, values in before]
            series += span.of_register(number)
            series += [(time_s, values[number]) for time_s, values in after]
            yield from _of_register(register, series)


def _of_neighbour(other: Tail | None, statement: Statement, count: int) -> list[tuple[int | None, Sequence[int | None]]]:
    """Its (time, registers) where they mean the same as this statement's; time None where only the registers can be compared."""
    if other is None or other.channel_table != statement.channel_table or len(other.registers) != count:
        return []
    return [(other.last_s if _same_time(other, statement) else None, other.registers)]


def _of_register(register: Register, series: Pairs) -> Iterator[Finding]:
    """The first fall and the first leap of one cumulative register."""
    fell = leapt = False
    last_s: int | None = None
    last: int | None = None
    for time_s, value in series:
        if value is None:
            continue
        if last is not None:
            change = value - last
            if change < 0 and not fell:
                fell = True
                yield Finding("register-backward", f"{register.obis} fell from {last} to {value}")
            if not leapt and time_s is not None and last_s is not None and is_implausible(register, change, time_s - last_s):
                leapt = True
                yield Finding("rate-implausible", f"{register.obis} moved by {change} in {time_s - last_s} s")
        last_s, last = time_s, value
