"""How the journal's records look on the flash: framing, checks, compact readings and statements.

In: readings and statements. Out: the bytes of one record, and back. Pure: knows no flash and no order of records.

Erased flash is ones, so no record begins or ends with 0xff: a write cut at any byte leaves its last byte erased, and is told apart from
damage. Frames:

    short   0b0RLLLLLL              body of L bytes                  crc16      a reading; R: same time step and status as the one before
    long    0b10000KKK  length u16  flags  body of length bytes      crc16      everything else; flags are outside the check: bits are
    cleared later

Errors: a frame that does not check is not raised but reported as TORN or DAMAGED; the journal decides.
"""

import binascii
from collections import namedtuple

HEADER_BYTES = 72
MAGIC = b"\x4d\x50\x01"  # ends in the format's version
RETIRED = b"\x00\x00\x00"  # written over the magic before an erase, so that half an erased sector never looks alive

# Kinds of record; 0 and 1 are the short frames.
READING = 0
CONTEXT = 2
STATEMENT = 3
LOST = 4
BOOT = 5
LONG_READING = 6
# What may stand where a record is looked for.
BLANK = 16
TORN = 17
DAMAGED = 18

FLAGS_FREE = 0xFF
# Two bits each, both to be cleared: one bit that changes by itself lets no statement vanish.
FREED = 0x03  # acked
ASIDE = 0x0C  # refused by the node
DROPPED = 0x30  # named lost

LONG_OVERHEAD_BYTES = 6
SHORT_BODY_MAX_BYTES = 63
SMALLEST_READING_BYTES = 4

STATEMENT_META_BYTES = 63
IDENTITY_AT = 31
STATEMENT_KINDS = ("readings", "gap", "time-repair")
COPY = 0x80  # pack: an operation byte; below it a literal of that many bytes follows
COPY_BYTES_MIN = 12
COPY_BYTES_MAX = 255
LITERAL_BYTES_MAX = 127

_ONES = b"\xff" * 128

SectorHeader = namedtuple("SectorHeader", ("serial", "boot", "next_seq", "sealed_end", "statements", "losses_named", "tip"))
"""State when the sector was opened: serial of the sector, boot counter, next sequence, end of what is sealed or lost, statements so far,
losses already named by a gap statement, identity of the last statement (None before any)."""

Context = namedtuple("Context", ("boot", "channel", "clock", "tier", "registers", "table", "firmware"))
"""What all readings of a bundle share; `registers` is how many there are."""

StatementMeta = namedtuple("StatementMeta", ("ordinal", "kind", "first_seq", "count", "salt", "identity"))
"""`first_seq` of a gap statement is the number of losses named up to it; salt None but for readings."""

LostRecord = namedtuple("LostRecord", ("number", "first_seq", "count", "identity", "reason"))

Frame = namedtuple("Frame", ("kind", "same_step", "flags_at", "body", "end"))
"""A record found: kind (or BLANK, TORN, DAMAGED), flags_at offset of the flags byte (0 in a short frame), body bytes, end offset."""


def crc16(data: bytes, before: int = 0) -> bytes:
    """Over `data`; `before` is the CRC-32 of what stands before it."""
    value = binascii.crc32(data, before) & 0xFFFF
    if value & 0xFF == 0xFF:
        value ^= 1  # never ends erased
    return value.to_bytes(2, "big")


def crc32(data: bytes) -> bytes:
    value = binascii.crc32(data) & 0xFFFFFFFF
    if value & 0xFF == 0xFF:
        value ^= 1
    return value.to_bytes(4, "big")


def is_erased(data: bytes, start: int = 0) -> bool:
    """Whether all from `start` on is ones; piece by piece, for a copy of a sector may not find room in one piece."""
    view = memoryview(data)
    for i in range(start, len(data), len(_ONES)):
        part = view[i : i + len(_ONES)]
        if part != _ONES[: len(part)]:
            return False
    return True


# --- frames


def build_short(body: bytes, same_step: bool) -> bytes:
    """A reading of at most 63 bytes."""
    head = bytes([len(body) | (0x40 if same_step else 0)]) + body
    return head + crc16(head)


def build_long(kind: int, body: bytes) -> bytes:
    checked = bytes([0x80 | kind]) + len(body).to_bytes(2, "big") + body
    return checked[:3] + bytes([FLAGS_FREE]) + body + crc16(checked)


def read_frame(sector: bytearray, offset: int) -> Frame:
    """The record at `offset` of a sector's bytes, or what stands there instead."""
    if offset >= len(sector):
        return Frame(BLANK, False, 0, b"", offset)
    head = sector[offset]
    if head == FLAGS_FREE:
        return Frame(BLANK if is_erased(sector, offset) else DAMAGED, False, 0, b"", offset)
    if head < 0x80:
        end = offset + 1 + (head & 0x3F) + 2
        if end > len(sector):
            return Frame(DAMAGED, False, 0, b"", offset)
        if crc16(sector[offset : end - 2]) == sector[end - 2 : end]:
            return Frame(READING, bool(head & 0x40), 0, bytes(sector[offset + 1 : end - 2]), end)
        return _broken(sector, end, offset)
    if offset + LONG_OVERHEAD_BYTES > len(sector):
        return Frame(DAMAGED, False, 0, b"", offset)
    end = offset + LONG_OVERHEAD_BYTES + (sector[offset + 1] << 8) + sector[offset + 2]
    if end > len(sector):
        return _broken(sector, offset + 3, offset)
    body = bytes(sector[offset + 4 : end - 2])
    if crc16(body, binascii.crc32(sector[offset : offset + 3])) == sector[end - 2 : end]:
        return Frame(head & 0x7F, False, offset + 3, body, end)
    return _broken(sector, end, offset)


