"""`meterproof evidence`: evidence files of single readings, and the readings there are."""

import os
import sys
from pathlib import Path

import click

from shared import ids
from shared.errors import RuleError

from .common import DEVICE, Session, columns, session_options, with_query
from .device import time_text
from .groups import EXIT_HELP, Group

STATUSES = ("ok", "no data", "true zero", "meter error", "estimated", "clock unsynced")


@click.group(cls=Group, epilog=EXIT_HELP)
def evidence() -> None:
    """Evidence: what can be proven to a stranger.

    \b
    Example: prove one reading, then check the proof as a stranger would.
      meterproof evidence get mpdev1… 1234 -o reading.evidence
      meterproof verify reading.evidence --policy policy.toml
    """


@evidence.command(epilog=EXIT_HELP)
@click.argument("device_id", type=DEVICE)
@click.argument("seq", type=click.IntRange(0))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File to write, '-' for stdout.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@session_options
def get(session: Session, device_id: bytes, seq: int, output: Path, force: bool) -> None:
    """Get the evidence file of the reading SEQ of a device (people of the organization it belongs to)."""
    data = session.get_allowed(f"/v1/evidence/{ids.encode_id(ids.DEVICE, device_id)}/{seq}")
    if str(output) == "-":
        sys.stdout.buffer.write(data)
        return
    write_output(output, data, force)
    policy = session.home / "policy.toml"
    hint = f"\nVerify it with: meterproof verify {output} --policy {policy}" if policy.exists() else ""
    session.emit({"file": str(output), "bytes": len(data)}, f"{output}: {len(data)} bytes{hint}")


@evidence.command(name="list", epilog=EXIT_HELP)
@click.argument("device_id", type=DEVICE)
@click.option("--first-seq", type=click.IntRange(0), default=0, show_default=True, help="First sequence.")
@click.option("--count", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most so many.")
@session_options
def list_(session: Session, device_id: bytes, first_seq: int, count: int) -> None:
    """List readings of a device that are in the evidence log."""
    path = with_query(f"/v1/rows/{ids.encode_id(ids.DEVICE, device_id)}", first_seq=first_seq, count=count)
    values = session.get_allowed_json(path)
    rows = []
    for value in values:
        registers = " ".join("-" if register is None else str(register) for register in value["registers"])
        rows.append((value["seq"], value["channel"], time_text(value["time_s"]), STATUSES[value["status"]], registers, value["log_index"]))
    session.emit(values, columns(("seq", "channel", "time", "status", "registers", "log index"), rows))


def write_output(path: Path, data: bytes, force: bool) -> None:
    """Raises RuleError 302 rather than overwrite."""
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if force else os.O_EXCL)
    try:
        handle = os.open(path, flags, 0o644)
    except FileExistsError:
        raise RuleError(302, f"{path} exists already; --force overwrites it") from None
    with os.fdopen(handle, "wb") as file:
        file.write(data)
