"""Samples of what was not let in, with the reason, for people; capped by bytes and count.

In: topic, payload, error. Out: rows in evidence.sqlite; totals of what was put there. Never grows beyond its caps: the oldest goes first.
Never holds up the log, which has the same writer: of a flood it keeps some and counts all.
"""

import asyncio
from collections import Counter
from typing import Any

import aiosqlite

from server.evidence.rows import EvidenceStore
from server.store.sqlite import fetch
from shared.errors import MeterproofError, Unavailable

COUNT_MAX = 1000
BYTES_MAX = 8 * 1024 * 1024
SAMPLE_BYTES_MAX = 65535
TOPIC_CHARS_MAX = 256
WAITING_MAX = 32  # samples that wait to be written; those beyond are only counted
PAUSE_S = 0.25  # between two writes while a flood lasts


class Quarantine:
    """`counts`: how many messages ended here since the start, by error code; `dropped`: samples that made room;
    `skipped`: messages of which no sample was taken."""

    def __init__(self, store: EvidenceStore, count_max: int = COUNT_MAX, bytes_max: int = BYTES_MAX) -> None:
        self._store = store
        self._count_max = count_max
        self._bytes_max = bytes_max
        self.counts: Counter[int] = Counter()
        self.dropped = self.skipped = 0
        self._waiting: list[tuple[Any, ...]] = []
        self._writing = False

    async def put(self, topic: str, payload: bytes, error: MeterproofError, now_s: int) -> None:
        """Keeps a sample and makes room for it. While others wait to be written it returns before its own is. Raises Unavailable."""
        self.counts[error.code] += 1
        if len(self._waiting) >= WAITING_MAX:
            self.skipped += 1
            return
        body = payload[: min(SAMPLE_BYTES_MAX, self._bytes_max)]
        self._waiting.append((now_s, topic[:TOPIC_CHARS_MAX], error.code, error.text, len(payload), body))
        if not self._writing:
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        self._writing = True
        try:
            while self._waiting:
                rows, self._waiting = self._waiting, []
                await self._write(rows)
                if self._waiting:
                    await asyncio.sleep(PAUSE_S)
        finally:
            self._writing = False

    async def _write(self, rows: list[tuple[Any, ...]]) -> None:
        async def work(conn: aiosqlite.Connection) -> int:
            query = "INSERT INTO quarantine (received_s, topic, code, reason, bytes, body) VALUES (?, ?, ?, ?, ?, ?)"
            await conn.executemany(query, rows)
            return await self._make_room(conn)

        try:
            self.dropped += await self._store.writer.run(work)
        except Unavailable:
            self.skipped += len(rows)
            raise

    async def _make_room(self, conn: aiosqlite.Connection) -> int:
        """Removes the oldest beyond the caps; returns how many."""
        query = (
            "DELETE FROM quarantine WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER newest AS place,"
            " sum(length(body)) OVER newest AS held FROM quarantine WINDOW newest AS (ORDER BY id DESC)) WHERE place > ? OR held > ?)"
        )
        cursor = await conn.execute(query, (self._count_max, self._bytes_max))
        return cursor.rowcount

    async def list(self, limit: int = 100) -> list[dict[str, Any]]:
        """Newest first."""
        query = "SELECT id, received_s, topic, code, reason, bytes, body FROM quarantine ORDER BY id DESC LIMIT ?"
        names = ("id", "received_s", "topic", "code", "reason", "bytes", "body")
        return [dict(zip(names, row, strict=True)) for row in await fetch(self._store.reader, query, (limit,))]
