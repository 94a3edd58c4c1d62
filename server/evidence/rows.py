"""HOME/evidence.sqlite: the trusted head, rows as they came, channel tables, and look-ups in the derived tables.

In: a path. Out: one writer and one reader connection, typed reads. Never changes rows: they are added beyond the head, removed only if the
head never reached them.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiosqlite

from server.store.sqlite import Writer, fetch, open_database, open_reader, read_migrations
from shared import cbor, channel
from shared.errors import Unavailable, VerifyError
from shared.statement import COUNT_MAX

from .logged import INDEX_OF
from .packing import unpack_rows

MIGRATIONS = Path(__file__).parent / "migrations"
TABLES_MAX = 100_000
RANGE_MAX = 4096


@dataclass(frozen=True, slots=True)
class Head:
    """What this node signed last."""

    origin: str
    size: int
    root: bytes
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """What came beside a statement: `body` is the CBOR of its rows, packed or not; both None for the kinds without readings."""

    received_s: int
    height: int
    table_known: bool
    salt: bytes | None
    body: bytes | None

    def unpacked(self) -> bytes | None:
        """The CBOR of the rows. Raises DecodeError 122 if the blob was damaged."""
        return None if self.body is None else unpack_rows(self.body)

    def rows(self) -> Any:
        """The columns. Raises DecodeError 1xx if the blob was damaged."""
        body = self.unpacked()
        return None if body is None else cbor.decode(body)


class EvidenceStore:
    """Reads see what is committed; writes are jobs of the one writer."""

    def __init__(self, writer: Writer, reader: aiosqlite.Connection) -> None:
        self.writer = writer
        self.reader = reader

    async def head(self) -> Head | None:
        """The trusted row; None before the log was first opened."""
        for row in await fetch(self.reader, "SELECT origin, size, root, checkpoint FROM head"):
            return Head(*row)
        return None

    async def arrival(self, index: int) -> Arrival | None:
        """What came beside the statement at a log index."""
        return (await self.arrivals(index, index + 1)).get(index)

    async def arrivals(self, low: int, high: int) -> dict[int, Arrival]:
        """By log index low ≤ i < high, at most RANGE_MAX of them."""
        query = "SELECT log_index, received_s, height, table_known, salt, body FROM rows WHERE log_index >= ? AND log_index < ?"
        rows = await fetch(self.reader, query, (low, min(high, low + RANGE_MAX)))
        return {row[0]: Arrival(row[1], row[2], bool(row[3]), row[4], row[5]) for row in rows}

    async def channel_table(self, table_hash: bytes) -> bytes | None:
        """A channel table by its hash. Raises VerifyError 272 if the stored bytes were changed."""
        for row in await fetch(self.reader, "SELECT body FROM channel_tables WHERE hash = ?", (table_hash,)):
            if channel.table_hash(row[0]) != table_hash:
                raise VerifyError(272, "a stored channel table was changed")
            return bytes(row[0])
        return None

    async def keep_tables(self, tables: Sequence[bytes]) -> None:
        """Adds channel tables, at most TABLES_MAX in all: those of enrolled devices only should come here."""

        async def work(conn: aiosqlite.Connection) -> None:
            query = "INSERT OR IGNORE INTO channel_tables SELECT ?, ? WHERE (SELECT count(*) FROM channel_tables) < ?"
            await conn.executemany(query, [(channel.table_hash(data), data, TABLES_MAX) for data in tables])

        await self.writer.run(work)

    async def find_reading(self, device: bytes, seq: int) -> int | None:
        """Log index of the first readings statement that holds the sequence."""
        query = "SELECT min(log_index) FROM statements WHERE device = ? AND first_seq BETWEEN ? AND ? AND last_seq >= ?"
        for row in await fetch(self.reader, query, (device, max(seq - COUNT_MAX, 0), seq, seq)):
            return None if row[0] is None else int(row[0])
        return None

    async def index_of(self, identity: bytes) -> int | None:
        """Log index of a statement."""
        for row in await fetch(self.reader, INDEX_OF, (identity,)):
            return int(row[0])
        return None

    async def signers(self, low: int, high: int) -> dict[tuple[bytes, bytes], list[int]]:
        """(device, kid) → log indices of its statements with low ≤ index < high."""
        found: dict[tuple[bytes, bytes], list[int]] = {}
        query = "SELECT device, kid, log_index FROM statements WHERE log_index >= ? AND log_index < ? ORDER BY log_index"
        for device, kid, index in await fetch(self.reader, query, (low, high)):
            found.setdefault((device, kid), []).append(index)
        return found

    async def findings(
        self, kind: str | None = None, device: bytes | None = None, after: int = -1, limit: int = 1000
    ) -> list[dict[str, Any]]:
        """Findings in log order beyond index `after`."""
        where, values = ["log_index > ?"], [after]  # type: tuple[list[str], list[Any]]
        for column, value in (("kind", kind), ("device", device)):
            if value is not None:
                where.append(f"{column} = ?")
                values.append(value)
        query = f"SELECT log_index, device, kind, detail FROM findings WHERE {' AND '.join(where)} ORDER BY log_index, place LIMIT ?"  # noqa: S608
        rows = await fetch(self.reader, query, (*values, min(limit, RANGE_MAX)))
        return [{"log_index": row[0], "device": row[1], "kind": row[2], "detail": row[3]} for row in rows]


@asynccontextmanager
async def open_evidence_store(path: Path) -> AsyncIterator[EvidenceStore]:
    """The store in a file, closed at the end."""
    conn = await open_database(path, MIGRATIONS)
    try:
        reader = await open_reader(path)
        try:
            async with Writer(conn) as writer:
                yield EvidenceStore(writer, reader)
        finally:
            await reader.close()
    finally:
        await conn.close()


@asynccontextmanager
async def open_unchanged(path: Path) -> AsyncIterator[EvidenceStore | None]:
    """The store as it lies there, for reading only; None if it waits to be migrated. Raises Unavailable 400, also for a newer schema."""
    reader = await open_reader(path)
    try:
        version, newest = (await fetch(reader, "PRAGMA user_version"))[0][0], len(read_migrations(MIGRATIONS))
        if version > newest:
            raise Unavailable(400, f"the database has schema {version}, this program knows {newest}")
        async with Writer(reader) as writer:  # of a connection that can write nothing
            yield EvidenceStore(writer, reader) if version == newest else None
    finally:
        await reader.close()
