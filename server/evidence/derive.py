"""What follows from log entries: statement index with rollups, chains, losses, findings. One function for the live log and for fsck.

In: entries in log order and a database that holds what follows from those before them. Out: rows for the derived tables. Never reads a
clock, never decides whether a statement is let in.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiosqlite
import cbor2

from server.store.sqlite import fetch, insert
from shared import cbor
from shared.statement import COUNT_MAX
from shared.types import ChannelTable, Statement

from . import findings
from .chain import Chain, Tail, apply_statement, check_room, decode_chain, encode_chain
from .logged import LoggedRow, fetch_of, known_identities, write_logged
from .span import Span

DERIVED_TABLES = ("statements", "chains", "lost", "findings")
INT64_MAX = (1 << 63) - 1
_COLUMNS = ", ".join(LoggedRow._fields)


@dataclass(frozen=True, slots=True)
class Entry:
    """A statement that was let in, with what it was judged against. `device_value`: the ledger's, when it was let in."""

    identity: bytes
    kid: bytes
    statement: Statement
    span: Span | None
    received_s: int
    device_value: Any
    table: ChannelTable | None


@dataclass(slots=True)
class Derived:
    """Rows that some entries add to the derived tables, and the chains they changed."""

    statements: list[LoggedRow] = field(default_factory=list)
    lost: list[tuple[Any, ...]] = field(default_factory=list)
    findings: list[tuple[Any, ...]] = field(default_factory=list)
    chains: dict[bytes, Chain] = field(default_factory=dict)


class Deriver:
    """Works through one round of entries over a database that knows everything before them."""

    def __init__(self, conn: aiosqlite.Connection, known: dict[bytes, Chain] | None = None) -> None:
        """`known`: chains as they are committed; those that are taken may change, and are not left there."""
        self._conn = conn
        self._known = {} if known is None else known
        self._stored: dict[bytes, bytes] = {}
        self.derived = Derived()

    async def load(self, devices: Iterable[bytes]) -> None:
        """Reads in one go what `chain` will be asked for."""
        missing = {device for device in devices if device not in self._known}
        rows = await fetch_of(self._conn, "SELECT device, state FROM chains WHERE device", sorted(missing))
        self._stored = {row[0]: row[1] for row in rows}
        self._known.update((device, Chain()) for device in missing if device not in self._stored)

    async def add(self, index: int, entry: Entry) -> None:
        """Derives from one entry. Raises Unavailable 420, having changed nothing, if its device has too many holes already."""
        statement, identity = entry.statement, entry.identity
        chain = await self.chain(statement.device)
        check_room(chain, statement)
        first, last = _range(statement)
        touched = statement.kind == "readings" and chain.touches(first, last + 1)
        overlaps = await self._overlaps(statement.device, first, last) if touched else []
        earlier, later = await self._neighbours(chain, statement) if statement.kind == "readings" else (None, None)
        logged = await self._logged([item.identity for item in statement.lost or () if item.identity is not None])
        step = apply_statement(chain, statement, identity)
        context = findings.Context(entry.received_s, entry.device_value, entry.kid, entry.table, overlaps, logged, earlier, later)
        found = findings.judge(statement, entry.span, chain, step, touched, context)
        self._note(index, entry, found, chain)

    async def chain(self, device: bytes) -> Chain:
        """The device's chain after everything added so far."""
        chain = self.derived.chains.get(device) or self._known.pop(device, None)
        if chain is None:
            stored = self._stored.get(device)
            chain = await read_chain(self._conn, device) if stored is None else decode_chain(stored)
        self.derived.chains[device] = chain
        return chain

    def _note(self, index: int, entry: Entry, found: Iterable[findings.Finding], chain: Chain) -> None:
        s, span = entry.statement, entry.span
        of_readings: tuple[Any, ...] = (None, None, None, None)
        if span is not None:
            _note_tail(s, span, chain)
            of_readings = s.channel_table, span.last_s, cbor2.dumps(span.first), cbor2.dumps(span.last)
        first_seq, count = (s.first_seq, s.count) if s.kind == "readings" else (None, None)
        common = (index, entry.identity, s.device, entry.kid, s.kind, s.boot, s.channel, first_seq, count, s.start_s, s.clock)
        self.derived.statements.append(LoggedRow(*common, *of_readings))
        for place, item in enumerate(s.lost or ()):
            self.derived.lost.append((index, place, s.device, item.first_seq, min(item.count, INT64_MAX), item.identity, item.reason))
        for place, finding in enumerate(found):
            self.derived.findings.append((index, place, s.device, finding.kind, finding.detail))

    async def _overlaps(self, device: bytes, first: int, last: int) -> list[bytes]:
        """Identities of readings statements that hold one of the sequences, in log order."""
        query = "SELECT identity FROM statements WHERE device = ? AND first_seq BETWEEN ? AND ? AND last_seq >= ? ORDER BY log_index"
        rows = await fetch(self._conn, query, (device, max(first - COUNT_MAX, 0), last, first))
        here = [
            row.identity
            for row in self.derived.statements
            if row.device == device and row.first_seq is not None and row.first_seq <= last and row.first_seq + (row.readings or 0) > first
        ]
        return [row[0] for row in rows] + here

    async def _neighbours(self, chain: Chain, s: Statement) -> tuple[Tail | None, Tail | None]:
        """The channel's bundles before and after by sequence; the latter as its start."""
        tail = chain.tails.get(s.channel)
        if tail is None or tail.first_seq < s.first_seq:
            return tail, None
        before = await self._nearest(s, "first_seq < ? ORDER BY first_seq DESC", lambda seq: -seq if seq < s.first_seq else None)
        after = await self._nearest(s, "first_seq > ? ORDER BY first_seq", lambda seq: seq if seq > s.first_seq else None)
        tail_before = _tail_of(before, before.last_s, before.last_registers) if before else None
        return tail_before, (_tail_of(after, after.start_s, after.first_registers) if after else None)

    async def _nearest(self, s: Statement, order: str, rank: Any) -> Any:
        """The row of readings on the channel that comes first in that order, None if there is none."""
        query = f"SELECT {_COLUMNS} FROM statements WHERE device = ? AND channel = ? AND {order}, log_index LIMIT 1"  # noqa: S608
        rows = [LoggedRow(*row) for row in await fetch(self._conn, query, (s.device, s.channel, s.first_seq))]
        rows += [
            row
            for row in self.derived.statements
            if row.device == s.device and row.channel == s.channel and row.first_seq is not None and rank(row.first_seq) is not None
        ]
        return min(rows, key=lambda row: (rank(row.first_seq), row.log_index), default=None)

    async def _logged(self, identities: Sequence[bytes]) -> list[bytes]:
        """Those of the identities that are in the log, in the order asked."""
        if not identities:
            return []
        known = await known_identities(self._conn, identities)
        known.update(row.identity for row in self.derived.statements)
        return [identity for identity in identities if identity in known]