def is_kept(flags: int) -> bool:
    """Whether the statement with these flags is still to be sent."""
    return bool(flags & FREED and flags & ASIDE and flags & DROPPED)


def skip_frame(sector: bytearray, offset: int) -> int:
    """Where the record after the one at `offset` starts, without checking it."""
    head = sector[offset]
    if head < 0x80:
        return offset + 3 + (head & 0x3F)
    return offset + LONG_OVERHEAD_BYTES + (sector[offset + 1] << 8) + sector[offset + 2]


def _broken(sector: bytearray, end: int, offset: int) -> Frame:
    """Torn when everything from the frame's last byte on is still erased; else something that was whole has changed."""
    return Frame(TORN if is_erased(sector, end - 1) else DAMAGED, False, 0, b"", offset)


# --- sector header


def build_header(header: SectorHeader) -> bytes:
    body = MAGIC + b"".join(
        (
            header.serial.to_bytes(4, "big"),
            header.boot.to_bytes(4, "big"),
            header.next_seq.to_bytes(8, "big"),
            header.sealed_end.to_bytes(8, "big"),
            header.statements.to_bytes(4, "big"),
            header.losses_named.to_bytes(4, "big"),
            b"\x00" if header.tip is None else b"\x01",
            header.tip or bytes(32),
        )
    )
    return body + crc32(body)


def read_header(data: bytes) -> SectorHeader | None:
    """None when these are not the bytes of a whole header."""
    if data[:3] != MAGIC or crc32(data[: HEADER_BYTES - 4]) != data[HEADER_BYTES - 4 : HEADER_BYTES]:
        return None
    numbers = [int.from_bytes(data[a:b], "big") for a, b in ((3, 7), (7, 11), (11, 19), (19, 27), (27, 31), (31, 35))]
    return SectorHeader(*numbers, bytes(data[36:68]) if data[35] else None)


# --- context, boot, loss


def build_context(context: Context) -> bytes:
    head = context.boot.to_bytes(4, "big") + bytes([context.channel, context.clock, context.tier, context.registers])
    return build_long(CONTEXT, head + context.table + context.firmware)


def read_context(body: bytes) -> Context:
    return Context(int.from_bytes(body[:4], "big"), body[4], body[5], body[6], body[7], body[8:40], body[40:72])


def build_boot(boot: int) -> bytes:
    return build_long(BOOT, boot.to_bytes(4, "big"))


def build_lost(lost: LostRecord) -> bytes:
    head = lost.number.to_bytes(4, "big") + lost.first_seq.to_bytes(8, "big") + lost.count.to_bytes(8, "big") + bytes([lost.reason])
    return build_long(LOST, head + (lost.identity or b""))


def read_lost(body: bytes) -> LostRecord:
    return LostRecord(
        int.from_bytes(body[:4], "big"),
        int.from_bytes(body[4:12], "big"),
        int.from_bytes(body[12:20], "big"),
        bytes(body[21:53]) if len(body) > 21 else None,
        body[20],
    )


# --- statements: the parts that repeat in a sector are copied from its first statement


def build_statement_record(meta: StatementMeta, statement: bytes, dictionary: bytes) -> bytes:
    head = meta.ordinal.to_bytes(4, "big") + bytes([STATEMENT_KINDS.index(meta.kind)])
    head += meta.first_seq.to_bytes(8, "big") + meta.count.to_bytes(2, "big") + (meta.salt or bytes(16)) + meta.identity
    return build_long(STATEMENT, head + pack(statement, dictionary))


def read_statement_meta(body: bytes) -> StatementMeta:
    # A bit may change in a flash that is in use: only readings have a count, and the statement itself then no longer checks.
    kind = STATEMENT_KINDS[body[4]] if body[4] < len(STATEMENT_KINDS) else "readings" if body[13] or body[14] else "time-repair"
    return StatementMeta(
        int.from_bytes(body[:4], "big"),
        kind,
        int.from_bytes(body[5:13], "big"),
        int.from_bytes(body[13:15], "big"),
        bytes(body[15:31]) if kind == "readings" else None,
        bytes(body[31:63]),
    )


def pack(data: bytes, dictionary: bytes) -> bytes:
    """Literals and copies (0x80, offset u16, length u8) from the dictionary, longest match at each place."""
    out = bytearray()
    literal_start = i = 0
    while i < len(data):
        found = dictionary.find(data[i : i + COPY_BYTES_MIN]) if i + COPY_BYTES_MIN <= len(data) else -1
        if found < 0:
            i += 1
            continue
        length = COPY_BYTES_MIN
        while (
            length < COPY_BYTES_MAX
            and i + length < len(data)
            and data[i + length : i + length + 1] == dictionary[found + length : found + length + 1]
        ):
            length += 1
        _literal(out, data[literal_start:i])
        out += bytes([COPY, found >> 8, found & 0xFF, length])
        i += length
        literal_start = i
    _literal(out, data[literal_start:])
    return bytes(out)


def _literal(out: bytearray, data: bytes) -> None:
    for i in range(0, len(data), LITERAL_BYTES_MAX):
        part = data[i : i + LITERAL_BYTES_MAX]
        out.append(len(part))
        out += part


def unpack(packed: bytes, dictionary: bytes) -> bytes:
    out = bytearray()
    i = 0
    while i < len(packed):
        if packed[i] == COPY:
            start = (packed[i + 1] << 8) + packed[i + 2]
            out += dictionary[start : start + packed[i + 3]]
            i += 4
        else:
            out += packed[i + 1 : i + 1 + packed[i]]
            i += 1 + packed[i]
    return bytes(out)
