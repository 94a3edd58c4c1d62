"""NOR flash in memory whose supply can fail after any byte. In: as edge/flash.py says of a port. Out: bytes, or PowerCut. Contains no
test."""

from edge.flash import SECTOR_BYTES, check_program, check_sectors

_ERASED_SECTOR = b"\xff" * SECTOR_BYTES


class PowerCut(Exception):
    """The simulated supply failed in the middle of a write; the bytes before it are on the medium."""


class MemoryFlash:
    """Flash in memory. `cut_after_bytes` n: the supply fails when n more bytes have been programmed or erased."""

    def __init__(self, sectors: int, cut_after_bytes: int | None = None) -> None:
        check_sectors(sectors)
        self.sectors = sectors
        self.content = bytearray(_ERASED_SECTOR * sectors)
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
        self.content[address : address + done] = _ERASED_SECTOR[:done]
        self.erases += 1
        if done < SECTOR_BYTES:
            raise PowerCut("power cut while erasing")
