"""HOME/registry.sqlite: challenges, evidence with verdicts, access tokens already used.

In: checked values. Out: the same, durably. Never grows without bound: every table has a named maximum.
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import aiosqlite

from server.store.sqlite import Writer, fetch, open_database, open_reader
from shared.errors import RuleError, Unavailable

if TYPE_CHECKING:
    from .attestation import Verdict

STRANGERS_MAX = 1024  # challenges to devices that are not enrolled; enrolled ones have one each whatever strangers do
PENDING_MAX = 256
PENDING_PER_DEVICE_MAX = 4
PENDING_LIFE_S = 7 * 86400
KEPT_PER_DEVICE_MAX = 256
REFUSED_PER_DEVICE_MAX = 16
ACCESS_MAX = 100_000
LIST_MAX = 1000
MIGRATIONS = Path(__file__).parent / "migrations"
_COLUMNS = "number, org, device, kid, boot, time_s, verdict, code, evidence_hash, evidence"


@dataclass(frozen=True)
class Attestation:
    """One row of evidence and what was decided about it."""

    number: int
    org: bytes
    device: bytes
    kid: bytes
    boot: int
    time_s: int
    verdict: str
    code: int
    evidence_hash: bytes
    evidence: bytes


class RegistryStore:
    """One writer and one reader connection."""

    def __init__(self, writer: Writer, reader: aiosqlite.Connection) -> None:
        self._writer = writer
        self._reader = reader

    async def challenge(self, device: bytes, nonce: bytes, now_s: int, life_s: int, again_s: int, stranger: bool) -> tuple[bytes, int]:
        """Stores a new challenge for the device, or gives the unused one of a moment ago again. Raises Unavailable 420."""
        sent = await self.outstanding(device, unused=True)
        if sent is not None and 0 <= now_s - sent[1] <= again_s:
            return sent

        async def work(conn: aiosqlite.Connection) -> None:
            await conn.execute("DELETE FROM challenge WHERE time_s < ? OR time_s > ?", (now_s - life_s, now_s + life_s))
            strangers = "SELECT count(*) FROM challenge WHERE stranger AND device <> ?"
            if stranger and await _count(conn, strangers, (device,)) >= STRANGERS_MAX:
                raise Unavailable(420, "too many devices that nobody enrolled say hello at once")
            row = (device, nonce, now_s, stranger)
            await conn.execute("INSERT OR REPLACE INTO challenge (device, nonce, time_s, stranger) VALUES (?, ?, ?, ?)", row)

        await self._writer.run(work)
        return nonce, now_s

    async def outstanding(self, device: bytes, unused: bool = False) -> tuple[bytes, int] | None:
        """(nonce, time sent) of the device's last challenge."""
        for nonce, time_s, used in await fetch(self._reader, "SELECT nonce, time_s, used FROM challenge WHERE device = ?", (device,)):
            return None if unused and used else (nonce, time_s)
        return None

    async def use_challenge(self, device: bytes, nonce: bytes) -> bool:
        """True for the first who uses it."""

        async def work(conn: aiosqlite.Connection) -> bool:
            cursor = await conn.execute("UPDATE challenge SET used = 1 WHERE device = ? AND nonce = ? AND used = 0", (device, nonce))
            return cursor.rowcount == 1

        return await self._writer.run(work)

    async def record(self, org: bytes, verdict: "Verdict", evidence: bytes, now_s: int) -> None:
        """Keeps evidence. Raises Unavailable 420 when too many strangers wait already."""
        boot, digest = verdict.evidence.boot, sha256(evidence).digest()
        row = (org, verdict.device, verdict.kid, boot, now_s, verdict.verdict, verdict.code, digest, evidence)

        async def work(conn: aiosqlite.Connection) -> None:
            if verdict.verdict == "pending":
                await _make_place(conn, verdict.device, verdict.kid, now_s)
            await conn.execute(f"INSERT INTO attestation ({_COLUMNS[8:]}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)  # noqa: S608
            await _forget_old(conn, verdict.device)

        await self._writer.run(work)

    async def pending(self) -> list[Attestation]:
        """Evidence of devices that were not enrolled when it came, newest last."""
        return await self._read("verdict = 'pending' ORDER BY number LIMIT ?", (PENDING_MAX,))

    async def settle(self, device: bytes, enrolled_hash: bytes) -> None:
        """Once a device is enrolled: keeps the evidence that the ledger names for good, and drops what strangers sent in its name."""

        async def work(conn: aiosqlite.Connection) -> None:
            which = "device = ? AND verdict = 'pending' AND evidence_hash"
            await conn.execute(f"UPDATE attestation SET verdict = 'enrolled' WHERE {which} = ?", (device, enrolled_hash))  # noqa: S608
            await conn.execute(f"DELETE FROM attestation WHERE {which} <> ?", (device, enrolled_hash))  # noqa: S608

        await self._writer.run(work)

    async def of_device(self, device: bytes, limit: int = KEPT_PER_DEVICE_MAX) -> list[Attestation]:
        """Everything kept about one device, newest first."""
        return await self._read("device = ? ORDER BY number DESC LIMIT ?", (device, min(limit, LIST_MAX)))

    async def use_access(self, kid: bytes, random: bytes, expires_s: int, now_s: int) -> None:
        """Raises RuleError 350 if this token was used before, Unavailable 420 if too many are remembered."""

        async def work(conn: aiosqlite.Connection) -> None:
            # The mark rises to the last expiry forgotten and never falls: a clock that steps back must not open a used token again.
            forgotten = "SELECT max(expires_s) FROM access_used WHERE expires_s <= ?"
            await conn.execute(f"UPDATE access_mark SET expires_s = max(expires_s, coalesce(({forgotten}), 0))", (now_s,))  # noqa: S608
            await conn.execute("DELETE FROM access_used WHERE expires_s <= ?", (now_s,))
            if expires_s <= await _count(conn, "SELECT expires_s FROM access_mark", ()):
                raise RuleError(350, "tokens of that time are used up: this node's clock has been ahead of it")
            if await _count(conn, "SELECT count(*) FROM access_used", ()) >= ACCESS_MAX:
                raise Unavailable(420, "too many requests; try again in a minute")
            cursor = await conn.execute("INSERT OR IGNORE INTO access_used VALUES (?, ?, ?)", (kid, random, expires_s))
            if cursor.rowcount != 1:
                raise RuleError(350, "the token was used already")

        await self._writer.run(work)

    async def _read(self, where: str, values: Iterable[object]) -> list[Attestation]:
        return [Attestation(*row) for row in await fetch(self._reader, f"SELECT {_COLUMNS} FROM attestation WHERE {where}", values)]  # noqa: S608


@asynccontextmanager
async def open_registry(path: Path) -> AsyncIterator[RegistryStore]:
    """The store in a file, closed at the end."""
    conn = await open_database(path, MIGRATIONS)
    try:
        reader = await open_reader(path)
        try:
            async with Writer(conn) as writer:
                yield RegistryStore(writer, reader)
        finally:
            await reader.close()
    finally:
        await conn.close()


async def _make_place(conn: aiosqlite.Connection, device: bytes, kid: bytes, now_s: int) -> None:
    """Pending evidence of a device and key replaces what they sent before; strangers beyond the limits are turned away."""
    await conn.execute("DELETE FROM attestation WHERE verdict = 'pending' AND time_s < ?", (now_s - PENDING_LIFE_S,))
    await conn.execute("DELETE FROM attestation WHERE verdict = 'pending' AND device = ? AND kid = ?", (device, kid))
    if await _count(conn, "SELECT count(*) FROM attestation WHERE verdict = 'pending' AND device = ?", (device,)) >= PENDING_PER_DEVICE_MAX:
        raise Unavailable(420, "too many keys claim to be this device")
    if await _count(conn, "SELECT count(*) FROM attestation WHERE verdict = 'pending'", ()) >= PENDING_MAX:
        raise Unavailable(420, "too many devices wait for enrolment")


async def _forget_old(conn: aiosqlite.Connection, device: bytes) -> None:
    """Bounds each device's history; refusals apart: a stranger's cannot push out what was accepted. What enrolments rest on stays."""
    for verdicts, most in (("('refused')", REFUSED_PER_DEVICE_MAX), ("('accepted', 'flagged')", KEPT_PER_DEVICE_MAX)):
        chosen = f"SELECT number FROM attestation WHERE device = ? AND verdict IN {verdicts} ORDER BY number DESC LIMIT -1 OFFSET ?"  # noqa: S608
        await conn.execute(f"DELETE FROM attestation WHERE number IN ({chosen})", (device, most))  # noqa: S608


async def _count(conn: aiosqlite.Connection, query: str, values: Iterable[object]) -> int:
    async with conn.execute(query, tuple(values)) as cursor:
        row = await cursor.fetchone()
    return int(row[0]) if row else 0
