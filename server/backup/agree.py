"""Whether a restored home may sign again: what others have seen of its logs against what it holds (SPEC section 13).

In: checkpoints, acks and evidence files from outside the home. Out: the logs, or the error that says what is missing. Never takes a word
that this node has not signed, never lets a log go on from before the largest head that was shown.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from server.config import Config
from server.evidence.tiles import TileReader
from server.home import RESTORED, clear_restored, lock_home
from server.ledger.file import LedgerReader
from server.ledger.genesis import decode_genesis
from server.store.sqlite import read_only
from shared import cose, merkle, messages, note
from shared.errors import RuleError, VerifyError
from shared.types import Ack
from shared.verify.evidence import FILE_BYTES_MAX, decode_evidence_file

from .folders import read_plain
from .manifest import EVIDENCE, LEDGER, node_vkeys

_ACK_FIRST = 0xD2  # CBOR tag 18
_MAP_FIRST = range(0xA0, 0xC0)  # a CBOR map: an evidence file


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


def read_seen(source: str, data: bytes, vkeys: Iterable[note.Vkey]) -> Seen:
    """What a checkpoint, an ack or an evidence file (its ledger checkpoint) shows. Raises DecodeError 1xx, VerifyError 200, 201, 240."""
    vkeys = list(vkeys)
    if data[:1] and data[0] == _ACK_FIRST:
        return _read_ack(source, data, vkeys[0])
    if data[:1] and data[0] in _MAP_FIRST:
        data = decode_evidence_file(data).checkpoint
    checkpoint, signers = note.open_checkpoint(data, vkeys)
    if checkpoint.origin not in {vkey.name for vkey in signers}:
        raise VerifyError(240, f"{source}: the checkpoint of a log that is not this node's")
    return Seen(source, checkpoint.origin, checkpoint.size, checkpoint.root)


def _read_ack(source: str, data: bytes, vkey: note.Vkey) -> Seen:
    signed = cose.decode_sign1(data, (cose.CT_ACK,))
    cose.verify_sign1(signed, cose.encode_key_ed25519(vkey.raw))
    ack = messages.decode_ack(signed.payload)
    if ack.origin != vkey.name:
        raise VerifyError(240, f"{source}: the ack of another log")
    return Seen(source, ack.origin, ack.log_size, None, ack)


def check_log(held: Held, seen: Iterable[Seen]) -> None:
    """The log must be whole up to the largest head shown, and somebody must hold exactly its end: a smaller head says nothing about what
    was signed later. Raises VerifyError 274 for a larger or another history, 273 if nobody holds its end."""
    heads = [head for head in seen if head.origin == held.origin]
    largest = max(heads, key=lambda head: head.size, default=None)
    if largest is not None and largest.size > held.size:
        missing = f"{largest.size - held.size} entries are missing here"
        text = f"{held.name}: {largest.source} shows that this node signed {largest.size}, this copy ends at {held.size}: {missing}"
        raise VerifyError(274, text)
    for head in heads:
        if head.root is not None and held.root_at(head.size) != head.root:
            raise VerifyError(274, f"{held.name}: {head.source} shows another history at size {head.size}: this node has signed two")
    if held.size and (largest is None or largest.size < held.size):
        shown = "no head of it was shown" if largest is None else f"the largest shown is {largest.size}, by {largest.source}"
        raise VerifyError(273, f"{held.name}: this copy ends at {held.size}, and {shown}: who holds its end, and nothing later?")


def agree(config: Config, heads: Iterable[Path]) -> tuple[Held, Held]:
    """Clears the mark of a restored home if the heads shown allow it. Raises what read_seen and check_log raise, RuleError 303."""
    with lock_home(config.home), contextlib.ExitStack() as stack:
        if not (config.home / RESTORED).exists():
            raise RuleError(303, f"{config.home} waits for nothing: it was not restored, or its heads are agreed already")
        genesis = decode_genesis(config.genesis_path.read_bytes())
        vkeys = node_vkeys(genesis, config.origin)
        seen = [read_seen(str(path), b"".join(read_plain(path, FILE_BYTES_MAX)), vkeys) for path in heads]
        evidence = stack.enter_context(contextlib.closing(read_only(config.home / EVIDENCE)))
        ledger = stack.enter_context(contextlib.closing(LedgerReader(config.home / LEDGER)))
        held = _held_evidence(config, evidence), _held_ledger(vkeys[1].name, ledger)
        for log in held:
            check_log(log, seen)
        for head in seen:
            _check_ack(head, evidence)
        clear_restored(config.home)
        return held


def _held_evidence(config: Config, conn: sqlite3.Connection) -> Held:
    (size,) = conn.execute("SELECT size FROM head").fetchone()
    return Held("evidence log", config.origin, size, TileReader(config.home / "evidence-log", size).root)


def _held_ledger(origin: str, reader: LedgerReader) -> Held:
    head = reader.head()
    return Held("ledger log", origin, 0 if head is None else head.log_size, lambda size: bytes(merkle.tree_root(size, reader.log_node)))


def _check_ack(head: Seen, conn: sqlite3.Connection) -> None:
    """What was acked must be in the log, below the size the ack names. Raises VerifyError 274."""
    if head.ack is None or head.ack.identity is None:
        return
    row = conn.execute("SELECT log_index FROM statements WHERE identity = ?", (head.ack.identity,)).fetchone()
    if row is None or row[0] >= head.size:
        raise VerifyError(274, f"evidence log: {head.source} acks a statement that is not in this log below {head.size}")
