"""A home directory: one backend at a time in it, with the keys that its genesis names.

In: a home's path, settings, keys. Out: a lock, the genesis, whether the home may sign. Never changes anything but the lock file and the
mark of a restored home.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from server.config import Config
from server.evidence.tile_files import sync_directory, write_file
from server.keystore import SigningKey
from server.ledger.genesis import Genesis, decode_genesis
from shared.errors import DecodeError, Unavailable, VerifyError

RESTORED = "RESTORED-NOT-AGREED"
_MARK = """This home was restored from a backup made {made}, which ends at {ends}.
Whatever this node signed after that is not here. If it signed again from here, its logs would have two histories, and everybody who has
seen the other one would have the proof. So it does not start until others have shown where it stood:
    meterproof confirm-head HOME HEAD...        (`meterproof confirm-head --help` says what a head is and where to get one)
Do not delete this file by hand: nothing else keeps the node from signing a second history.
"""


@contextlib.contextmanager
def lock_home(home: Path) -> Iterator[None]:
    """Raises Unavailable 400 while another backend runs in this home; the lock ends with the process, however it ends."""
    handle = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Unavailable(400, f"another backend runs in {home}") from None
        yield
    finally:
        os.close(handle)


def mark_restored(home: Path, ends: str, made_s: int) -> None:
    """From now on the home signs nothing."""
    made = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(made_s))
    write_file(home / RESTORED, _MARK.format(made=made, ends=ends).encode())


def check_agreed(home: Path) -> None:
    """Raises VerifyError 273 while a restored home's heads are not agreed."""
    if (home / RESTORED).exists():
        raise VerifyError(273, f"{home} was restored from a backup and its heads are not agreed yet: see {home / RESTORED}")


def clear_restored(home: Path) -> None:
    """The heads are agreed: the home may sign again."""
    (home / RESTORED).unlink(missing_ok=True)
    sync_directory(home)


def read_genesis(config: Config, node: SigningKey, validator: SigningKey) -> Genesis:
    """The genesis, checked against settings and keys. Raises DecodeError 181, 195."""
    try:
        genesis = decode_genesis(config.genesis_path.read_bytes())
    except OSError as error:
        raise DecodeError(195, f"{config.genesis_path}: {error.strerror}") from None
    if genesis.chain_id != config.chain_id:
        raise DecodeError(195, f"settings are for chain {config.chain_id}, the genesis is of {genesis.chain_id}")
    if (config.origin, node.kid) not in genesis.logs:
        raise DecodeError(195, f"the genesis does not give the log {config.origin} to keys/node.key")
    if validator.kid not in {kid for kid, _ in genesis.validators}:
        raise DecodeError(195, "keys/validator.key is no validator of the genesis")
    return genesis
