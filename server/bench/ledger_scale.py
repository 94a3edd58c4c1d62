"""The ledger when it is large: restart after a million transactions, cost of a state update among a million keys beside ten thousand.

In: an empty folder. Out: rows. Never measures on a file that the ledger would not open, and never lets a restart pass that answers no
transaction.

A million transactions through the engine would take most of an hour of this bench, so the file is filled directly: real receipts, block
leaves, nodes, state values, tree pages, checkpoint and tiles; only the bytes of its blocks are stand-ins, which no replay would take.
"""

import asyncio
import os
import sqlite3
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path

import cbor2

from server.bench.clock import figure
from server.bench.node import make_home
from server.bench.primitives import Primitives
from server.bench.rows import Row, row
from server.bench.scale import Scale
from server.config import Config
from server.keystore import SigningKey
from server.ledger import tree
from server.ledger.core import Head
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.file import LedgerReader
from server.ledger.publish import ROUND_ENTRIES_MAX, TilePublisher
from server.ledger.query import ORIGIN_PREFIX
from server.ledger.transactions import build_tx
from server.ledger.values import PointValue, encode_point
from shared import merkle, note, smt, state

GROUP = "a large ledger"
IDS = ("ledger_restart_s", "state_update_us")
FEW_KEYS = 10_000
BLOCK_TXS = 200
PART_DEPTH = b"\x00\x08"  # leaves are put into the tree by the first byte of their path: one part in memory at a time
_PUT_STATE, _PUT_PAGE = "INSERT OR REPLACE INTO state VALUES (?, ?)", "INSERT OR REPLACE INTO tree_page VALUES (?, ?)"


def measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    few, many = (Filled(folder / f"ledger-{count}", count) for count in (min(FEW_KEYS, scale.ledger_txs), scale.ledger_txs))
    restarts = [asyncio.run(restart_seconds(many.config)) for _ in range(max(1, scale.repeats - 2))]
    costs: dict[Filled, list[float]] = {few: [], many: []}
    for _ in range(scale.repeats):  # by turns, so that both meet the same machine
        for filled, found in costs.items():
            found.append(filled.update_seconds())
    limit, cost = (figure(costs[filled]).scaled(1e6 / BLOCK_TXS) for filled in (few, many))
    what = f"restart after {many.count:,} transactions, to the first receipt"
    beside = f"state update, durable, {many.count:,} keys beside {few.count:,}"
    return [
        row(IDS[0], GROUP, what, figure(restarts), "s", goal=3, more=False),
        row(IDS[1], GROUP, beside, cost, "µs", limit=limit.median, goal_ratio=0.5, more=False),
    ]


async def restart_seconds(config: Config) -> float:
    """From nothing to the receipt of a new transaction and a proof of what it changed."""
    node, admin = (SigningKey.load(config.key_path(name)) for name in ("node", "admin"))
    start = time.perf_counter()
    ledger = await EmbeddedLedger.open(config.home, config.genesis_path.read_bytes(), node)
    async with asyncio.TaskGroup() as group:
        group.create_task(ledger.run())
        nonce = ledger.next_nonce(admin.kid)
        data = build_tx(admin, config.chain_id, config.org, nonce, "point.create", {1: "after the restart", 2: None, 3: "UTC"})
        receipt = await ledger.submit(data)
        ledger.prove([key for key, _ in receipt.effects])
        elapsed_s = time.perf_counter() - start
        await ledger.close()
    return elapsed_s


