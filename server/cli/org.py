"""`meterproof org`: organizations on the ledger."""

from hashlib import sha256

import click

from shared import ids

from .common import ORG, Session, columns, pairs, session_options
from .groups import EXIT_HELP, Group
from .key import read_public_key


@click.group(cls=Group, epilog=EXIT_HELP)
def org() -> None:
    """Organizations: who takes part.

    \b
    Example:
      meterproof org create "Grid Verifiers" --admin-key ada.pub --admin-name Ada
    """


@org.command(epilog=EXIT_HELP)
@click.argument("name")
@click.option(
    "--admin-key",
    required=True,
    help="Public key of its first admin: a file made by `meterproof key create`, or the COSE_Key in hexadecimal.",
)
@click.option("--admin-name", required=True, help="Name of that person.")
@session_options
def create(session: Session, name: str, admin_key: str, admin_name: str) -> None:
    """Create an organization (admins of the founding organization)."""
    receipt = session.transact("org.create", {1: name, 2: read_public_key(admin_key), 3: admin_name})
    made = created_id(receipt, "org", ids.ORG)
    session.emit({"organization": made, **receipt}, f"organization {made} created in block {receipt['height']}")


@org.command(epilog=EXIT_HELP)
@click.argument("organization", type=ORG)
@session_options
def show(session: Session, organization: bytes) -> None:
    """Show one organization."""
    value = session.client.get_json(f"/v1/orgs/{ids.encode_id(ids.ORG, organization)}")
    session.emit(value, pairs(list(value.items())))


@org.command(name="list", epilog=EXIT_HELP)
@session_options
def list_(session: Session) -> None:
    """List all organizations."""
    values = session.client.get_json("/v1/orgs")
    rows = [(value["organization"], value["name"], value["from_height"]) for value in values]
    session.emit(values, columns(("organization", "name", "from block"), rows))


def created_id(receipt: dict[str, object], kind: str, prefix: str) -> str:
    """The id that a transaction made (SPEC section 9): SHA-256(kind ‖ transaction identity)[:10]."""
    identity = ids.decode_id(ids.TX, str(receipt["transaction"]))
    return ids.encode_id(prefix, sha256(kind.encode() + identity).digest()[:10])
