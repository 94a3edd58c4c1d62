"""`meterproof point`: metering points, the places where a quantity is measured."""

import click

from shared import ids

from .common import POINT, Session, columns, session_options
from .groups import EXIT_HELP, Group
from .org import created_id


@click.group(cls=Group, epilog=EXIT_HELP)
def point() -> None:
    """Metering points and their parents.

    \b
    Example:
      meterproof point create "Roof, inverter 1" --zone Europe/Berlin
    """


@point.command(epilog=EXIT_HELP)
@click.argument("name")
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone, which decides days and months.")
@click.option("--parent", type=POINT, help="The metering point above it.")
@session_options
def create(session: Session, name: str, zone: str, parent: bytes | None) -> None:
    """Create a metering point (admins, installers)."""
    receipt = session.transact("point.create", {1: name, 2: parent, 3: zone})
    made = created_id(receipt, "point", ids.POINT)
    session.emit({"point": made, **receipt}, f"metering point {made} created in block {receipt['height']}")


@point.command(name="list", epilog=EXIT_HELP)
@session_options
def list_(session: Session) -> None:
    """List all metering points."""
    values = session.client.get_json("/v1/points")
    rows = [(v["point"], v["name"], v["zone"], v["parent"], v["organization"]) for v in values]
    session.emit(values, columns(("point", "name", "zone", "parent", "organization"), rows))
