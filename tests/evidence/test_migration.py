"""A store of the first schema becomes one of the newest, with all it held."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from server.evidence.rows import MIGRATIONS, open_evidence_store
from server.store.sqlite import read_migrations
from shared import cbor

DEVICE, KID, TABLE = b"\x01" + bytes(16), bytes(range(16)), bytes([7]) * 32
FIRST, GAP = bytes([1]) * 32, bytes([2]) * 32


def make_first_schema(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as conn:
        conn.executescript(read_migrations(MIGRATIONS)[0] + ";PRAGMA user_version = 1")
        statements = [
            (0, FIRST, DEVICE, KID, "readings", None, 1, 0, 0, 59, 1000, 2),
            (1, GAP, DEVICE, KID, "gap", FIRST, 1, None, None, None, None, None),
        ]
        conn.executemany("INSERT INTO statements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", statements)
        ends = (0, 60, 1000, 4540, 2, 1, TABLE, cbor.encode([5]), cbor.encode([9]))
        conn.execute("INSERT INTO rollups VALUES (0, ?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (DEVICE, *ends))
        conn.execute("INSERT INTO rows VALUES (0, 1, 1, 1, ?, ?)", (bytes(16), cbor.encode([60, [[5]], 0])))
        conn.commit()


def test_what_the_first_schema_held_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    make_first_schema(path)

    async def story() -> None:
        async with open_evidence_store(path) as store:
            assert [await store.index_of(identity) for identity in (FIRST, GAP, FIRST[:16] + GAP[:16])] == [0, 1, None]
            assert await store.find_reading(DEVICE, 59) == 0 and await store.find_reading(DEVICE, 60) is None
            assert await store.signers(0, 2) == {(DEVICE, KID): [0, 1]}
            arrival = await store.arrival(0)
            assert arrival is not None and arrival.rows() == [60, [[5]], 0]
            rows = [tuple(row) for row in await store.reader.execute_fetchall("SELECT * FROM statements ORDER BY log_index")]
            of_readings = (0, 0, 60, 59, 1000, 2, TABLE, 4540, cbor.encode([5]), cbor.encode([9]))
            assert rows == [(0, FIRST, DEVICE, KID, "readings", 1, *of_readings), (1, GAP, DEVICE, KID, "gap", 1, *[None] * 10)]

    asyncio.run(story())


def test_one_identity_is_never_twice_in_the_index(tmp_path: Path) -> None:
    path = tmp_path / "evidence.sqlite"
    make_first_schema(path)

    async def story() -> None:
        async with open_evidence_store(path):
            pass

    asyncio.run(story())
    with contextlib.closing(sqlite3.connect(path)) as conn, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        conn.execute("INSERT INTO logged SELECT 2, identity, device, kid, kind, boot, 0, 0, 1, 0, 0, 1, 0, x'', x'' FROM logged LIMIT 1")
