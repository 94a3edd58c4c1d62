"""A home directory: one backend at a time in it, with the keys that its genesis names.

In: a home's path, settings, keys. Out: a lock, the genesis. Never changes anything but the lock file.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from server.config import Config
from server.keystore import SigningKey
from server.ledger.genesis import Genesis, decode_genesis
from shared.errors import DecodeError, Unavailable


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
