"""What can be asked of a committed ledger: values, receipts, proofs. The same for every engine.

In: ids and state keys. Out: decoded values; LedgerProof of one committed block. Never answers from a block that is not durable.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared import merkle, smt, state
from shared.errors import DecodeError, Unavailable, VerifyError

from . import tree
from .core import LedgerCore
from .file import PAGE, LedgerReader
from .lists import NUMBER_BYTES, votes_due_list
from .state import prefix_of
from .values import (
    FirmwareValue,
    KeyValue,
    LogValue,
    OrgValue,
    PointValue,
    decode_firmware,
    decode_key,
    decode_log,
    decode_nonce,
    decode_org,
    decode_point,
    decode_validators,
)

ORIGIN_PREFIX = "meterproof.ledger/"


@dataclass(frozen=True, slots=True)
class LedgerProof:
    """What one committed block says of some state keys: its leaf with the path under the checkpoint, and per key (value or None, proof)."""

    block_leaf: bytes
    leaf_index: int
    log_size: int
    path: list[bytes]
    checkpoint: bytes
    params: bytes
    values: list[tuple[bytes | None, Any]]


class LedgerQueries:
    """Reads of a ledger; all see the same durable blocks."""

    def __init__(self, reader: LedgerReader, core: LedgerCore) -> None:
        self._reader, self._core = reader, core

    @property
    def chain_id(self) -> str:
        """Chain id of the genesis."""
        return self._core.chain_id

    @property
    def origin(self) -> str:
        """Origin line and key name of the ledger log's checkpoints."""
        return ORIGIN_PREFIX + self._core.chain_id

    @property
    def height(self) -> int:
        """Height of the last block; 0 before the first."""
        return self._core.head.height

    @property
    def time_s(self) -> int:
        """Time of the last block, or of the genesis."""
        return self._core.head.time_s

    @property
    def app_hash(self) -> bytes:
        """Root of the ledger log."""
        return self._core.head.app_hash

    @property
    def log_size(self) -> int:
        """Entries of the ledger log."""
        return self._core.head.log_size

    def get(self, key: bytes) -> bytes | None:
        """Committed value of a state key."""
        return self._reader.get(key)

    def page(self, kind: str, *parts: object, after: bytes = b"", limit: int = PAGE) -> list[tuple[bytes, bytes]]:
        """Committed (key, value) of one kind ("device", "point", …) by key, the first ones beyond the state key `after`; further parts
        narrow it, as the origin for "batch"."""
        return self._reader.page(prefix_of(kind, *parts), after, limit)

    def org(self, org: bytes) -> OrgValue | None:
        """An organization."""
        data = self.get(state.org_key(org))
        return None if data is None else decode_org(data)

    def key(self, kid: bytes) -> KeyValue | None:
        """A person's, node's or validator's key."""
        data = self.get(state.key_key(kid))
        return None if data is None else decode_key(data)

    def nonce(self, kid: bytes) -> int:
        """The nonce that a key's next transaction must carry, if none of its transactions waits."""
        return decode_nonce(self.get(state.nonce_key(kid)))

    def next_nonce(self, kid: bytes) -> int:
        """The same after those that wait."""
        return decode_nonce(self._core.check_state.get(state.nonce_key(kid)))

    def point(self, point: bytes) -> PointValue | None:
        """A metering point."""
        data = self.get(state.point_key(point))
        return None if data is None else decode_point(data)

    def firmware(self, firmware: bytes) -> FirmwareValue | None:
        """A firmware reference value."""
        data = self.get(state.firmware_key(firmware))
        return None if data is None else decode_firmware(data)

    def device(self, device: bytes) -> state.DeviceValue | None:
        """A device as of `height`; shared, not to be changed. Raises VerifyError 271."""
        return self._core.devices.get(device)

    def log(self, origin: str) -> LogValue | None:
        """The evidence log of an origin, as far as batches have put it on the ledger."""
        data = self.get(state.log_key(origin))
        return None if data is None else decode_log(data)

    def batch(self, origin: str, number: int) -> state.BatchValue | None:
        """A batch and its votes. Raises VerifyError 271 if the state holds something else there."""
        data = self.get(state.batch_key(origin, number))
        try:
            return None if data is None else state.decode_batch_value(data)
        except DecodeError as error:
            raise VerifyError(271, f"the state holds a broken batch: {error.text}") from error

    def votes_due(self, origin: str, kid: bytes, after: int = -1, limit: int = PAGE) -> list[int]:
        """Numbers of the first batches beyond `after` that the validator is to vote on and has not."""
        start = b"" if after < 0 else after.to_bytes(NUMBER_BYTES, "big")
        members = self._reader.members(votes_due_list(origin, kid), limit, start)
        return [int.from_bytes(member, "big") for member in members]

    def validators(self) -> list[tuple[bytes, int]]:
        """(kid, power) by kid."""
        data = self.get(state.VALIDATORS_KEY)
        return [] if data is None else decode_validators(data)

    def receipt(self, identity: bytes) -> state.Receipt | None:
        """The receipt of a transaction: the one that used up its nonce, if there is one."""
        return self._reader.receipt(identity)

    def block(self, height: int) -> bytes | None:
        """Bytes of a block."""
        return self._reader.block(height)

    def entry(self, index: int) -> bytes:
        """An entry of the ledger log. Raises VerifyError 210 outside it."""
        return self._reader.entry(index)

    def consistency_path(self, size1: int, size2: int) -> list[bytes]:
        """Proof that the ledger log of size2 extends that of size1."""
        return self._reader.consistency_path(size1, size2)

    def checkpoint(self) -> bytes:
        """The signed checkpoint of the ledger log. Raises Unavailable 400 before the first block."""
        data = self._reader.checkpoint()
        if data is None:
            raise Unavailable(400, "the ledger has no block yet")
        return data

    def prove(self, keys: Sequence[bytes]) -> LedgerProof:
        """Proofs of what the last committed block's state holds at these keys. Raises Unavailable 400 before the first block."""
        reader = self._reader
        with reader.snapshot():
            checkpoint, head, params = self.checkpoint(), reader.head(), reader.get(state.PARAMS_KEY)
            if head is None or params is None:
                raise VerifyError(271, "the ledger has no head")
            index = head.log_size - 1
            path = merkle.stored_inclusion_path(index, head.log_size, reader.log_node)
            values = [self._prove_value(head.state_root, key) for key in keys]
            return LedgerProof(reader.entry(index), index, head.log_size, path, checkpoint, params, values)

    def _prove_value(self, root: bytes, key: bytes) -> tuple[bytes | None, Any]:
        """Checks its own proof: a damaged table must not make a proof that others refuse."""
        value, proof = self._reader.get(key), tree.prove(self._reader.tree_page, key)
        try:
            if value is None:
                smt.verify_absent(root, key, proof)
            else:
                smt.verify_member(root, key, value, proof)
        except (VerifyError, DecodeError) as error:
            raise VerifyError(271, "the state and its tree disagree") from error
        return value, proof
