"""The lab notebook: what this device says it did, in text lines outside the flash.

In: events. Out: lines `taken SEQ TIME_S`, `sealed IDENTITY FIRST COUNT WALL_MS`, `published IDENTITY WALL_MS`, `boot N WALL_MS` appended
to a file, identities in hexadecimal. Exists to count independently of journal and backend; nothing in the product reads it back but
the last line at boot, to close the book after a kill.
"""

import binascii
import os
import time

from shared.errors import Unavailable

TAIL_BYTES = 4096


def wall_ms() -> int:
    """Milliseconds since 1970 of the host's clock (since 2000 on an ESP32)."""
    return time.time_ns() // 1_000_000


class Notebook:
    """Appends lines to `path`; with None it writes nothing."""

    def __init__(self, path: str | None) -> None:
        self._file = open(path, "ab") if path else None  # noqa: SIM115 - open for the life of the process
        self.path = path

    def line(self, text: str) -> None:
        if self._file:
            self._file.write(text.encode() + b"\n")
            self._file.flush()

    def taken(self, seq: int, time_s: int) -> None:
        self.line(f"taken {seq} {time_s}")

    def sealed(self, identity: bytes, first_seq: int, count: int) -> None:
        self.line(f"sealed {binascii.hexlify(identity).decode()} {first_seq} {count} {wall_ms()}")

    def published(self, identity: bytes) -> None:
        self.line(f"published {binascii.hexlify(identity).decode()} {wall_ms()}")

    def booted(self, boot: int) -> None:
        self.line(f"boot {boot} {wall_ms()}")

    def close(self) -> None:
        if self._file:
            self._file.close()


def last_taken(path: str | None) -> int | None:
    """The last sequence written down, from the end of the file; None when there is none there."""
    if not path:
        return None
    size_bytes = os.stat(path)[6]
    with open(path, "rb") as file:
        file.seek(max(0, size_bytes - TAIL_BYTES))
        lines = file.read().split(b"\n")
    for line in reversed(lines):
        words = line.split()
        if len(words) == 3 and words[0] == b"taken":
            return int(words[1])
    return None


def close_book(book: Notebook, journal: object) -> None:
    """A kill between the journal and the notebook leaves one reading durable and not written down: it is written now, from the journal."""
    last = last_taken(book.path)
    seq = 0 if last is None else last + 1
    if seq != journal.next_seq - 1:
        return
    try:
        book.taken(seq, journal.readings(seq, 1)[0].time_s)
    except Unavailable:
        return  # the last reading is a skip after damage