class Filled:
    """A home whose ledger holds `count` transactions, each of which made one key."""

    def __init__(self, home: Path, count: int) -> None:
        self.count = count
        self._keys = [point_key(number) for number in range(count)]
        self.config = make_home(home)
        self._node = SigningKey.load(self.config.key_path("node"))
        self._path = home / "ledger.sqlite"
        asyncio.run(self._begin())
        self._reader = LedgerReader(self._path)
        self._conn = sqlite3.connect(self._path, isolation_level=None)
        self._conn.execute("PRAGMA synchronous = OFF")
        self._fill()
        self._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._conn.execute("PRAGMA synchronous = FULL")

    async def _begin(self) -> None:
        await (await EmbeddedLedger.open(self.config.home, self.config.genesis_path.read_bytes(), self._node)).close()

    def _fill(self) -> None:
        """One transaction for the whole: it is there, or the ledger is empty."""
        before = self._reader.head()
        assert before is not None, "open() writes one"
        self._conn.execute("BEGIN")
        root = self._fill_state()
        frontier, blocks = merkle.Frontier(), (self.count + BLOCK_TXS - 1) // BLOCK_TXS
        publisher = TilePublisher.open(self.config.home / "ledger-log")
        entries = self._entries(before.time_s, root)
        while part := list(islice(entries, ROUND_ENTRIES_MAX)):
            self._conn.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(part, frontier.size))
            nodes = (node for entry in part for node in frontier.append(merkle.leaf_hash(entry)))
            self._conn.executemany("INSERT INTO log_node VALUES (?, ?, ?)", nodes)
            publisher.append(part)
        self._conn.executemany("INSERT INTO block VALUES (?, x'00')", ((height,) for height in range(1, blocks + 1)))
        head = Head(blocks, before.time_s, frontier.root(), frontier.size, root)
        origin = ORIGIN_PREFIX + self.config.chain_id
        text = note.encode_checkpoint(note.Checkpoint(origin, head.log_size, head.app_hash))
        checkpoint = note.sign_note(text, origin, self._node.raw, self._node.sign)
        row = (head.height, head.time_s, head.app_hash, head.log_size, head.state_root, checkpoint)
        self._conn.execute("UPDATE head SET height = ?, time_s = ?, app_hash = ?, log_size = ?, state_root = ?, checkpoint = ?", row)
        self._conn.execute("COMMIT")
        publisher.publish(checkpoint)

    def _entries(self, time_s: int, root: bytes) -> Iterator[bytes]:
        """Receipts and, after each block, its leaf."""
        params = self._reader.get(state.PARAMS_KEY)
        assert params is not None, "the genesis has them"
        place = 0
        for first in range(0, self.count, BLOCK_TXS):
            height, last = first // BLOCK_TXS + 1, min(first + BLOCK_TXS, self.count)
            for index, key in enumerate(self._keys[first:last]):
                yield cbor2.dumps({0: 1, 1: sha256(key).digest(), 2: height, 3: index, 4: 0, 5: [[key, bytes(32)]]})
            place += last - first
            leaf = state.BlockLeaf(self.config.chain_id, height, time_s, place, root, sha256(params).digest())
            yield state.encode_block_leaf(leaf)
            place += 1

    def _fill_state(self) -> bytes:
        """The keys, and the tree part by part; what all parts share is kept in memory. The root."""
        value = encode_point(PointValue(self.config.org, "a point", None, "UTC", 1))
        leaf = sha256(value).digest()
        self._conn.executemany(_PUT_STATE, ((key, value) for key in sorted(self._keys)))
        self._conn.executemany(
            "INSERT INTO receipt VALUES (?, ?, 1)", sorted((sha256(key).digest(), i) for i, key in enumerate(self._keys))
        )
        shared: dict[bytes, bytes] = {}
        root = b""
        for _, part in groupby(sorted(map(smt.path_of, self._keys)), key=itemgetter(0)):
            root, pages = tree.update(lambda place: shared.get(place) or self._reader.tree_page(place), dict.fromkeys(part, leaf))
            shared.update((place, page) for place, page in pages.items() if place[:2] < PART_DEPTH)
            self._conn.executemany(_PUT_PAGE, pages.items())
        return root

    def update_seconds(self) -> float:
        """A block of new keys into tree and file. The head stays: this file is not opened again."""
        values = {point_key(int.from_bytes(os.urandom(8), "big")): os.urandom(60) for _ in range(BLOCK_TXS)}
        start = time.perf_counter()
        _, pages = tree.update(self._reader.tree_page, {smt.path_of(key): sha256(value).digest() for key, value in values.items()})
        self._conn.execute("BEGIN IMMEDIATE")
        self._conn.executemany(_PUT_STATE, sorted(values.items()))
        self._conn.executemany(_PUT_PAGE, sorted(pages.items()))
        self._conn.execute("COMMIT")
        return time.perf_counter() - start


def point_key(number: int) -> bytes:
    """State key of a point with a made-up id."""
    return bytes(state.point_key(sha256(number.to_bytes(8, "big")).digest()[:10]))
