"""Attestation evidence in words for people and as JSON for programs.

In: a row of the backend's list. Out: evidence whose signature was checked here too, text, dictionaries. Never shows a software key
as more than it is.
"""

import time
from typing import Any

from server.registry.attestation import tier_meaning
from shared import attest, channel, ids
from shared.errors import RuleError, VerifyError
from shared.types import Evidence

from .common import Session, pairs
from .device import time_text

DEBUG_STATES = ("enabled", "disabled", "disabled since boot", "disabled permanently", "disabled fully and permanently")


def open_row(row: dict[str, Any]) -> Evidence:
    """The evidence in a row, its signature checked here too: the backend is believed nothing. Raises VerifyError 201, 246, 251."""
    signed, evidence = attest.open_evidence(bytes.fromhex(row["evidence"]))
    if ids.encode_id(ids.KEY, signed.kid) != row["key"] or ids.encode_id(ids.DEVICE, evidence.device) != row["device"]:
        raise VerifyError(246, "the backend names another device or key than the evidence does")
    return evidence


def tables_of(evidence: Evidence) -> list[tuple[int, Any]]:
    """(channel, decoded table) by channel."""
    return [(number, channel.decode_table(evidence.channels[number])) for number in sorted(evidence.channels)]


def firmware_known(session: Session, firmware: bytes) -> bool:
    """Whether the hash is a reference value that was not withdrawn."""
    try:
        return session.client.get_json(f"/v1/firmware/{firmware.hex()}")["to_height"] is None
    except RuleError as error:
        if error.code != 303:
            raise
        return False


def evidence_json(row: dict[str, Any], evidence: Evidence) -> dict[str, Any]:
    """Evidence for programs."""
    return {
        "device": row["device"],
        "key": row["key"],
        "verdict": row["verdict"],
        "code": row["code"],
        "time_s": row["time_s"],
        "boot": evidence.boot,
        "uptime_s": evidence.uptime_s,
        "hwmodel": evidence.hwmodel.decode(errors="replace"),
        "swname": evidence.swname,
        "swversion": evidence.swversion,
        "interpreter": evidence.interpreter,
        "tier": evidence.tier,
        "firmware": evidence.firmware.hex(),
        "dbgstat": evidence.dbgstat,
        "evidence_hash": row["evidence_hash"],
        "channels": {
            str(number): {
                "make": table.make,
                "model": table.model,
                "serial": table.serial,
                "firmware": table.firmware,
                "table_hash": channel.table_hash(evidence.channels[number]).hex(),
                "registers": [dict(register._asdict()) for register in table.registers],
            }
            for number, table in tables_of(evidence)
        },
    }


def evidence_text(session: Session, row: dict[str, Any], evidence: Evidence) -> str:
    """Evidence for people."""
    known = "known on the ledger" if firmware_known(session, evidence.firmware) else "NOT on the ledger"
    verdict = row["verdict"] + (f" (code {row['code']})" if row["code"] else "")
    lines: list[tuple[str, object]] = [
        ("device (UEID)", row["device"]),
        ("key fingerprint", f"{row['key']}  = {ids.decode_id(ids.KEY, row['key']).hex(' ', 4)}"),
        ("key tier", f"{evidence.tier}, {tier_meaning(evidence.tier)}"),
        ("firmware", f"{evidence.firmware.hex()} ({known})"),
        ("software", f"{evidence.swname} {evidence.swversion} on {evidence.interpreter}"),
        ("board", f"{evidence.hwmodel.decode(errors='replace')}, debug port {DEBUG_STATES[evidence.dbgstat]}"),
        ("boot", f"{evidence.boot}, up for {evidence.uptime_s} s"),
        ("received", f"{time_text(row['time_s'])} ({ago(row['time_s'])}), {verdict}"),
    ]
    for number, table in tables_of(evidence):
        lines.append((f"channel {number}", f"{table.make} {table.model}, serial {table.serial}, meter firmware {table.firmware or '-'}"))
        for register in table.registers:
            scale = f" × 10^{register.exponent}" if register.exponent else ""
            lines.append(("", f"  {register.obis} {register.direction} {register.kind}, {register.unit}{scale}"))
    return pairs(lines)


def ago(time_s: int) -> str:
    return f"{max(0, int(time.time()) - time_s)} s ago"
