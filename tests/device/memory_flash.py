"""NOR flash in memory whose supply can fail after any byte. In: as edge/flash.py says of a port. Out: bytes, or PowerCut. Contains no
test."""

import random

from edge.flash import SECTOR_BYTES, check_program, check_sectors

_ERASED_SECTOR = b"\xff" * SECTOR_BYTES
PAGE_BYTES = 256
# How an erase that is cut leaves its sector: the first bytes erased, the last ones, some pages, or every bit a little.
TEARS = ("first", "last", "pages", "weak")


class PowerCut(Exception):
    """The simulated supply failed in the middle of a write; the bytes before it are on the medium."""


class MemoryFlash:
    """Flash in memory. `cut_after_bytes` n: the supply fails when n more bytes have been programmed or erased."""

    def __init__(self, sectors: int, cut_after_bytes: int | None = None) -> None:
        check_sectors(sectors)
        self.sectors = sectors
        self.content = bytearray(_ERASED_SECTOR * sectors)
        self.cut_after_bytes = cut_after_bytes
        self.tear = "first"
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
            if self.tear == "weak":  # the byte that was being written has some of its bits
                self.content[address + done] &= data[done] | random.Random(address + done).randrange(256)
            raise PowerCut("power cut while programming")

    def erase(self, sector: int) -> None:
        address = sector * SECTOR_BYTES
        done = self._allowed(SECTOR_BYTES)
        old = bytes(self.content[address : address + SECTOR_BYTES])
        self.content[address : address + SECTOR_BYTES] = _ERASED_SECTOR if done == SECTOR_BYTES else torn_erase(old, done, self.tear)
        self.erases += 1
        if done < SECTOR_BYTES:
            raise PowerCut("power cut while erasing")

    def copy(self) -> "MemoryFlash":
        """Another chip with the same content."""
        other = MemoryFlash(self.sectors, self.cut_after_bytes)
        other.content[:] = self.content
        other.tear, other.erases = self.tear, self.erases
        return other


def torn_erase(old: bytes, done: int, tear: str) -> bytes:
    """A sector whose erase was cut when `done` of its 4096 parts were through."""
    chance = random.Random(done)
    if tear == "first":
        return _ERASED_SECTOR[:done] + old[done:]
    if tear == "last":
        return old[: SECTOR_BYTES - done] + _ERASED_SECTOR[SECTOR_BYTES - done :]
    if tear == "pages":
        pages = [old[at : at + PAGE_BYTES] for at in range(0, SECTOR_BYTES, PAGE_BYTES)]
        for page in chance.sample(range(len(pages)), done // PAGE_BYTES):
            pages[page] = _ERASED_SECTOR[:PAGE_BYTES]
        return b"".join(pages)
    mask = int.from_bytes(chance.randbytes(SECTOR_BYTES), "big")
    for _ in range(3):  # one bit in eight at first, seven in eight in the end
        other = int.from_bytes(chance.randbytes(SECTOR_BYTES), "big")
        mask = mask | other if chance.randrange(SECTOR_BYTES) < done else mask & other
    return (int.from_bytes(old, "big") | mask).to_bytes(SECTOR_BYTES, "big")
