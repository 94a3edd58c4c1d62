"""`meterproof device`: devices on the ledger. Enrolment has its own file, enroll.py."""

import time
from datetime import UTC, datetime
from typing import Any

import click

from shared import ids
from shared.errors import DecodeError

from .common import DEVICE, HASH, POINT, Session, columns, pairs, session_options
from .groups import EXIT_HELP, Group
from .key import span_text


class TimeType(click.ParamType[int]):
    """UTC seconds, "now", or an ISO 8601 time."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        try:
            return parse_time(str(value))
        except ValueError:
            self.fail(f'{value!r} is not a time: seconds since 1970, "now", or as 2026-01-31T12:00:00+01:00', param, ctx)


def parse_time(text: str) -> int:
    """Whole UTC seconds. Raises ValueError; a time without zone is refused, it would mean another instant elsewhere."""
    if text == "now":
        return int(time.time())
    if text.isdecimal():
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no zone")
    return int(moment.timestamp())


def time_text(time_s: int | None) -> str:
    """A time for people, in UTC."""
    if time_s is None:
        return ""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{time_s} s"


@click.group(cls=Group, modules={"pending": "enroll", "show-evidence": "enroll", "enroll": "enroll"}, epilog=EXIT_HELP)
def device() -> None:
    """Devices: enrol, look at, assign, suspend, resume, revoke.

    \b
    Example: a new device said hello.
      meterproof device pending
      meterproof device enroll mpdev1… --point mppoint1…
    """


@device.command(epilog=EXIT_HELP)
@click.argument("device_id", type=DEVICE)
@session_options
def show(session: Session, device_id: bytes) -> None:
    """Show one device: status, keys, metering points."""
    value = session.client.get_json(f"/v1/devices/{ids.encode_id(ids.DEVICE, device_id)}")
    session.emit(value, device_text(value))


def device_text(value: dict[str, Any]) -> str:
    """A device for people."""
    lines = [(name, value[name]) for name in ("device", "organization", "status", "origin", "firmware")]
    lines += [("key", f"{k['key']}  tier {k['tier']}  blocks {span_text(k['from_height'], k['to_height'])}") for k in value["keys"]]
    lines += [("live in blocks", ", ".join(span_text(*span) for span in value["live"]))]
    for item in value["assignments"]:
        span = f"{time_text(item['from_s'])} .. {time_text(item['to_s'])}"
        lines.append((f"channel {item['channel']}", f"{item['point']}  meter {item['serial']}  {span}"))
    lines += [("equivocation", f"in block {item['height']}: {' '.join(item['statements'])}") for item in value["equivocations"]]
    return pairs(lines)


@device.command(name="list", epilog=EXIT_HELP)
@session_options
def list_(session: Session) -> None:
    """List enrolled devices."""
    values = session.client.get_json("/v1/devices")
    rows = [(v["device"], v["status"], " ".join(sorted({a["point"] for a in v["assignments"] if a["to_s"] is None}))) for v in values]
    session.emit(values, columns(("device", "status", "metering points"), rows))


@device.command(epilog=EXIT_HELP)
@click.argument("device_id", type=DEVICE)
@click.option("--channel", type=click.IntRange(0, 255), default=0, show_default=True, help="Which meter of the device.")
@click.option("--point", required=True, type=POINT, help="The metering point it measures from now on.")
@click.option("--serial", help="Serial number of the meter, by default as the device said at its last start.")
@click.option("--channel-table", type=HASH, help="SHA-256 of the channel table, by default as above.")
@click.option("--from", "from_s", type=TimeType(), default="now", show_default=True, help="From when on; ends the assignment before.")
@session_options
def assign(
    session: Session, device_id: bytes, channel: int, point: bytes, serial: str | None, channel_table: bytes | None, from_s: int
) -> None:
    """Assign a channel of an enrolled device to another metering point or meter (installers, admins)."""
    if serial is None or channel_table is None:
        from .enroll import latest_channels

        said = latest_channels(session, device_id).get(channel)
        if said is None:
            raise DecodeError(190, f"the device never said what meter is on channel {channel}: name --serial and --channel-table")
        serial, channel_table = serial or said[0], channel_table or said[1]
    receipt = session.transact("device.assign", {1: device_id, 2: [channel, point, serial, channel_table, from_s]})
    text = f"channel {channel} measures {ids.encode_id(ids.POINT, point)} from {time_text(from_s)} on (block {receipt['height']})"
    session.emit(receipt, text)


def _change(name: str, past: str, about: str) -> click.Command:
    @click.command(name=name, help=about, epilog=EXIT_HELP)
    @click.argument("device_id", type=DEVICE)
    @click.option("--reason", required=True, help="Kept on the ledger.")
    @session_options
    def command(session: Session, device_id: bytes, reason: str) -> None:
        receipt = session.transact(f"device.{name}", {1: device_id, 2: reason})
        session.emit(receipt, f"device {ids.encode_id(ids.DEVICE, device_id)} {past} in block {receipt['height']}")

    return command


device.add_command(_change("suspend", "suspended", "Suspend a device: it keeps its readings until it is resumed (operators, admins)."))
device.add_command(_change("resume", "resumed", "Resume a suspended device (operators, admins)."))
device.add_command(_change("revoke", "revoked", "Revoke a device for ever (operators, admins)."))
