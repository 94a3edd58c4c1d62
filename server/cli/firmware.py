"""`meterproof firmware`: reference values, the firmware images that devices may run."""

from hashlib import sha256
from pathlib import Path

import click

from shared.errors import DecodeError
from shared.firmware import firmware_hash

from .common import HASH, Session, columns, session_options
from .groups import EXIT_HELP, Group
from .key import span_text

FILES_MAX = 1000


@click.group(cls=Group, epilog=EXIT_HELP)
def firmware() -> None:
    """Firmware images that are known on the ledger.

    \b
    Example:
      hash=$(meterproof firmware hash ./image)
      meterproof firmware add $hash --name meterproof-edge --version 0.1.0
    """


@firmware.command(name="hash", epilog=EXIT_HELP)
@click.argument("image", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def hash_(image: Path, as_json: bool) -> None:
    """Print the firmware hash of an image: a directory with shared/ and edge/ as on the device. Works offline."""
    digest = image_hash(image).hex()
    Session(image, None, None, as_json).emit({"firmware": digest}, digest)


@firmware.command(epilog=EXIT_HELP)
@click.argument("firmware_hash", type=HASH)
@click.option("--name", required=True, help="Name of the firmware.")
@click.option("--version", required=True, help="Its version.")
@session_options
def add(session: Session, firmware_hash: bytes, name: str, version: str) -> None:
    """Add a reference value (admins)."""
    receipt = session.transact("firmware.add", {1: firmware_hash, 2: name, 3: version})
    session.emit({"firmware": firmware_hash.hex(), **receipt}, f"firmware {firmware_hash.hex()} added in block {receipt['height']}")


@firmware.command(epilog=EXIT_HELP)
@click.argument("firmware_hash", type=HASH)
@session_options
def withdraw(session: Session, firmware_hash: bytes) -> None:
    """Withdraw a reference value (admins): evidence of it is from now on that of unknown firmware."""
    receipt = session.transact("firmware.withdraw", {1: firmware_hash})
    session.emit(receipt, f"firmware {firmware_hash.hex()} withdrawn in block {receipt['height']}")


@firmware.command(name="list", epilog=EXIT_HELP)
@session_options
def list_(session: Session) -> None:
    """List reference values."""
    values = session.client.get_json("/v1/firmware")
    rows = [(v["firmware"], v["name"], v["version"], span_text(v["from_height"], v["to_height"])) for v in values]
    session.emit(values, columns(("firmware", "name", "version", "blocks"), rows))


def image_hash(image: Path) -> bytes:
    """Hash of every .py and .mpy file of shared/ and edge/ in a directory, as SPEC section 8 says. Raises DecodeError 195."""
    entries: list[tuple[str, bytes]] = []
    for folder in ("shared", "edge"):
        for path in sorted((image / folder).rglob("*")):
            name = path.relative_to(image).as_posix()
            if path.suffix in (".py", ".mpy") and "__pycache__" not in path.parts and not name.startswith("shared/verify/"):
                entries.append((name, sha256(path.read_bytes()).digest()))
    if not any(name.startswith("edge/") for name, _ in entries) or len(entries) > FILES_MAX:
        raise DecodeError(195, f"{image} holds no firmware image: it needs the folders shared/ and edge/")
    digest: bytes = firmware_hash(entries)
    return digest
