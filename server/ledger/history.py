"""The ledger's past as its blocks alone make it, and a comparison of everything else that is stored with it.

In: genesis and a ledger file. Out: device values by height, batches, problems. Never believes a table but `block`.
"""

from collections.abc import Sequence
from typing import Any

from shared import cbor, cose, merkle, note, state
from shared.errors import MeterproofError, VerifyError
from shared.state import BatchValue, DeviceValue

from .core import Head
from .derived import differences
from .file import LedgerReader
from .genesis import Genesis, decode_genesis
from .query import ORIGIN_PREFIX
from .replay import MemoryStore, Replay, replay_steps
from .values import decode_log


class LedgerHistory:
    """Built by `replay_history`. `blocks`: how many were replayed; `problems`: what contradicts them; `derived`: by table, what is stored
    otherwise than they make it, and can be made anew; `promised`: genesis and checkpoint in the file."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.head = Head(0, genesis.time_s, merkle.EMPTY_ROOT, 0, b"")
        self.store = MemoryStore()
        self.blocks = 0
        self.problems: list[str] = []
        self.derived: dict[str, str] = {}
        self.promised: tuple[bytes | None, bytes | None] = (None, None)
        self._devices: dict[bytes, list[tuple[int, bytes]]] = {}

    @property
    def height(self) -> int:
        """Of the last block."""
        return self.head.height

    def take(self, step: Replay, entries_before: int) -> None:
        """Notes what one block changed."""
        self.head, self.store = step.head, step.store
        for entry in step.store.entries[entries_before:-1]:
            for key, _ in state.decode_receipt(entry).effects:
                kind: Any = cbor.decode(key)
                if kind[0] == "device":
                    self._devices.setdefault(key, []).append((step.head.height, step.store.values[key]))

    def device_at(self, device: bytes, height: int) -> DeviceValue | None:
        """Its value after the block at `height`."""
        found = None
        for from_height, value in self._devices.get(state.device_key(device), []):
            if from_height <= height:
                found = value
        return None if found is None else state.decode_device_value(found)

    def batches(self, origin: str) -> Sequence[BatchValue]:
        """Every batch of a log in order."""
        log = self.store.get(state.log_key(origin))
        count = 0 if log is None else decode_log(log).batches
        return [state.decode_batch_value(self.store.values[state.batch_key(origin, number)]) for number in range(count)]

    def node_key(self, origin: str) -> bytes:
        """Raw public key of the node that signs the log. Raises VerifyError 242 if the genesis names no such log."""
        kids = dict(self.genesis.logs)
        for data, _, _ in self.genesis.keys:
            key = cose.decode_key(data)
            if cose.kid_of(data) == kids.get(origin):
                return bytes(key.raw)
        raise VerifyError(242, f"the genesis names no log {origin}")


def replay_history(genesis_data: bytes, reader: LedgerReader) -> LedgerHistory:
    """Replays every block; what cannot be replayed ends it and is a problem."""
    history = LedgerHistory(decode_genesis(genesis_data))
    before = 0
    try:
        for number, step in enumerate(replay_steps(genesis_data, reader.blocks())):
            history.blocks = number
            history.take(step, before)
            before = len(step.store.entries)
    except MeterproofError as error:
        history.problems.append(f"ledger: block {history.blocks + 1}: {error}")
    return history


def compare_ledger(history: LedgerHistory, reader: LedgerReader, published: bytes | None, node_key: bytes) -> None:
    """Notes whatever is stored or published and does not follow from the blocks."""
    try:
        history.promised = reader.genesis(), reader.checkpoint()
    except MeterproofError as error:
        history.problems.append(f"ledger: genesis or checkpoint in the file: {error}")
    genesis, checkpoint = history.promised
    if genesis != history.genesis.data:
        history.problems.append("ledger: the file was begun with another genesis, or its head is gone")
    _check_checkpoint(history, checkpoint, node_key, "checkpoint")
    _check_checkpoint(history, published, node_key, "published checkpoint")
    history.derived = {name: f"ledger: {text}" for name, text in differences(history.store, history.head, reader).items()}


def _check_checkpoint(history: LedgerHistory, data: bytes | None, node_key: bytes, what: str) -> None:
    """It must be the node's, and of the log that the blocks make: all of it; the published one may lag, and be missing after the first."""
    origin = ORIGIN_PREFIX + history.genesis.chain_id
    try:
        if data is None:
            if history.blocks > 1 or (history.blocks and what == "checkpoint"):
                raise VerifyError(271, "it is missing")
            return
        checkpoint, _ = note.open_checkpoint(data, [note.Vkey(origin, note.key_id_of(origin, node_key), node_key)])
        size, made = checkpoint.size, history.head.log_size
        if checkpoint.origin != origin or size > made or (size < made and what == "checkpoint"):
            raise VerifyError(271, f"it covers {size} entries, the blocks make {made}")
        if merkle.tree_root(size, history.store.log_node) != checkpoint.root:
            raise VerifyError(271, "the blocks make another root")
    except MeterproofError as error:
        history.problems.append(f"ledger: {what}: {error}")
