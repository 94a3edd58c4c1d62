"""The index of what is logged: one row a statement, in which the byte strings that come again and again stand once, by number.

In: rows as the log gives them, identities. Out: the tables `names` and `logged`, of which the view `statements` makes the rows again.
Never decides what is logged.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import aiosqlite

from server.store.sqlite import fetch, insert

KINDS = {"readings": 0, "gap": 1, "time-repair": 2}
KEYS_MAX = 500  # of one query
_PREFIX_BYTES = 16  # of an identity are indexed
INDEX_OF = "SELECT log_index FROM logged WHERE substr(identity, 1, 16) = substr(?1, 1, 16) AND identity = ?1"


class LoggedRow(NamedTuple):
    """One statement. From `channel` on: of readings only, `readings` of them. Registers are CBOR."""

    log_index: int
    identity: bytes
    device: bytes
    kid: bytes
    kind: str
    boot: int
    channel: int | None
    first_seq: int | None
    readings: int | None
    start_s: int | None
    clock: int | None
    channel_table: bytes | None
    last_s: int | None
    first_registers: bytes | None
    last_registers: bytes | None


async def write_logged(conn: aiosqlite.Connection, rows: Sequence[LoggedRow]) -> None:
    """Adds rows, and the names that are new in them."""
    ids = await _name_ids(conn, list(dict.fromkeys(name for row in rows for name in (row[2], row[3], row[11]) if name is not None)))
    numbered = [
        (*row[:2], ids[row.device], ids[row.kid], KINDS[row.kind], *row[5:11], ids.get(row.channel_table), *row[12:]) for row in rows
    ]
    await insert(conn, "logged", numbered)


async def _name_ids(conn: aiosqlite.Connection, names: list[bytes]) -> dict[bytes | None, int]:
    ids = await _known_ids(conn, names)
    missing = [name for name in names if name not in ids]
    if missing:
        await conn.executemany("INSERT INTO names (name) VALUES (?)", [(name,) for name in missing])
        ids.update(await _known_ids(conn, missing))
    return ids


async def _known_ids(conn: aiosqlite.Connection, names: list[bytes]) -> dict[bytes | None, int]:
    return {row[1]: row[0] for row in await fetch_of(conn, "SELECT id, name FROM names WHERE name", names)}


async def known_identities(conn: aiosqlite.Connection, identities: Sequence[bytes]) -> set[bytes]:
    """Which of the identities are logged."""
    query = f"SELECT identity FROM logged WHERE substr(identity, 1, {_PREFIX_BYTES})"  # noqa: S608
    found = {row[0] for row in await fetch_of(conn, query, [identity[:_PREFIX_BYTES] for identity in identities])}
    return found.intersection(identities)


async def fetch_of(conn: aiosqlite.Connection, query: str, keys: Sequence[bytes]) -> list[Sequence[Any]]:
    """Rows of a query that ends in a column, for these values of it."""
    found = []
    for start in range(0, len(keys), KEYS_MAX):
        part = keys[start : start + KEYS_MAX]
        found += await fetch(conn, f"{query} IN ({','.join('?' * len(part))})", part)
    return found
