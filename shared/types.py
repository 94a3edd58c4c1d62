"""The records of SPEC.md as named tuples, shared by device, backend and verifier.

In and out: plain values in named fields; the module that encodes a record also checks it. Never any behaviour. Lists inside are lists,
so that a decoded record equals the one that was encoded.
"""

from collections import namedtuple

Reading = namedtuple("Reading", ("seq", "time_s", "registers", "status"))
"""registers: list of integers or None; status 0 ok, 1 no data, 2 true zero, 3 meter error, 4 estimated, 5 clock unsynced."""

Lost = namedtuple("Lost", ("first_seq", "count", "identity", "reason"))
"""identity None where the lost bundle had not been sealed; reason 1 journal full, 2 flash damaged, 3 skipped after damage."""

Repair = namedtuple("Repair", ("boot", "uptime_s", "utc_s", "clock"))

Statement = namedtuple(
    "Statement",
    (
        "kind",
        "device",
        "boot",
        "previous",
        "firmware",
        "tier",
        "channel",
        "first_seq",
        "count",
        "start_s",
        "clock",
        "channel_table",
        "root",
        "lost",
        "repair",
    ),
)
"""kind "readings", "gap" or "time-repair"; item n is key n of the payload; fields of the other kinds are None."""

Register = namedtuple("Register", ("obis", "direction", "unit", "exponent", "kind"))

ChannelTable = namedtuple("ChannelTable", ("make", "model", "serial", "firmware", "registers"))

Envelope = namedtuple("Envelope", ("statement", "salt", "rows"))
"""statement: its bytes; salt and rows (the decoded columns) are None for the kinds without readings."""

Ack = namedtuple("Ack", ("origin", "device", "next_seq", "identity", "missing", "log_size"))
"""missing: list of (first_seq, count)."""

Refusal = namedtuple("Refusal", ("origin", "device", "identity", "code", "text"))

Challenge = namedtuple("Challenge", ("origin", "device", "nonce", "time_s"))

Evidence = namedtuple(
    "Evidence",
    (
        "cose_key",
        "nonce",
        "device",
        "hwmodel",
        "uptime_s",
        "dbgstat",
        "boot",
        "bootseed",
        "swname",
        "swversion",
        "tier",
        "firmware",
        "interpreter",
        "channels",
    ),
)
"""cose_key: encoded COSE_Key; channels: {channel: bytes of its channel table}."""
