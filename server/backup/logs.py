"""The two logs of a home that does not run, against heads that its node is known to have signed.

In: a home, signed heads. Out: nothing, or the error that says which history is missing or which two there are. Never changes anything.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from server.config import Config
from server.evidence.tiles import TileReader
from server.ledger.file import LedgerReader
from server.store.sqlite import read_only
from shared import merkle
from shared.errors import VerifyError
from shared.types import Ack

from .manifest import EVIDENCE, LEDGER


@dataclass(frozen=True, slots=True)
class Seen:
    """That this node once signed its log `origin` at `size`; `root` is None where an ack says so."""

    source: str
    origin: str
    size: int
    root: bytes | None
    ack: Ack | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """A log as the home holds it; `root_at` of any size up to its own."""

    name: str
    origin: str
    size: int
    root_at: Callable[[int], bytes]


@contextlib.contextmanager
def open_held(config: Config, ledger_origin: str) -> Iterator[tuple[Held, Held]]:
    """Evidence log and ledger log; empty where there is no store yet."""
    with contextlib.ExitStack() as stack:
        evidence, ledger = config.home / EVIDENCE, config.home / LEDGER
        yield (
            _evidence(config) if evidence.is_file() else Held("evidence log", config.origin, 0, _root_of_nothing),
            _ledger(ledger_origin, stack.enter_context(contextlib.closing(LedgerReader(ledger))))
            if ledger.is_file()
            else Held("ledger log", ledger_origin, 0, _root_of_nothing),
        )


def _root_of_nothing(_: int) -> bytes:
    return merkle.EMPTY_ROOT


def _evidence(config: Config) -> Held:
    with contextlib.closing(read_only(config.home / EVIDENCE)) as conn:
        row = conn.execute("SELECT size FROM head").fetchone()
    size = 0 if row is None else row[0]
    return Held("evidence log", config.origin, size, TileReader(config.home / "evidence-log", size).root)


def _ledger(origin: str, reader: LedgerReader) -> Held:
    head = reader.head()
    return Held("ledger log", origin, 0 if head is None else head.log_size, lambda size: bytes(merkle.tree_root(size, reader.log_node)))


def check_not_beyond(held: Held, seen: Iterable[Seen]) -> None:
    """The log must be whole up to the largest head shown, and of one history with all. Raises VerifyError 274."""
    heads = [head for head in seen if head.origin == held.origin]
    largest = max(heads, key=lambda head: head.size, default=None)
    if largest is not None and largest.size > held.size:
        missing = f"{largest.size - held.size} entries are missing here"
        text = f"{held.name}: {largest.source} shows that this node signed {largest.size}, this copy ends at {held.size}: {missing}"
        raise VerifyError(274, text)
    for head in heads:
        if head.root is not None and held.root_at(head.size) != head.root:
            raise VerifyError(274, f"{held.name}: {head.source} shows another history at size {head.size}: this node has signed two")


def check_end_shown(held: Held, seen: Iterable[Seen]) -> None:
    """Somebody must hold exactly the log's end: a smaller head says nothing about what was signed later. Raises VerifyError 273."""
    largest = max((head for head in seen if head.origin == held.origin), key=lambda head: head.size, default=None)
    if held.size and (largest is None or largest.size < held.size):
        shown = "no head of it was shown" if largest is None else f"the largest shown is {largest.size}, by {largest.source}"
        raise VerifyError(273, f"{held.name}: this copy ends at {held.size}, and {shown}: who holds its end, and nothing later?")
