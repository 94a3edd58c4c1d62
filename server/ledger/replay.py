"""The whole ledger again from its genesis and blocks, in memory, by the same rules: what fsck compares the stored tables with.

In: genesis bytes and block bytes in order. Out: head, state, tree pages, log entries. Never trusts anything but those bytes,
never caches a signature's verdict.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared import cose

from .blocks import decode_block
from .core import Head, LedgerCore, Staged, stage_genesis
from .genesis import decode_genesis
from .lists import Listed
from .state import MapState


@dataclass(slots=True)
class MemoryStore(MapState):
    """A ledger store in memory."""

    values: dict[bytes, bytes] = field(default_factory=dict)
    tree_pages: dict[bytes, bytes] = field(default_factory=dict)
    nodes: dict[tuple[int, int], bytes] = field(default_factory=dict)
    entries: list[bytes] = field(default_factory=list)
    receipts: dict[tuple[bytes, int], bool] = field(default_factory=dict)
    listed: Listed = field(default_factory=dict)

    def tree_page(self, place: bytes) -> bytes | None:
        """A page of the state tree."""
        return self.tree_pages.get(place)

    def log_node(self, level: int, place: int) -> bytes:
        """Root of a complete subtree of the ledger log."""
        return self.nodes[level, place]

    def write(self, staged: Staged) -> None:
        """Takes over one block."""
        self.values.update(staged.values)
        self.tree_pages.update(staged.tree_pages)
        self.nodes.update({(level, place): node for level, place, node in staged.log_nodes})
        for place, outcome in enumerate(staged.outcomes, len(self.entries)):
            self.receipts[outcome.receipt.identity, place] = outcome.final
        self.entries.extend(staged.entries)
        for at, listed in staged.listed.items():
            if listed:
                self.listed[at] = True
            else:
                self.listed.pop(at, None)


@dataclass(frozen=True, slots=True)
class Replay:
    """A ledger rebuilt; `store` holds state values, tree pages, log nodes and entries."""

    head: Head
    store: MemoryStore

    @property
    def app_hash(self) -> bytes:
        """Root of the rebuilt ledger log."""
        return self.head.app_hash


def replay_steps(genesis_data: bytes, blocks: Iterable[bytes]) -> Iterator[Replay]:
    """The ledger after the genesis and after each block, in one growing store. Raises DecodeError 181, 182, VerifyError 271."""
    genesis = decode_genesis(genesis_data)
    store, staged = MemoryStore(), stage_genesis(genesis)
    store.write(staged)
    core = LedgerCore(store, genesis, staged.head, cose.verify_sign1)
    yield Replay(core.head, store)
    for data in blocks:
        block = decode_block(data)
        staged = core.apply_block(block.height, block.time_s, block.txs)
        store.write(staged)
        core.commit(staged)
        yield Replay(core.head, store)


def replay_blocks(genesis_data: bytes, blocks: Iterable[bytes]) -> Replay:
    """The ledger after all blocks. Raises as replay_steps."""
    *_, last = replay_steps(genesis_data, blocks)
    return last
