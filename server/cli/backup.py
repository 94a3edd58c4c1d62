"""`meterproof backup`, `restore` and `confirm-head`: a home copied while it runs, made again, and allowed to sign again.

In: a home, a backup, signed heads. Out: files and what to do next. Never overwrites, and never lets a private key into a backup unasked.
"""

import json
import time
from pathlib import Path
from typing import Any

import click

from server.config import load_config

from .common import HASH, pairs
from .groups import EXIT_HELP

FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
KEYS_WARNING = """WARNING: the backup holds this node's PRIVATE KEYS, readable by whoever can read the folder.
Whoever has them can sign in this node's name. Keep it as you keep the keys themselves: encrypted, offline."""
NO_KEYS = """Private keys are not in the backup: keep copies of HOME/keys elsewhere, without them the node cannot go on."""
AGREE_HELP = """This home does not start before its heads are agreed: ask those who read this node's logs for their newest checkpoints."""


@click.command(epilog=EXIT_HELP)
@click.argument("home", type=FOLDER)
@click.argument("out", type=FOLDER)
@click.option("--with-keys", is_flag=True, help="Take the private keys and broker passwords along, unencrypted (mode 0600).")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def backup(home: Path, out: Path, with_keys: bool, as_json: bool) -> None:
    """Copy the backend in HOME into the new folder OUT, also while it runs.

    \b
    Example:
      meterproof backup ./home /mnt/backup/meterproof-2026-11-24

    Evidence, ledger and registry are of one instant. Every file is listed with its hash in a manifest signed by the node. OUT gets its name
    when it is whole; killed before that, it leaves OUT.part, which the next try replaces. It holds everybody's readings: when readings must
    be erased, backups that hold them must go too.
    """
    from server.backup.make import make_backup

    made = make_backup(home, out, with_keys, int(time.time()))
    values: dict[str, Any] = {
        "backup": str(out),
        "chain_id": made.manifest.chain_id,
        "origin": made.manifest.origin,
        "genesis": made.manifest.genesis_hash.hex(),
        "evidence_log_size": made.evidence_size,
        "ledger_log_size": made.ledger_size,
        "height": made.manifest.height,
        "bytes": made.size_bytes,
        "keys": made.manifest.has_keys,
        "left_out": list(made.left_out),
    }
    shown = pairs([(name, value) for name, value in values.items() if name not in ("keys", "left_out")])
    said = KEYS_WARNING if made.manifest.has_keys else NO_KEYS
    left = [f"Not in the backup: {path}" for path in made.left_out]
    click.echo(json.dumps(values, indent=2) if as_json else "\n".join([shown, said, *left]))


@click.command(epilog=EXIT_HELP)
@click.argument("backup", type=FOLDER)
@click.argument("home", type=FOLDER)
@click.option("--genesis", type=HASH, help="The chain you expect: the genesis hash of your policy. A backup of another chain is refused.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def restore(backup: Path, home: Path, genesis: bytes | None, as_json: bool) -> None:
    """Make the new home HOME from the folder BACKUP, after every byte of it was checked.

    \b
    Example:
      meterproof restore /mnt/backup/meterproof-2026-11-24 ./home

    HOME must not exist, or be empty; it gets its name when it is whole. A restored home signs nothing until its heads are agreed: what the
    node signed after the backup was made is not in it, and signing again from there would make two histories of one log.
    """
    from server.backup.restore import open_backup, restore_backup

    opened = open_backup(backup, genesis)
    restore_backup(opened, home)
    values: dict[str, Any] = {
        "home": str(home),
        "chain_id": opened.manifest.chain_id,
        "origin": opened.manifest.origin,
        "genesis": opened.genesis.hash.hex(),
        "backup_made": time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(opened.manifest.made_s)),
        "evidence_log_size": opened.evidence.size,
        "ledger_log_size": 0 if opened.ledger is None else opened.ledger.size,
        "height": opened.manifest.height,
        "keys": opened.manifest.has_keys,
    }
    keys = "" if opened.manifest.has_keys else f"\n  put node.key and validator.key into {home / 'keys'}"
    steps = f"Next:{keys}\n  meterproof fsck --home {home}\n  meterproof confirm-head {home} HEAD…\n  meterproof serve --home {home}"
    click.echo(json.dumps(values, indent=2) if as_json else f"{pairs(list(values.items()))}\n{AGREE_HELP}\n{steps}")


@click.command("confirm-head", epilog=EXIT_HELP)
@click.argument("home", type=FOLDER)
@click.argument("heads", type=FILE, nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def confirm_head(home: Path, heads: tuple[Path, ...], as_json: bool) -> None:
    """Let the restored home HOME sign again, if what others have seen of its logs ends where it ends.

    \b
    Example:
      meterproof confirm-head ./home reader/evidence.checkpoint reader/ledger.checkpoint

    A HEAD is a file that this node signed: a checkpoint of its evidence log or ledger log, as readers, mirrors and auditors keep it
    (http://NODE/evidence-log/checkpoint, http://NODE/ledger-log/checkpoint), an evidence file, or an ack as a device got it. Show all you
    can get, from others, not from the backup: one larger than the copy, or of another history, is refused, and for each log one of
    exactly the copy's size is needed. That nobody holds a larger one is your word: the node's key is yours, and so is the second history
    if it is wrong. Heads that the settings keep on another disk (heads.directory) are looked at without being named.

    \b
    If a larger head exists, the copy is too old:
      - restore a newer backup into another home, or
      - if the old disk still has HOME, use that: it is the newest copy;
      - else what was acked after the backup is lost here. Keep this home for its proofs (they stay valid), begin a new chain with
        `meterproof init`, and enrol the devices there. They still hold what was not acked.
    """
    from server.backup.agree import agree

    held = agree(load_config(home), heads)
    values: dict[str, Any] = {"home": str(home), **{log.name.replace(" ", "_") + "_size": log.size for log in held}}
    said = "The heads are agreed: the node may sign again from here."
    click.echo(json.dumps(values, indent=2) if as_json else f"{pairs(list(values.items()))}\n{said}")
