"""One instant of a home's three stores, also while the backend writes to them.

In: a home. Out: heads of both logs and whole copies of the databases, all of the same instant. Never holds up the backend: readers of a
write-ahead log see their own moment while writing goes on.

One instant, because each leans on the other: a batch on the ledger names statements that the evidence log must hold, and a statement's row
names the ledger's height at which its device was let in.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from server.evidence.rows import Head
from server.ledger.file import LedgerReader
from server.store.sqlite import read_only
from shared.errors import RuleError, Unavailable, VerifyError

from .manifest import EVIDENCE, LEDGER, REGISTRY

TRIES_MAX = 200
PAGES = 4096
_EVIDENCE_HEAD = "SELECT origin, size, root, checkpoint FROM head"
_LEDGER_HEAD = "SELECT height, log_size, app_hash, genesis, checkpoint FROM head"


class Instant:
    """What the stores held at one moment; good while the context that made it is open."""

    def __init__(self, stores: dict[str, sqlite3.Connection]) -> None:
        self._stores = stores
        evidence = _one(stores[EVIDENCE], _EVIDENCE_HEAD)
        ledger = _one(stores[LEDGER], _LEDGER_HEAD)
        if evidence is None or ledger is None:
            raise RuleError(303, "this home was never served: there is nothing to back up")
        self.evidence = Head(*evidence)
        self.height: int = ledger[0]
        self.ledger_size: int = ledger[1]
        self.app_hash: bytes = ledger[2]
        self.genesis: bytes = ledger[3]
        self.ledger_checkpoint: bytes | None = ledger[4]

    def copy(self, name: str, path: Path) -> None:
        """The whole database of that instant as one file without a journal beside it."""
        path.touch(0o600, exist_ok=False)
        target = sqlite3.connect(path, isolation_level=None)
        try:
            target.execute("PRAGMA synchronous = OFF")  # made durable as a whole afterwards
            self._stores[name].backup(target, pages=PAGES)
            target.execute("PRAGMA journal_mode = DELETE")
        finally:
            target.close()


@contextlib.contextmanager
def open_instant(home: Path) -> Iterator[Instant]:
    """Raises RuleError 303 if the home was never served, Unavailable 400 if its stores do not hold still for a moment."""
    with contextlib.ExitStack() as stack:
        for name in (LEDGER, EVIDENCE, REGISTRY):
            if not (home / name).is_file():
                raise RuleError(303, f"{home} holds no {name}: it was never served, so there is nothing to back up")
        stores = {name: stack.enter_context(contextlib.closing(read_only(home / name))) for name in (LEDGER, EVIDENCE, REGISTRY)}
        watch = {name: stack.enter_context(contextlib.closing(read_only(home / name))) for name in (LEDGER, EVIDENCE)}
        yield _stand_still(stores, watch)


def _stand_still(stores: dict[str, sqlite3.Connection], watch: dict[str, sqlite3.Connection]) -> Instant:
    """Opens the three moments one after the other; they are one if no head has moved meanwhile."""
    for _ in range(TRIES_MAX):
        for conn in stores.values():
            conn.execute("BEGIN")
            conn.execute("SELECT count(*) FROM sqlite_master").fetchone()  # a moment begins with its first read
        now = (_one(watch[EVIDENCE], _EVIDENCE_HEAD), _one(watch[LEDGER], _LEDGER_HEAD))
        if now == (_one(stores[EVIDENCE], _EVIDENCE_HEAD), _one(stores[LEDGER], _LEDGER_HEAD)):
            return Instant(stores)
        for conn in stores.values():
            conn.execute("COMMIT")
    raise Unavailable(400, "the stores change faster than they can be looked at; try again")


def _one(conn: sqlite3.Connection, query: str) -> tuple[Any, ...] | None:
    row: tuple[Any, ...] | None = conn.execute(query).fetchone()
    return row


def check_stores(folder: Path, evidence: Head, height: int, ledger_checkpoint: bytes | None) -> None:
    """Copies must say what the manifest says. Raises VerifyError 275."""
    with contextlib.closing(read_only(folder / EVIDENCE)) as conn:
        found = _one(conn, _EVIDENCE_HEAD)
    ledger = LedgerReader(folder / LEDGER)
    try:
        head, checkpoint = ledger.head(), ledger.checkpoint()
    finally:
        ledger.close()
    said = (evidence.origin, evidence.size, evidence.root, evidence.checkpoint)
    if found != said or head is None or (head.height, checkpoint) != (height, ledger_checkpoint):
        raise VerifyError(275, "the databases do not stand where the manifest says")
