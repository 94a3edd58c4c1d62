"""Makes one statement, up to its signature. Loaded when one is due and forgotten before it is signed: code is memory.

In: a Sealer, what is to be sealed. Out: a Draft: what to sign, what comes before the signature, what the journal wants to know. Signs
nothing.
"""

import os
from collections import namedtuple

from edge import clock as clocks
from shared import bundle, cose
from shared.errors import DecodeError, Unavailable
from shared.statement import content_type_of, encode_statement
from shared.types import Repair, Statement

SALT_BYTES = 16


Draft = namedtuple("Draft", ("kind", "message", "head", "salt", "first_seq", "count", "counter"))
"""`message` is signed; `head` and the signature are the statement; `first_seq` and `count` as `Journal.seal` takes them; `counter` goes
up."""


def draft_readings(sealer: object, group: object, count_max: int) -> Draft | None:
    """None when the flash has lost them: they are given up."""
    journal, context, first_seq = sealer.journal, group.context, group.first_seq
    try:
        readings = journal.readings(first_seq, min(group.count, count_max))
    except Unavailable:
        sealer.health.count("unreadable")
        journal.give_up(group)
        return None
    count, start_s = len(readings), readings[0].time_s
    salt = os.urandom(SALT_BYTES)
    root = bundle.readings_root(salt, readings)
    statement = Statement(
        "readings", sealer.build.device, context.boot, journal.tip_identity, context.firmware, context.tier,
        context.channel, first_seq, count, start_s, context.clock, context.table, root, None, None,
    )  # fmt: skip
    return draft(sealer, statement, salt, first_seq, count, "bundles")


def draft_gap(sealer: object) -> Draft:
    lost, number = sealer.journal.losses.for_gap()
    return draft(sealer, chain_statement(sealer, "gap", lost, None), None, number, 0, "gaps")


def draft_repair(sealer: object, sync: clocks.Sync) -> Draft:
    repair = Repair(sealer.journal.boot, sync.uptime_s, sync.utc_s, sync.quality)
    return draft(sealer, chain_statement(sealer, "time-repair", None, repair), None, 0, 0, "time_repairs")


def chain_statement(sealer: object, kind: str, lost: list | None, repair: Repair | None) -> Statement:
    build, journal = sealer.build, sealer.journal
    return Statement(kind, build.device, journal.boot, journal.tip_identity, build.firmware, build.tier, *[None] * 7, lost, repair)


def draft(sealer: object, statement: Statement, salt: bytes | None, first_seq: int, count: int, counter: str) -> Draft:
    protected = cose.build_protected(sealer.signer.alg, content_type_of(statement.kind), sealer.signer.kid)
    payload = encode_statement(statement)
    head = cose.assemble_sign1(protected, payload, bytes(64))[:-64]
    return Draft(statement.kind, cose.sig_structure(protected, payload), head, salt, first_seq, count, counter)


def is_whole(journal: object, identity: bytes) -> bool:
    """Whether the rows on the flash still rebuild the root that was signed (no other 32 bytes of a statement are that by accident)."""
    position = journal.find(identity)
    if position < 0:
        return False
    meta = journal.meta(journal.index[position])
    if meta.kind != "readings":
        return False
    try:
        return bundle.readings_root(meta.salt, journal.readings(meta.first_seq, meta.count)) in journal.statement(identity)
    except (Unavailable, DecodeError):
        return False
