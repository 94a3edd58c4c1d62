"""`meterproof device pending`, `show-evidence` and `enroll`: a person looks at what a device says and puts it on the ledger.

In: attestation evidence from the backend, checked again here. Out: words for people; a signed `device.enroll`. Never enrols a key whose
fingerprint nobody confirmed.
"""

import hmac
from hashlib import sha256
from typing import Any

import click

from shared import channel, cose, ids
from shared.errors import MeterproofError, VerifyError
from shared.types import Evidence

from .common import DEVICE, POINT, Session, columns, session_options
from .device import TimeType, time_text
from .evidence_text import evidence_json, evidence_text, firmware_known, open_row, tables_of
from .groups import EXIT_HELP
from .words import printable


class AssignType(click.ParamType[tuple[int, bytes]]):
    """CHANNEL=POINT."""

    name = "channel=point"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, bytes]:
        if isinstance(value, tuple):
            return value
        number, equals, point = str(value).partition("=")
        if not equals or not number.isdecimal() or int(number) > 255:
            self.fail(f"{value!r} is not CHANNEL=POINT", param, ctx)
        return int(number), POINT.convert(point, param, ctx)


@click.command(epilog=EXIT_HELP)
@session_options
def pending(session: Session) -> None:
    """List devices that said hello with evidence and wait for enrolment."""
    values = session.get_allowed_json("/v1/attestations")
    rows = []
    for value in values:
        evidence = open_row(value)
        meters = ", ".join(f"{n}: {t.make} {t.model} {t.serial}" for n, t in tables_of(evidence))
        rows.append((value["device"], value["key"], time_text(value["time_s"]), evidence.interpreter, meters))
    session.emit(values, columns(("device", "fingerprint", "last evidence", "interpreter", "meters"), rows))


@click.command(name="show-evidence", epilog=EXIT_HELP)
@click.argument("device_id", type=DEVICE)
@click.option("--all", "show_all", is_flag=True, help="Everything kept, not only the last.")
@session_options
def show_evidence(session: Session, device_id: bytes, show_all: bool) -> None:
    """Show what a device said about itself: pending, or at its last starts."""
    rows = evidence_rows(session, device_id)[: None if show_all else 1]
    shown = [evidence_json(row, open_row(row)) for row in rows]
    texts = [evidence_text(session, row, open_row(row)) for row in rows]
    session.emit(shown if show_all else shown[0], "\n\n".join(texts))


@click.command(epilog=EXIT_HELP)
@click.argument("device_id", type=DEVICE)
@click.option("--point", type=POINT, help="Metering point of its only channel.")
@click.option(
    "--assign", "assigned", multiple=True, type=AssignType(), help="CHANNEL=POINT, for devices with several meters; several times."
)
@click.option("--from", "from_s", type=TimeType(), default="now", show_default=True, help="From when on the meters measure these points.")
@click.option("--fingerprint", help="The fingerprint you read on the device: enrols without asking if it is the same.")
@click.option("--yes", is_flag=True, help="Do not ask. Use it only where nobody else can reach the backend.")
@click.option("--allow-unknown-firmware", is_flag=True, help="Enrol although the firmware is not on the ledger.")
@session_options
def enroll(
    session: Session,
    device_id: bytes,
    point: bytes | None,
    assigned: tuple[tuple[int, bytes], ...],
    from_s: int,
    fingerprint: str | None,
    yes: bool,
    allow_unknown_firmware: bool,
) -> None:
    """Enrol a device: look at its evidence, compare the fingerprint with the one on the device, put it on the ledger.

    \b
    Example:
      meterproof device enroll mpdev1… --point mppoint1… --fingerprint mpkey1…
    """
    row = choose_row(evidence_rows(session, device_id), fingerprint)
    evidence = open_row(row)
    points = points_of(evidence, point, assigned)
    if not session.as_json:
        click.echo(printable(evidence_text(session, row, evidence)))
    if not allow_unknown_firmware and not firmware_known(session, evidence.firmware):
        raise VerifyError(252, "the firmware is not on the ledger: `meterproof firmware add`, or --allow-unknown-firmware")
    if fingerprint is None and not yes:
        confirm(row["key"])
    data = bytes.fromhex(row["evidence"])
    receipt = session.transact("device.enroll", enroll_body(session, evidence, points, from_s, data))
    text = f"device {row['device']} enrolled in block {receipt['height']}"
    session.emit({"device": row["device"], "key": row["key"], **receipt}, text)


