"""`meterproof init`: a home with keys, genesis, settings and the policy that verifiers need.

In: names and ports. Out: files. Never overwrites anything and never prints a private key.
"""

import json
import os
import time
import tomllib
from pathlib import Path
from typing import Any

import click

from server.config import BROKER_PORT, FILE_NAME, FORMAT, HTTP_PORT, build_config
from server.keystore import SigningKey
from server.ledger.genesis import build_genesis, decode_genesis
from shared import ids, note
from shared.errors import RuleError

from .common import pairs
from .groups import EXIT_HELP

POLICY_FORMAT = "meterproof/policy/1"
ROLES = {"admin": ("admin", "installer", "operator"), "node": ("node",), "validator": ("validator",)}


@click.command(epilog=EXIT_HELP)
@click.argument("home", type=click.Path(path_type=Path, file_okay=False))
@click.option("--org", required=True, help="Name of the founding organization.")
@click.option("--chain-id", default="meterproof-1", show_default=True, help="Name of the ledger: 3 to 40 of a-z, 0-9 and -.")
@click.option("--origin", help="Name of this node's evidence log. By default meterproof.evidence/<chain id>.")
@click.option("--http-port", type=click.IntRange(1, 65535), default=HTTP_PORT, show_default=True, help="Port of the API on 127.0.0.1.")
@click.option(
    "--broker-port", type=click.IntRange(1, 65535), default=BROKER_PORT, show_default=True, help="Port of the backend's own MQTT broker."
)
@click.option("--broker-url", help="Use this broker, mqtt://host[:port], and run none.")
@click.option("--unknown-firmware", type=click.Choice(["refuse", "flag"]), default="refuse", show_default=True,
              help="What to do with attestation evidence of firmware that is not on the ledger.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def init(
    home: Path,
    org: str,
    chain_id: str,
    origin: str | None,
    http_port: int,
    broker_port: int,
    broker_url: str | None,
    unknown_firmware: str,
    as_json: bool,
) -> None:
    """Make a new backend in the directory HOME.

    \b
    Example:
      meterproof init ./home --org "Sunny Fields" --http-port 8321

    Writes keys/node.key, keys/validator.key and keys/admin.key (mode 0600; the admin key is yours: keep a copy elsewhere), genesis.cbor,
    meterproof.toml, and policy.toml, which you give to everybody who shall be able to verify evidence.
    """
    origin = origin or f"meterproof.evidence/{chain_id}"
    founder = os.urandom(10)
    settings = settings_text(chain_id, ids.encode_id(ids.ORG, founder), origin, http_port, broker_port, broker_url, unknown_firmware)
    build_config(home, tomllib.loads(settings))
    check_fresh(home)
    made = make_home(home, settings, chain_id, (founder, org), origin)
    shown = {"home": "home", "chain_id": "chain", "organization": "organization", "origin": "origin", "genesis": "genesis"}
    shown |= {"node_key": "node key for devices", "policy": "policy for verifiers"}
    lines = pairs([(name, made[key]) for key, name in shown.items()])
    click.echo(json.dumps(made, indent=2) if as_json else f"{lines}\nStart it with: meterproof serve --home {home}")


def make_home(home: Path, settings: str, chain_id: str, founder: tuple[bytes, str], origin: str) -> dict[str, Any]:
    """Keys, genesis and policy; `founder`: id and name. Returns what people need to know of them."""
    keys = {name: SigningKey.generate() for name in ROLES}
    grants = [(key.cose_key, sorted(ROLES[name]), name) for name, key in keys.items()]
    validator, node = keys["validator"], keys["node"]
    genesis = build_genesis(chain_id, int(time.time()), *founder, grants, [(validator.cose_key, 1)], [(origin, node.kid)])
    genesis_hash = decode_genesis(genesis).hash
    policy = policy_text(chain_id, genesis_hash, note.encode_vkey(f"meterproof.ledger/{chain_id}", node.raw))
    write_home(home, keys, {"genesis.cbor": genesis, "policy.toml": policy.encode(), FILE_NAME: settings.encode()})
    return {
        "home": str(home),
        "chain_id": chain_id,
        "organization": ids.encode_id(ids.ORG, founder[0]),
        "origin": origin,
        "genesis": genesis_hash.hex(),
        "node_key": node.cose_key.hex(),
        "keys": {name: ids.encode_id(ids.KEY, key.kid) for name, key in keys.items()},
        "policy": str(home / "policy.toml"),
    }


def check_fresh(home: Path) -> None:
    """Raises RuleError 302 if there is anything in the directory."""
    if home.exists() and any(home.iterdir()):
        raise RuleError(302, f"{home} is not empty: nothing is ever overwritten")


def write_home(home: Path, keys: dict[str, SigningKey], files: dict[str, bytes]) -> None:
    """Settings last: a home that has them is complete."""
    home.mkdir(parents=True, exist_ok=True)
    (home / "keys").mkdir(mode=0o700)
    for name, key in keys.items():
        key.save(home / "keys" / f"{name}.key")
    for name, data in files.items():
        with (home / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())


def settings_text(
    chain_id: str, organization: str, origin: str, http_port: int, broker_port: int, broker_url: str | None, unknown_firmware: str
) -> str:
    """meterproof.toml."""
    broker = f"url = {_quote(broker_url)}" if broker_url else f'host = "127.0.0.1"\nport = {broker_port}'
    return f"""# Settings of this Meterproof backend. No secrets belong here: keys are in keys/.
format = "{FORMAT}"
chain_id = {_quote(chain_id)}
organization = "{organization}"
origin = {_quote(origin)}

[http]
host = "127.0.0.1"
port = {http_port}

# Without `url` the backend runs its own broker. Beyond the loopback that needs password_file (`meterproof broker --help`).
[broker]
{broker}

# Evidence of firmware that is not on the ledger: "refuse" or "flag".
[attestation]
unknown_firmware = "{unknown_firmware}"

[evidence]
ack_after = "local"

# Where the newest signed heads of both logs are kept as well: on another disk or machine than this one. A home that was put back from an
# older copy, knowingly or not, is found out there and does not start.
# [heads]
# directory = "/mnt/elsewhere/meterproof-heads"
"""


def policy_text(chain_id: str, genesis_hash: bytes, vkey: str) -> str:
    """policy.toml of SPEC section 12."""
    return f"""# Whom a verifier trusts: the ledger with this genesis, and checkpoints signed by this node.
format = "{POLICY_FORMAT}"
chain_id = {_quote(chain_id)}
genesis = "{genesis_hash.hex()}"
need = 1

[[node]]
vkey = {_quote(vkey)}
"""


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=True)
