"""NOR flash as the journal sees it: read, program, erase.

In: sector numbers, addresses, bytes. Out: bytes as they stand on the medium.
Programming only clears bits and erasing sets a whole 4 KiB sector to ones, as on the chip; a write that would need a bit set is our own bug
and stops the program. Never interprets what it stores.

A port has `sectors`, `read_into(address, buffer)`, `program(address, data)`, `erase(sector)`. Here: a file (unix, Raspberry Pi). The
ESP32's partition is in `edge/flash_partition.py`; tests have one in memory whose supply fails.
"""

import os

from shared.errors import Unavailable

try:
    import fcntl
except ImportError:
    fcntl = None  # MicroPython: on a board there is only one process

SECTOR_BYTES = 4096
SECTORS_MIN = 4  # one open, one erased ahead, two to hold something
SECTORS_MAX = 16384

ERASED = b"\xff" * 64  # written piece by piece: a whole sector of ones would stay in the heap


def check_sectors(sectors: int) -> None:
    if sectors < SECTORS_MIN or sectors > SECTORS_MAX:
        raise ValueError(f"flash needs {SECTORS_MIN} to {SECTORS_MAX} sectors, not {sectors}")


def check_program(old: bytes, new: bytes) -> None:
    """Programming may only clear bits."""
    for i in range(len(new)):
        if new[i] & ~old[i] & 0xFF:
            raise ValueError("a bit cannot be set without erasing its sector")


class FileFlash:
    """Flash in an open file."""

    def __init__(self, file: object, sectors: int) -> None:
        self.sectors = sectors
        self._file = file

    def read_into(self, address: int, buffer: bytearray) -> None:
        self._file.seek(address)
        self._file.readinto(buffer)

    def program(self, address: int, data: bytes) -> None:
        old = bytearray(len(data))
        self.read_into(address, old)
        check_program(old, data)
        self._file.seek(address)
        self._file.write(data)

    def erase(self, sector: int) -> None:
        self._file.seek(sector * SECTOR_BYTES)
        for _ in range(SECTOR_BYTES // len(ERASED)):
            self._file.write(ERASED)

    def close(self) -> None:
        self._file.close()


def open_file_flash(path: str, sectors: int) -> FileFlash:
    """Flash in a file of sectors × 4096 bytes, made full of ones when it is not there."""
    check_sectors(sectors)
    try:
        size_bytes = os.stat(path)[6]
    except OSError:
        size_bytes = 0
    if size_bytes > sectors * SECTOR_BYTES:
        raise ValueError("the flash file is larger than the configured flash")
    if size_bytes < sectors * SECTOR_BYTES:
        # Growing in place: a kill during the first start leaves a short file, and ones are what erased flash holds.
        with open(path, "ab") as file:
            while size_bytes < sectors * SECTOR_BYTES:
                size_bytes += file.write(ERASED[size_bytes % len(ERASED) :])
    file = open(path, "r+b", buffering=0)  # noqa: SIM115 - open for the life of the process
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise Unavailable(400, "another process has this flash: two of them would sign one sequence twice")
    return FileFlash(file, sectors)
