"""`meterproof key`: people's keys, made here and put on the ledger by an admin."""

from pathlib import Path

import click

from server.keystore import SigningKey
from shared import cose, ids
from shared.errors import DecodeError, MeterproofError

from .common import KID, Session, columns, pairs, session_options
from .groups import EXIT_HELP, Group

ROLES = ("admin", "installer", "operator", "node", "validator")
ALGORITHMS = {"ed25519": cose.EDDSA, "p256": cose.ES256}
PUBLIC_BYTES_MAX = 1024


@click.group(cls=Group, epilog=EXIT_HELP)
def key() -> None:
    """Keys of people, nodes and validators.

    \b
    Example: Bert makes his key, an admin adds it.
      meterproof key create ./bert.key     (and ./bert.key.pub, to be added)
      meterproof key add ./bert.key.pub --role installer --name Bert
    """


@key.command(epilog=EXIT_HELP)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--alg", type=click.Choice(list(ALGORITHMS)), default="ed25519", show_default=True, help="Kind of key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(file: Path, alg: str, as_json: bool) -> None:
    """Make a new private key in FILE (mode 0600) and its public half in FILE.pub. Works offline."""
    made = SigningKey.generate(ALGORITHMS[alg])
    made.save(file)
    public = file.with_name(file.name + ".pub")
    public.write_text(made.cose_key.hex() + "\n")
    shown = {"key": ids.encode_id(ids.KEY, made.kid), "cose_key": made.cose_key.hex(), "file": str(file), "public_file": str(public)}
    Session(Path("."), None, None, as_json).emit(shown, pairs(list(shown.items())))


@key.command(epilog=EXIT_HELP)
@click.argument("public_key")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May be given several times.")
@click.option("--name", required=True, help="Name of the person or machine.")
@session_options
def add(session: Session, public_key: str, roles: tuple[str, ...], name: str) -> None:
    """Add a key to your organization (admins). PUBLIC_KEY is a .pub file or the COSE_Key in hexadecimal."""
    data = read_public_key(public_key)
    receipt = session.transact("key.add", {1: data, 2: sorted(set(roles)), 3: name})
    kid = ids.encode_id(ids.KEY, cose.kid_of(data))
    session.emit({"key": kid, **receipt}, f"key {kid} added in block {receipt['height']}")


@key.command(epilog=EXIT_HELP)
@click.argument("key_id", type=KID)
@session_options
def revoke(session: Session, key_id: bytes) -> None:
    """End the validity of a key, from the next block on (admins; never the last admin)."""
    receipt = session.transact("key.revoke", {1: key_id})
    session.emit(receipt, f"key {ids.encode_id(ids.KEY, key_id)} revoked in block {receipt['height']}")


@key.command(name="list", epilog=EXIT_HELP)
@session_options
def list_(session: Session) -> None:
    """List all keys with their roles."""
    values = session.client.get_json("/v1/keys")
    rows = [(v["key"], v["name"], ",".join(v["roles"]), v["organization"], span_text(v["from_height"], v["to_height"])) for v in values]
    session.emit(values, columns(("key", "name", "roles", "organization", "blocks"), rows))


def span_text(from_height: int, to_height: int | None) -> str:
    return f"{from_height}..{'' if to_height is None else to_height}"


def read_public_key(text: str) -> bytes:
    """COSE_Key from a .pub file, or from hexadecimal. Raises DecodeError 112."""
    path = Path(text)
    if path.is_file():
        text = path.read_bytes()[:PUBLIC_BYTES_MAX].decode("ascii", "replace").strip()
    try:
        data: bytes = cose.decode_key(bytes.fromhex(text)).data
        return data
    except (ValueError, MeterproofError):
        raise DecodeError(112, "neither a file made by `meterproof key create` nor a COSE_Key in hexadecimal") from None
