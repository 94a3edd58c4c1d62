"""Envelopes (SPEC 4), made when they are published. Forgotten meanwhile: code is memory.

In: the journal, the identity of a statement. Out: bytes. Raises Unavailable 421 when the statement or its readings are gone.
"""

from shared import bundle


def build_envelope(journal: object, identity: bytes) -> bytes:
    statement = journal.statement(identity)
    meta = journal.meta(journal.index[journal.find(identity)])
    if meta.kind != "readings":
        return bundle.encode_envelope(statement, None, None)
    return bundle.encode_envelope(statement, meta.salt, journal.readings(meta.first_seq, meta.count))
