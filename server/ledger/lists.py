"""Lists that follow from the state, kept beside it so that nobody must read all of it: the live admins of an organization, the batches that
wait for a validator's vote.

In: the state values that a block changes. Out: (list, member) → whether it is on the list from then on. Never part of the state: no hash
covers them, every node makes its own from its blocks.
"""

from collections.abc import Callable, Mapping

from shared import cbor
from shared.cose import KID_BYTES
from shared.errors import DecodeError, VerifyError
from shared.state import decode_batch_value

from .bodies import ADMIN
from .state import prefix_of
from .values import decode_key

NUMBER_BYTES = 8
Listed = dict[tuple[bytes, bytes], bool]


def admins_list(org: bytes) -> bytes:
    """Name of the list of an organization's live admins; members: kid."""
    return cbor.encode(["admins", org])


def votes_due_list(origin: str, kid: bytes) -> bytes:
    """Name of the list of a log's batches that the validator is to vote on and has not; members: batch number, eight bytes."""
    return cbor.encode(["votes due", origin, kid])


def list_changes(values: Mapping[bytes, bytes], height: int | None = None) -> Listed:
    """What the block at `height`, which changes these values, changes of the lists; without a height, what a whole state has of them.
    Raises VerifyError 271 for a broken value."""
    listed: Listed = {}
    try:
        for key, value in values.items():
            for prefix, note in _KINDS.items():
                if key.startswith(prefix):
                    note(listed, key, value, height)
    except DecodeError as error:
        raise VerifyError(271, f"the state holds a broken batch: {error.text}") from error
    return listed


def _note_key(listed: Listed, key: bytes, value: bytes, _: int | None) -> None:
    decoded = decode_key(value)
    if ADMIN in decoded.roles:
        kid = cbor.check_bytes(cbor.check_list(cbor.decode(key), 2, 2)[1], KID_BYTES)
        listed[admins_list(decoded.org), kid] = decoded.to_height is None


def _note_batch(listed: Listed, key: bytes, value: bytes, height: int | None) -> None:
    batch = decode_batch_value(value)
    _, origin, number = cbor.check_list(cbor.decode(key), 3, 3)
    member = number.to_bytes(NUMBER_BYTES, "big")
    voted = {vote.kid: vote.height for vote in batch.votes}
    for power in batch.snapshot:
        if power.kid not in voted and height in (None, batch.height):
            listed[votes_due_list(origin, power.kid), member] = True
        elif power.kid in voted and voted[power.kid] == height:
            listed[votes_due_list(origin, power.kid), member] = False


_KINDS: dict[bytes, Callable[[Listed, bytes, bytes, int | None], None]] = {prefix_of("key"): _note_key, prefix_of("batch"): _note_batch}
LISTED_KINDS = tuple(_KINDS)