def _range(statement: Statement) -> tuple[int, int]:
    if statement.kind != "readings":
        return 0, -1
    return statement.first_seq, statement.first_seq + statement.count - 1


def _note_tail(s: Statement, span: Span, chain: Chain) -> None:
    tail = chain.tails.get(s.channel)
    if tail is None or tail.first_seq < s.first_seq:
        chain.tails[s.channel] = Tail(s.first_seq, s.boot, s.clock, span.last_s, s.channel_table, tuple(span.last))


def _tail_of(row: Any, time_s: int, registers: bytes) -> Tail:
    values: Any = cbor.decode(registers)
    return Tail(row.first_seq, row.boot, row.clock, time_s, row.channel_table, tuple(values))


async def read_chain(conn: aiosqlite.Connection, device: bytes) -> Chain:
    """The committed chain of a device; an empty one before its first statement."""
    for row in await fetch(conn, "SELECT state FROM chains WHERE device = ?", (device,)):
        return decode_chain(row[0])
    return Chain()


async def write_derived(conn: aiosqlite.Connection, derived: Derived) -> None:
    """Adds the rows; part of the transaction that moves the head."""
    await write_logged(conn, derived.statements)
    await insert(conn, "lost", derived.lost)
    await insert(conn, "findings", derived.findings)
    chains = [(device, min(c.next_seq, INT64_MAX), c.head_identity, encode_chain(c)) for device, c in derived.chains.items()]
    if chains:
        await conn.executemany("INSERT OR REPLACE INTO chains VALUES (?, ?, ?, ?)", chains)
