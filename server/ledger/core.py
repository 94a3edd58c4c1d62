"""The ledger without an engine: checks transactions, turns a block into staged changes, moves on when they are durable.

In: a store that holds the committed ledger, blocks in order from whatever engine decides them. Out: Staged blocks: receipts, app hash and
every row to be written at once. Never writes, never reads a clock, never changes anything before commit().
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Protocol

from shared import merkle, smt
from shared.errors import VerifyError
from shared.state import PARAMS_KEY, BlockLeaf, Receipt, encode_block_leaf, encode_receipt

from . import tree
from .blocks import encode_block
from .context import Verify
from .devices import Devices
from .genesis import Genesis, genesis_values
from .lists import Listed, list_changes
from .rules import Outcome, SignatureCache, run_tx
from .state import Overlay, Reader, Remembering
from .transactions import Tx, decode_tx

Node = tuple[int, int, bytes]


class Store(Reader, Protocol):
    """What the core reads of the committed ledger."""

    def tree_page(self, place: bytes) -> bytes | None:
        """A page of the state tree."""

    def log_node(self, level: int, place: int) -> bytes:
        """Root of a complete subtree of the ledger log."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where a ledger stands: its last block, the ledger log and the state after it."""

    height: int
    time_s: int
    app_hash: bytes
    log_size: int
    state_root: bytes


@dataclass(frozen=True, slots=True)
class Staged:
    """One block, applied but not yet durable: everything that one transaction of the store has to write."""

    before: Head
    head: Head
    block: bytes | None
    outcomes: tuple[Outcome, ...]
    entries: tuple[bytes, ...]
    log_nodes: tuple[Node, ...]
    values: Mapping[bytes, bytes]
    tree_pages: Mapping[bytes, bytes]
    listed: Listed
    frontier: merkle.Frontier

    @property
    def receipts(self) -> list[Receipt]:
        """Receipts in order."""
        return [outcome.receipt for outcome in self.outcomes]

    @property
    def app_hash(self) -> bytes:
        """Root of the ledger log after the block."""
        return self.head.app_hash


def stage_genesis(genesis: Genesis) -> Staged:
    """Height 0: the genesis state, an empty log."""
    values = genesis_values(genesis)
    root, pages = tree.update(lambda _: None, tree_leaves(values))
    nothing = Head(0, genesis.time_s, merkle.EMPTY_ROOT, 0, smt.EMPTY)
    return Staged(nothing, replace(nothing, state_root=root), None, (), (), (), values, pages, list_changes(values, 0), merkle.Frontier())


def frontier_of(store: Store, head: Head) -> merkle.Frontier:
    """Frontier of the committed log. Raises VerifyError 271 if its nodes do not make the app hash, or the tree not the state root."""
    nodes, done = [], 0
    for level in range(head.log_size.bit_length() - 1, -1, -1):
        if head.log_size >> level & 1:
            nodes.append(store.log_node(level, done >> level))
            done += 1 << level
    frontier = merkle.Frontier(head.log_size, nodes)
    if frontier.root() != head.app_hash or tree.root_of(store.tree_page) != head.state_root:
        raise VerifyError(271, "the stored log or state tree does not make the stored head; see `meterproof fsck`")
    return frontier


class LedgerCore:
    """One ledger under any engine."""

    def __init__(self, store: Store, genesis: Genesis, head: Head, verify: Verify | None = None) -> None:
        params = store.get(PARAMS_KEY)
        if params is None or params != genesis_values(genesis)[PARAMS_KEY]:
            raise VerifyError(242, "the ledger was begun with another genesis")
        self.chain_id = genesis.chain_id
        self.head = head
        self._store = store
        self._params_hash = sha256(params).digest()
        self._verify = verify or SignatureCache()
        self._frontier = frontier_of(store, head)
        self._values = Remembering(store)
        self._check = Overlay(self._values)
        self.devices = Devices(store.get)

    @property
    def check_state(self) -> Overlay:
        """The committed state and, over it, what every checked transaction that still waits would do."""
        return self._check

    def check_tx(self, data: bytes) -> Tx:
        """The transaction, found good on top of those already waiting. Raises the error its receipt would carry; then nothing changed."""
        tx = decode_tx(data)
        self.recheck(tx)
        return tx

    def recheck(self, tx: Tx) -> None:
        """As check_tx, for one that was decoded before."""
        trial = Overlay(self._check)
        outcome = run_tx(trial, tx, self.head.height + 1, 0, self.head.time_s, self.chain_id, self._verify)
        if outcome.error is not None:
            raise outcome.error
        self._check.absorb(trial)

    def reset_check(self) -> None:
        """Forgets the waiting transactions: those that still wait must be rechecked."""
        self._check = Overlay(self._values)

    def apply_block(self, height: int, time_s: int, txs: Sequence[Tx]) -> Staged:
        """The block on the committed one, staged. Raises VerifyError 271 if height or time do not follow. No transactions: no change."""
        before = self.head
        if height <= before.height or time_s < before.time_s:
            raise VerifyError(271, f"block {height} does not follow {before.height}, or its time falls")
        if not txs:
            return Staged(before, replace(before, height=height, time_s=time_s), None, (), (), (), {}, {}, {}, self._frontier)
        state = Overlay(self._values)
        outcomes = tuple(run_tx(state, tx, height, index, time_s, self.chain_id, self._verify) for index, tx in enumerate(txs))
        state_root, pages = tree.update(self._store.tree_page, tree_leaves(state.changes))
        own_index = before.log_size + len(txs)
        leaf = BlockLeaf(self.chain_id, height, time_s, own_index, state_root, self._params_hash)
        entries = (*(encode_receipt(outcome.receipt) for outcome in outcomes), encode_block_leaf(leaf))
        frontier = self._frontier.copy()
        nodes = tuple(node for entry in entries for node in frontier.append(merkle.leaf_hash(entry)))
        head = Head(height, time_s, frontier.root(), frontier.size, state_root)
        block = encode_block(height, time_s, txs)
        self.devices.hold(state.changes)
        listed = list_changes(state.changes, height)
        return Staged(before, head, block, outcomes, entries, nodes, state.changes, pages, listed, frontier)

    def commit(self, staged: Staged) -> None:
        """Moves on to a block that the store now holds."""
        if staged.before != self.head:
            raise VerifyError(271, "the staged block does not follow the committed one")
        self.head, self._frontier = staged.head, staged.frontier
        self._values.forget(staged.values)
        self.devices.release(staged.values)


def tree_leaves(values: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """Path → value hash of state values."""
    return {smt.path_of(key): sha256(value).digest() for key, value in values.items()}
