"""What a device signs and sends, and what a node answers: SPEC.md sections 3, 4, 6, 7 and the firmware hash of 8.

In: plain values and `Named` records. Out: CBOR. Never checks a rule: a vector may need to break one.
"""

from hashlib import sha256

from tests.independent import trees
from tests.independent.cbor_out import cbor
from tests.independent.values import Named, Raw

# name -> key of the statement map, for each kind
COMMON = {"device": 1, "boot": 2, "previous": 3, "firmware": 4, "tier": 5}
READINGS = {"channel": 6, "first_seq": 7, "count": 8, "start_s": 9, "clock": 10, "channel_table": 11, "root": 12}
STATEMENT_KEYS = {
    "readings": {**COMMON, **READINGS},
    "gap": {**COMMON, "lost": 13},
    "time-repair": {**COMMON, "repair": 14},
}
EVIDENCE_LABELS = {
    "nonce": 10,
    "device": 256,
    "hwmodel": 259,
    "uptime_s": 261,
    "dbgstat": 263,
    "boot": 267,
    "bootseed": 268,
    "swname": 270,
    "tier": -70000,
    "firmware": -70001,
    "interpreter": -70002,
    "channels": -70003,
}


def statement(record: Named) -> Named:
    """The record with every field there is; those of other kinds are None."""
    names = [*COMMON, *READINGS, "lost", "repair"]
    return Named("Statement", kind=record.fields["kind"], **{name: record.fields.get(name) for name in names})


def statement_fields(record: Named) -> dict[int, object]:
    """The statement as an integer-keyed map, its lists plain."""
    fields = {key: record.fields[name] for name, key in STATEMENT_KEYS[record.fields["kind"]].items()}
    if 13 in fields:
        fields[13] = [plain(lost) for lost in fields[13]]
    if 14 in fields:
        fields[14] = plain(fields[14])
    return fields


def plain(record: Named) -> list[object]:
    """A record as the list of its fields."""
    return list(record.fields.values())


def statement_payload(record: Named) -> bytes:
    return cbor(statement_fields(record))


def channel_table_fields(table: Named) -> dict[int, object]:
    make, model, serial, firmware, registers = plain(table)
    return {1: make, 2: model, 3: serial, 4: firmware, 5: [plain(register) for register in registers]}


def channel_table(table: Named) -> bytes:
    return cbor(channel_table_fields(table))


def reading_salt(bundle_salt: bytes, place: int) -> bytes:
    return sha256(bundle_salt + bytes([place // 256, place % 256])).digest()[:16]


def reading_leaf(salt: bytes, reading: Named) -> bytes:
    return cbor([salt, *plain(reading)])


def leaves(bundle_salt: bytes, readings: list[Named]) -> list[bytes]:
    return [reading_leaf(reading_salt(bundle_salt, i), reading) for i, reading in enumerate(readings)]


def leaf_hashes(bundle_salt: bytes, readings: list[Named]) -> list[bytes]:
    return [trees.leaf(entry) for entry in leaves(bundle_salt, readings)]


def readings_root(bundle_salt: bytes, readings: list[Named]) -> bytes:
    return trees.root(leaf_hashes(bundle_salt, readings))


def column(values: list[object]) -> object:
    """The list, or the one value that all of them are."""
    if values and all(value == values[0] for value in values):
        return values[0]
    return values


def deltas(values: list[int | None]) -> list[int | None]:
    """The first value that is not null as it is, later ones as the change to the last that was not null."""
    out: list[int | None] = []
    last = 0
    for value in values:
        out.append(None if value is None else value - last)
        last = last if value is None else value
    return out


def rows(readings: list[Named]) -> list[object]:
    times = [reading.fields["time_s"] for reading in readings]
    registers = zip(*(reading.fields["registers"] for reading in readings), strict=True)
    return [
        column([after - before for before, after in zip(times, times[1:], strict=False)]),
        [column(deltas(list(register))) for register in registers],
        column([reading.fields["status"] for reading in readings]),
    ]


def envelope(statement_bytes: bytes, bundle_salt: bytes | None, readings: list[Named] | None) -> bytes:
    return cbor([statement_bytes, bundle_salt, None if readings is None else rows(readings)])


def ack_fields(ack: Named) -> dict[int, object]:
    return dict(enumerate(plain(ack), 1))


def evidence_fields(evidence: Named) -> dict[int, object]:
    """EAT claims."""
    fields: dict[int, object] = {label: evidence.fields[name] for name, label in EVIDENCE_LABELS.items()}
    fields[8] = {1: Raw(evidence.fields["cose_key"])}
    fields[271] = [evidence.fields["swversion"]]
    return fields


def firmware_hash(files: list[tuple[str, bytes]]) -> bytes:
    """Over (path, SHA-256 of the file) of every file of an image."""
    ordered = sorted(files, key=lambda entry: entry[0].encode())
    return sha256(cbor([[path, digest] for path, digest in ordered])).digest()
