"""NOR flash as the journal sees it: read, program, erase.

In: sector numbers, addresses, bytes. Out: bytes as they stand on the medium.
Programming only clears bits and erasing sets a whole 4 KiB sector to ones, as on the chip; a write that would need a bit set is our own bug
and stops the program. Never interprets what it stores.

A port has `sectors`, `read_into(address, buffer)`, `program(address, data)`, `erase(sector)`. Here: bytes in memory (tests, with a power
cut after n bytes) and a file (unix, Raspberry Pi). The ESP32's partition is in `edge/flash_partition.py`.
"""

import os

SECTOR_BYTES = 4096
SECTORS_MIN = 4  # one open, one erased ahead, two to hold something
SECTORS_MAX = 16384

ERASED_SECTOR = b"\xff" * SECTOR_BYTES


class PowerCut(Exception):
    """The simulated supply failed in the middle of a write; the bytes before it are on the medium."""


def check_sectors(sectors: int) -> None:
    if sectors < SECTORS_MIN or sectors > SECTORS_MAX:
        raise ValueError(f"flash needs {SECTORS_MIN} to {SECTORS_MAX} sectors, not {sectors}")


def check_program(old: bytes, new: bytes) -> None:
    """Programming may only clear bits."""
    for i in range(len(new)):
        if new[i] & ~old[i] & 0xFF:
            raise ValueError("a bit cannot be set without erasing its sector")


class MemoryFlash:
    """Flash in memory. `cut_after_bytes` n: the supply fails when n more bytes have been programmed or erased."""

    def __init__(self, sectors: int, cut_after_bytes: int | None = None) -> None:
        check_sectors(sectors)
        self.sectors = sectors
        self.content = bytearray(ERASED_SECTOR * sectors)
        self.cut_after_bytes = cut_after_bytes
        self.programmed_bytes = 0
        self.erases = 0

    def _allowed(self, wanted_bytes: int) -> int:
        if self.cut_after_bytes is None:
            return wanted_bytes
        allowed = min(wanted_bytes, self.cut_after_bytes)
        self.cut_after_bytes -= allowed
        return allowed

    def read_into(self, address: int, buffer: bytearray) -> None:
        buffer[:] = self.content[address : address + len(buffer)]

    def program(self, address: int, data: bytes) -> None:
        check_program(self.content[address : address + len(data)], data)
        done = self._allowed(len(data))
        self.content[address : address + done] = data[:done]
        self.programmed_bytes += done
        if done < len(data):
            raise PowerCut("power cut while programming")

    def erase(self, sector: int) -> None:
        address = sector * SECTOR_BYTES
        done = self._allowed(SECTOR_BYTES)
        self.content[address : address + done] = ERASED_SECTOR[:done]
        self.erases += 1
        if done < SECTOR_BYTES:
            raise PowerCut("power cut while erasing")


class FileFlash:
    """Flash in a file of sectors × 4096 bytes, made full of ones when it is not there."""

    def __init__(self, path: str, sectors: int) -> None:
        check_sectors(sectors)
        self.sectors = sectors
        try:
            size_bytes = os.stat(path)[6]
        except OSError:
            size_bytes = 0
        if size_bytes != sectors * SECTOR_BYTES:
            if size_bytes > sectors * SECTOR_BYTES:
                raise ValueError("the flash file is larger than the configured flash")
            # Growing in place: a kill during the first start leaves a short file, and ones are what erased flash holds.
            with open(path, "ab") as file:
                while size_bytes < sectors * SECTOR_BYTES:
                    size_bytes += file.write(ERASED_SECTOR[size_bytes % SECTOR_BYTES :])
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 - open for the life of the process

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
        self._file.write(ERASED_SECTOR)

    def close(self) -> None:
        self._file.close()