def enroll_body(session: Session, evidence: Evidence, points: dict[int, bytes], from_s: int, data: bytes) -> dict[int, Any]:
    """Body of `device.enroll` (SPEC section 9)."""
    assignments = []
    for number, table in tables_of(evidence):
        if number in points:
            table_hash = channel.table_hash(evidence.channels[number])
            assignments.append([number, points[number], table.serial, table_hash, from_s])
    origin = session.config.origin if session.config is not None else session.client.get_json("/v1/status")["origin"]
    return {
        1: evidence.device,
        2: evidence.cose_key,
        3: evidence.tier,
        4: evidence.firmware,
        5: origin,
        6: assignments,
        7: sha256(data).digest(),
    }


def points_of(evidence: Evidence, point: bytes | None, assigned: tuple[tuple[int, bytes], ...]) -> dict[int, bytes]:
    """Channel → metering point. Raises click.UsageError."""
    points = dict(assigned)
    if point is not None:
        if len(evidence.channels) != 1 or assigned:
            raise click.UsageError(f"the device has {len(evidence.channels)} channels: use --assign CHANNEL=POINT for each")
        points = {next(iter(evidence.channels)): point}
    unknown = points.keys() - evidence.channels.keys()
    if unknown:
        raise click.UsageError(f"the device has no channel {min(unknown)}")
    if not points:
        raise click.UsageError("name --point, or --assign CHANNEL=POINT: readings without a metering point are not creditable")
    return points


def choose_row(rows: list[dict[str, Any]], fingerprint: str | None) -> dict[str, Any]:
    """The newest evidence by the key with that fingerprint; without one, all must be by one key. Raises VerifyError 251."""
    if fingerprint is None:
        if len({row["key"] for row in rows}) > 1:
            keys = ", ".join(sorted({row["key"] for row in rows}))
            raise VerifyError(251, f"several keys claim to be this device ({keys}): name the --fingerprint that the device shows")
        return rows[0]
    wanted = read_fingerprint(fingerprint)
    for row in rows:
        if hmac.compare_digest(ids.decode_id(ids.KEY, row["key"]), wanted):
            return row
    raise VerifyError(251, "no evidence by a key with that fingerprint: this is not the device in front of you, or you mistyped")


def read_fingerprint(text: str) -> bytes:
    """A key id as `mpkey1…` or as 32 hexadecimal digits, in groups or not. Raises click.UsageError."""
    text = text.strip().lower()
    try:
        kid = ids.decode_id(ids.KEY, text) if text.startswith(ids.KEY) else bytes.fromhex(text.replace(":", "").replace("-", ""))
    except (MeterproofError, ValueError):
        kid = b""
    if len(kid) != cose.KID_BYTES:
        raise click.UsageError("--fingerprint is mpkey1…, or 32 hexadecimal digits")
    return kid


def confirm(key: str) -> None:
    """Asks a person. Raises click.Abort."""
    click.echo(f"\nCompare the fingerprint with the one the device shows:\n\n    {key}\n")
    click.confirm("Is it the same?", abort=True)


def evidence_rows(session: Session, device_id: bytes) -> list[dict[str, Any]]:
    """Evidence kept about a device, newest first."""
    rows: list[dict[str, Any]] = session.get_allowed_json(f"/v1/attestations/{ids.encode_id(ids.DEVICE, device_id)}")
    return rows


def latest_channels(session: Session, device_id: bytes) -> dict[int, tuple[str, bytes]]:
    """Channel → (serial, table hash) from the newest evidence that was not refused."""
    for row in evidence_rows(session, device_id):
        if row["verdict"] != "refused":
            evidence = open_row(row)
            return {n: (table.serial, channel.table_hash(evidence.channels[n])) for n, table in tables_of(evidence)}
    return {}
