"""Whether a restored home may sign again: what others have seen of its logs against what it holds (SPEC section 13).

In: checkpoints, acks and evidence files from outside the home. Out: the logs, or the error that says what is missing. Never takes a word
that this node has not signed, never lets a log go on from before the largest head that was shown.
"""

import contextlib
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from server.config import Config
from server.home import RESTORED, clear_restored, lock_home
from server.ledger.genesis import decode_genesis
from server.store.sqlite import read_only
from shared import cose, messages, note
from shared.errors import RuleError, VerifyError
from shared.verify.evidence import FILE_BYTES_MAX, decode_evidence_file

from .folders import read_plain
from .kept import read_kept
from .logs import Held, Seen, check_end_shown, check_not_beyond, open_held
from .manifest import EVIDENCE, node_vkeys

_ACK_FIRST = 0xD2  # CBOR tag 18
_MAP_FIRST = range(0xA0, 0xC0)  # a CBOR map: an evidence file


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


def agree(config: Config, heads: Iterable[Path]) -> tuple[Held, Held]:
    """Clears the mark of a restored home if the heads shown, and those kept elsewhere, allow it. Raises what read_seen raises, VerifyError
    273, 274, RuleError 303."""
    with lock_home(config.home):
        if not (config.home / RESTORED).exists():
            raise RuleError(303, f"{config.home} waits for nothing: it was not restored, or its heads are agreed already")
        vkeys = node_vkeys(decode_genesis(config.genesis_path.read_bytes()), config.origin)
        seen = [read_seen(str(path), b"".join(read_plain(path, FILE_BYTES_MAX)), vkeys) for path in heads]
        seen += read_kept(config, vkeys)
        with open_held(config, vkeys[1].name) as held, contextlib.closing(read_only(config.home / EVIDENCE)) as evidence:
            for log in held:
                check_not_beyond(log, seen)
                check_end_shown(log, seen)
            for head in seen:
                _check_ack(head, evidence)
        clear_restored(config.home)
        return held


def _check_ack(head: Seen, conn: sqlite3.Connection) -> None:
    """What was acked must be in the log, below the size the ack names. Raises VerifyError 274."""
    if head.ack is None or head.ack.identity is None:
        return
    # By the name that every schema knows: a restored copy may be of an earlier version, and is migrated only when it is served.
    row = conn.execute("SELECT log_index FROM statements WHERE identity = ?", (head.ack.identity,)).fetchone()
    if row is None or row[0] >= head.size:
        raise VerifyError(274, f"evidence log: {head.source} acks a statement that is not in this log below {head.size}")
