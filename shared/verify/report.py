"""What the verifier tells people (lines of text) and programs (a dict for JSON).

In: the steps that held, a Report or the error that ended them. Out: text lines or JSON values. Never decides anything, and never
prints a control character that came out of a file.
"""

import time
from typing import Any

from .. import ids
from ..codes import CODES
from ..errors import MeterproofError
from .evidence import Opened
from .policy import Policy
from .verifier import LEDGER_ORIGIN, Report, Step, enrolled, failed_step

TIERS = {
    1: ("software key", "the same device as at enrolment, if nobody copied the key; it says nothing of what the device runs"),
    2: ("firmware-bound key", "the key is bound to firmware by secure boot and flash encryption, as far as the board's protection holds"),
    3: ("secure element", "the key is kept in a chip that does not give it out, as far as that chip's protection holds"),
}
CLOCKS = {
    0: "unsynced: seconds since the device started",
    1: "a real-time clock nobody checked",
    2: "set by NTP, which is not signed",
    3: "set by a server's signed time",
    4: "simulated: a scaled or set clock, for a demonstration",
}
STATUSES = {0: "ok", 1: "no data", 2: "true zero", 3: "meter error", 4: "estimated", 5: "clock unsynced"}
TIME_S_END = 253402300800  # the year 10000, where calendars in four digits end


def printable(text: str) -> str:
    """The text with everything a terminal might obey written as an escape."""
    return "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in text)


def utc_text(time_s: int) -> str:
    """`2026-11-24 08:15:00 UTC`."""
    if not 0 <= time_s < TIME_S_END:
        return f"{time_s} s since 1970"
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_s))


def scaled_text(value: int | None, exponent: int) -> str:
    """value × 10^exponent, exactly, in digits."""
    if value is None:
        return "no value"
    if exponent >= 0:
        return str(value * 10**exponent)
    digits = str(abs(value)).rjust(1 - exponent, "0")
    return ("-" if value < 0 else "") + digits[:exponent] + "." + digits[exponent:]


def cannot_prove(report: Report) -> list[str]:
    """What no evidence file proves, in the words that fit this one (SPEC.md section 12)."""
    said = report.opened.statement
    limits = [
        "that the meter measured right",
        f"that the device's clock was right (quality {said.clock}: {CLOCKS[said.clock]})",
    ]
    if report.key.tier == 1:
        limits.append("that the software key never left its device: whoever copied it can sign the same way")
    else:
        limits.append(f"that the protection of the key ({TIERS[report.key.tier][0]}) was never broken")
    if said.tier != report.key.tier:
        limits.append(
            f"the key tier {said.tier} that the statement claims: the ledger enrolled tier {report.key.tier}, which is what counts"
        )
    if any(report.opened.signed.identity in pair[:2] for pair in enrolled(report.opened).equivocations):
        limits.append("which of two signed statements for the same sequences is true: the ledger keeps another one of this device")
    limits.append(f"what happened on the ledger after block {report.opened.block.height}")
    if not report.trusted:
        limits.append("that the ledger is real: anybody can make a file that agrees with itself; name whom you trust with --policy")
    return limits


def reading_values(opened: Opened) -> dict[str, Any]:
    """The reading with its meaning, for JSON."""
    reading, table, said = opened.reading, opened.table, opened.statement
    registers = [
        {
            "obis": register.obis,
            "direction": register.direction,
            "kind": register.kind,
            "value": value,
            "exponent": register.exponent,
            "unit": register.unit,
            "text": scaled_text(value, register.exponent),
        }
        for register, value in zip(table.registers, reading.registers, strict=True)
    ]
    return {
        "device": ids.encode_id(ids.DEVICE, said.device),
        "meter": {"make": table.make, "model": table.model, "serial": table.serial, "firmware": table.firmware},
        "seq": reading.seq,
        "boot": said.boot,
        "time_s": reading.time_s,
        "time": utc_text(reading.time_s),
        "clock": said.clock,
        "clock_text": CLOCKS[said.clock],
        "status": reading.status,
        "status_text": STATUSES[reading.status],
        "registers": registers,
    }


def report_values(report: Report) -> dict[str, Any]:
    """The proven facts, for JSON."""
    opened, key = report.opened, report.key
    return {
        "reading": reading_values(opened),
        "point": ids.encode_id(ids.POINT, report.assignment.point),
        "organization": ids.encode_id(ids.ORG, enrolled(opened).org),
        "statement": ids.encode_id(ids.STATEMENT, opened.signed.identity),
        "device_key": {
            "id": ids.encode_id(ids.KEY, key.kid),
            "tier": key.tier,
            "tier_text": TIERS[key.tier][0],
            "means": TIERS[key.tier][1],
        },
        "evidence_log": {"origin": opened.file.origin, "index": opened.file.log_index},
        "chain": {"id": opened.block.chain_id, "height": opened.block.height, "time_s": opened.block.time_s},
        "checkpoint_signers": [vkey.name for vkey in report.signers],
        "cannot_prove": cannot_prove(report),
    }


def steps_values(passed: list[Step], error: MeterproofError | None) -> dict[str, Any]:
    """The steps and, where one failed, which and why; for JSON."""
    failed = error and {"step": failed_step(passed), "code": error.code, "name": CODES[error.code], "text": error.text}
    return {"steps": [step._asdict() for step in passed], "failed": failed}


def step_lines(passed: list[Step], error: MeterproofError | None) -> list[str]:
    """One ✓ line for each step that held, and a ✗ line for the one that did not."""
    lines = [f"  ✓ {step.name + ':':<14} {printable(step.proven)}" for step in passed]
    if error:
        name = failed_step(passed)
        lines.append(f"  ✗ {name + ':':<14} {printable(str(error).removeprefix(name + ': '))}")
    return lines


def report_lines(report: Report, policy: Policy | None, policy_name: str) -> list[str]:
    """The proven facts, by whom, under what, and what they do not reach."""
    values = report_values(report)
    reading, meter, key = values["reading"], values["reading"]["meter"], values["device_key"]
    lines = [
        "",
        "What was read",
        f"  meter      {meter['make']} {meter['model']}, serial {meter['serial']}, firmware {meter['firmware'] or 'unknown'}",
        f"  point      {values['point']}",
        f"  time       {reading['time']}, clock quality {reading['clock']} ({reading['clock_text']})",
        f"  reading    sequence {reading['seq']}, status {reading['status_text']}",
    ]
    for register in reading["registers"]:
        unit = f" {register['unit']}" if register["value"] is not None else ""
        meaning = f"{register['direction']}, {register['kind']}; recorded as {register['value']} × 10^{register['exponent']}"
        lines.append(f"  {register['obis']:<10} {register['text'] + unit:<18} ({meaning})")
    lines += [
        "",
        "By which keys",
        f"  device     {reading['device']}",
        f"  its key    {key['id']}, tier {key['tier']}, {key['tier_text']}: {key['means']}",
    ]
    lines += [f"  ledger     {vkey.name}, key {vkey.raw.hex()}" for vkey in report.signers]
    if policy:
        needs = f"{policy.need} of {len(policy.nodes)} named nodes"
        lines += ["", f"Under the policy {policy_name}", f"  {LEDGER_ORIGIN}{policy.chain_id}, genesis {policy.genesis.hex()}, {needs}"]
    lines += ["", "What this file cannot prove", *(f"  - {limit}" for limit in values["cannot_prove"])]
    return [printable(line) for line in lines]
