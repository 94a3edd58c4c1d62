"""`meterproof serve` and `meterproof broker`: the long-running programs.

In: a home, or an address. Out: a running process until SIGTERM. Never detaches: a service manager does that.
"""

import asyncio
import logging
import os
import sys
from pathlib import Path

import click

from server.config import BROKER_PORT, load_config

from .groups import EXIT_HELP, Group

LOG_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def start_log(verbose: bool) -> None:
    """Log to stderr; libraries only when they complain."""
    logging.basicConfig(stream=sys.stderr, format=LOG_FORMAT, level=logging.WARNING)
    logging.getLogger("meterproof").setLevel(logging.DEBUG if verbose else logging.INFO)


@click.command(epilog=EXIT_HELP)
@click.option("--home", envvar="METERPROOF_HOME", type=click.Path(path_type=Path, file_okay=False), default=".", show_default=True,
              help="Directory made by `meterproof init` (or METERPROOF_HOME).")  # fmt: skip
@click.option("--verbose", is_flag=True, help="Log every message.")
def serve(home: Path, verbose: bool) -> None:
    """Run the backend: ingest, evidence log, ledger, API and, unless a broker URL is set, the MQTT broker.

    \b
    Example:
      meterproof serve --home ./home

    Ends cleanly on SIGTERM or SIGINT. May be killed at any moment: what was acknowledged is durable.
    """
    from server.main import serve as run

    start_log(verbose)
    asyncio.run(run(load_config(home)))


@click.group(cls=Group, invoke_without_command=True, epilog=EXIT_HELP)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(1, 65535), default=None, help=f"Port, by default as in HOME, else {BROKER_PORT}.")
@click.option(
    "--home", envvar="METERPROOF_HOME", type=click.Path(path_type=Path, file_okay=False), help="Take port and password file from this home."
)
@click.option(
    "--password-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Users and password hashes; without it anonymous, on loopback only.",
)
@click.option("--supervised", is_flag=True, hidden=True, help="End when stdin closes.")
@click.option("--verbose", is_flag=True, help="Log more.")
@click.pass_context
def broker(
    context: click.Context, host: str, port: int | None, home: Path | None, password_file: Path | None, supervised: bool, verbose: bool
) -> None:
    """Run the MQTT broker alone, in this process.

    \b
    Examples:
      meterproof broker --port 1883
      meterproof broker passwd ./passwords mporg1…/mpdev1…
      meterproof broker --host 0.0.0.0 --password-file ./passwords

    With a password file a device's user name is <organization>/<device>, and it may publish and subscribe only below
    meterproof/v1/<organization>/<device>/. The backend itself is the user "node".
    """
    if context.invoked_subcommand is not None:
        return
    from server.broker import build_broker_config, run_broker

    start_log(verbose)
    config = load_config(home) if home is not None else None
    chosen = port or (config.broker_port if config else BROKER_PORT)
    passwords = password_file or (config.broker_password_file if config else None)
    asyncio.run(run_broker(build_broker_config(host, chosen, passwords), supervised))


@broker.command(epilog=EXIT_HELP)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("user")
def passwd(file: Path, user: str) -> None:
    """Set the password of USER in FILE ("node", or <organization>/<device>). Asks for it, or reads METERPROOF_PASSWORD.

    \b
    Example:
      meterproof broker passwd ./passwords node
    """
    from server.broker import set_password

    password = os.environ.get("METERPROOF_PASSWORD") or click.prompt("Password", hide_input=True, confirmation_prompt=True)
    set_password(file, user, password)
    click.echo(f"Password of {user} set in {file}.")
