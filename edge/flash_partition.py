"""The journal's partition on an ESP32. In: addresses and bytes. Out: bytes. Never formats and never touches another partition.

Written from the documentation of esp32.Partition and checked by type only: not yet run on a board.
"""

import esp32  # noqa: I001 - only on the board

from edge.flash import SECTOR_BYTES, check_sectors

ERASE_BLOCK = 6  # ioctl operation of MicroPython's block device protocol


class PartitionFlash:
    """Raw NOR sectors of the data partition named `label`."""

    def __init__(self, label: str) -> None:
        found = esp32.Partition.find(esp32.Partition.TYPE_DATA, label=label)
        if not found:
            raise OSError(f"no data partition {label}")
        self._partition = found[0]
        self.sectors = self._partition.info()[3] // SECTOR_BYTES
        check_sectors(self.sectors)

    def read_into(self, address: int, buffer: bytearray) -> None:
        self._partition.readblocks(address // SECTOR_BYTES, buffer, address % SECTOR_BYTES)

    def program(self, address: int, data: bytes) -> None:
        # With an offset, writeblocks does not erase first: bits are only cleared.
        self._partition.writeblocks(address // SECTOR_BYTES, data, address % SECTOR_BYTES)

    def erase(self, sector: int) -> None:
        self._partition.ioctl(ERASE_BLOCK, sector)
