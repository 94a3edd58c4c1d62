"""Checks the evidence log against nothing but tiles, rows and what the ledger's own blocks say, and rebuilds everything derived from them.

In: a home's evidence files, the ledger's history replayed from its blocks. Out: counts, problems, and the derived tables in a fresh
database. Never believes a derived table, never changes anything.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import aiosqlite

from shared import bundle, channel, cose, ids, note
from shared.errors import DecodeError, MeterproofError, RuleError, VerifyError
from shared.state import BatchValue, DeviceValue, live_key_at
from shared.statement import open_statement
from shared.types import ChannelTable, Reading, Statement

from .columns import Columns
from .derive import Deriver, Entry, write_derived
from .fsck_derived import compare_derived
from .fsck_report import Report, melt, total
from .fsck_tiles import check_tiles, read_published
from .rows import Arrival, EvidenceStore
from .span import build_span
from .tiles import TileReader

ROUND = 256


class History(Protocol):
    """The ledger as its blocks make it."""

    @property
    def height(self) -> int: ...
    def device_at(self, device: bytes, height: int, /) -> DeviceValue | None: ...
    def batches(self, origin: str, /) -> Sequence[BatchValue]: ...


class EvidenceCheck:
    """One run over one log; `fresh` is an empty database of the same schema."""

    def __init__(self, directory: Path, store: EvidenceStore, fresh: aiosqlite.Connection, history: History, report: Report) -> None:
        self._directory = directory
        self._store = store
        self._fresh = fresh
        self._history = history
        self._report = report
        self._tables: dict[bytes, ChannelTable | None] = {}
        self._spans: dict[bytes, list[tuple[int, int]]] = {}
        self._lost: dict[bytes, list[tuple[int, int]]] = {}

    async def run(self, origin: str, node_key: bytes) -> None:
        """Everything about the log of `origin`, which the node with that raw key signs."""
        report = self._report
        published = read_published(self._directory)  # before the snapshot: the backend may be running, and publishes after it commits
        await self._store.reader.execute("BEGIN")
        try:
            head = await self._head(origin, node_key, published)
            if head is None:
                return
            report.log_size = head.size
            check_tiles(self._directory, head, report)
            await self._entries(head.size, self._batches(origin, head))
            self._sum_up()
            report.derived_problems += await compare_derived(self._store.reader, self._fresh)
        finally:
            await self._store.reader.execute("COMMIT")

    # --- what was signed

    async def _head(self, origin: str, node_key: bytes, published: bytes | None) -> Any:
        """The checkpoint in the trusted row, its signature checked; the published one must be it or an earlier one of the same log."""
        vkeys = [note.Vkey(origin, note.key_id_of(origin, node_key), node_key)]
        try:
            row = await self._store.head()
            if row is None:
                raise VerifyError(270, "the trusted head is missing")
            head, _ = note.open_checkpoint(row.checkpoint, vkeys)
            if (head.origin, head.size, head.root) != (origin, row.size, row.root):
                raise VerifyError(270, "the trusted head is not what its checkpoint says")
        except MeterproofError as error:
            self._report.problem(f"evidence log: checkpoint: {error}")
            return None
        self._check_published(head, published, vkeys)
        return head

    def _check_published(self, head: Any, data: bytes | None, vkeys: list[Any]) -> None:
        try:
            if data is None:
                raise VerifyError(270, "it is missing")
            published, _ = note.open_checkpoint(data, vkeys)
            reader = TileReader(self._directory, head.size)
            if published.origin != head.origin or published.size > head.size or reader.root(published.size) != published.root:
                raise VerifyError(270, "it is of another log than the trusted head")
        except MeterproofError as error:
            self._report.problem(f"evidence log: published checkpoint: {error}")

    def _batches(self, origin: str, head: Any) -> list[BatchValue]:
        """The ledger's batches of this log; each must be a prefix of what is stored."""
        reader = TileReader(self._directory, head.size)
        batches = list(self._history.batches(origin))
        for number, batch in enumerate(batches):
            try:
                if batch.new_size > head.size or reader.root(batch.new_size) != batch.root:
                    raise VerifyError(270, "it is of another log than is stored")
            except MeterproofError as error:
                self._report.problem(f"batch {number}: {error}")
        self._report.batches = len(batches)
        self._report.unanchored = head.size - (batches[-1].new_size if batches else 0)
        return batches

    # --- every statement with its rows

    async def _entries(self, size: int, batches: list[BatchValue]) -> None:
        places = iter(batches)
        batch = next(places, None)
        reader = TileReader(self._directory, size)
        for low in range(0, size, ROUND):
            high = min(low + ROUND, size)
            arrivals = await self._store.arrivals(low, high)
            deriver = Deriver(self._fresh)
            for index in range(low, high):
                while batch is not None and index >= batch.new_size:
                    batch = next(places, None)
                try:
                    await self._entry(index, reader.entry(index), arrivals.get(index), batch, deriver)
                except MeterproofError as error:
                    self._report.problem(f"entry {index}: {error}")
            await write_derived(self._fresh, deriver.derived)

    async def _entry(self, index: int, data: bytes, arrival: Arrival | None, batch: BatchValue | None, deriver: Deriver) -> None:
        self._report.statements += 1
        signed, statement = open_statement(data)
        self._check_signer(index, signed, statement, batch)
        if arrival is None:
            raise VerifyError(232, "the row that came with it is missing")
        readings = self._readings(statement, arrival)
        self._count(statement)
        table = await self._table(statement) if arrival.table_known else None
        value = self._history.device_at(statement.device, arrival.height)
        if value is None:
            raise RuleError(320, "the device was not enrolled when it was let in")
        span = build_span(Columns.of(readings), table) if readings else None
        entry = Entry(signed.identity, signed.kid, statement, span, arrival.received_s, value, table)
        await deriver.add(index, entry)

    def _check_signer(self, index: int, signed: Any, statement: Statement, batch: BatchValue | None) -> None:
        """The signature by a key of the device; whether that key was live at the batch's height only decides whether it is trusted."""
        height = batch.height if batch else self._history.height
        value = self._history.device_at(statement.device, height)
        keys = {key.kid: key.cose_key for key in value.keys} if value else {}
        if signed.kid not in keys:
            raise RuleError(320, "signed by a key that was never the device's")
        cose.verify_sign1(signed, keys[signed.kid])
        try:
            live_key_at(value, signed.kid, height)
        except RuleError:
            self._report.untrusted += 1

    def _readings(self, statement: Statement, arrival: Arrival) -> list[Reading]:
        try:
            readings: list[Reading] = bundle.check_rows(statement, arrival.salt, arrival.rows())
        except DecodeError as error:
            raise VerifyError(272, f"its rows are damaged: {error.text}") from error
        self._report.readings += len(readings)
        return readings

    async def _table(self, statement: Statement) -> ChannelTable | None:
        table_hash = statement.channel_table
        if table_hash not in self._tables:
            data = await self._store.channel_table(table_hash)
            if data is None:
                raise VerifyError(272, f"channel table {table_hash.hex()} is missing")
            self._tables[table_hash] = channel.decode_table(data)
        return self._tables[table_hash]

    def _count(self, statement: Statement) -> None:
        if statement.kind == "readings":
            self._spans.setdefault(statement.device, []).append((statement.first_seq, statement.first_seq + statement.count))
        elif statement.kind == "gap":
            self._report.gaps += 1
            lost = self._lost.setdefault(statement.device, [])
            lost += [(item.first_seq, item.first_seq + item.count) for item in statement.lost]

    def _sum_up(self) -> None:
        for device in sorted(self._spans.keys() | self._lost.keys()):
            spans = self._spans.get(device, [])
            logged, named = melt(spans), melt(self._lost.get(device, []))
            both = melt([*logged, *named])
            stored, distinct = total(spans), total(logged)
            lost = total(both) - distinct
            holes = [[a[1], b[0] - a[1]] for a, b in zip([(0, 0), *both], both, strict=False) if b[0] > a[1]]
            self._report.duplicates += stored - distinct
            self._report.lost += lost
            self._report.devices[ids.encode_id(ids.DEVICE, device)] = {
                "readings": distinct,
                "lost": lost,
                "sequences": [[first, end - first] for first, end in logged],
                "missing": holes,
            }
