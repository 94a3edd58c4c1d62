"""The flash as a ring of sectors that are filled one after the other.

In: records. Out: records in the order they were written. One sector is open (the head); the one after it is always erased, so that opening
it needs no erase. A sector is retired (its magic cleared) before it is erased, so half an erased one never looks alive. Knows nothing of
what the records mean.
"""

import array

from edge import records
from edge.flash import SECTOR_BYTES

NOT_ALIVE = -1


class Starts:
    """The sequence at which each sector was opened, NOT_ALIVE for those that are not in use: four bytes each, for there may be
    thousands."""

    def __init__(self, sectors: int) -> None:
        self._places = array.array("I", [0] * sectors)
        self._base = 0

    def __getitem__(self, sector: int) -> int:
        place = self._places[sector]
        return self._base + place if place else NOT_ALIVE

    def __setitem__(self, sector: int, seq: int) -> None:
        if seq != NOT_ALIVE and not any(self._places):
            self._base = seq - (1 << 31)  # others may be older: far more sequences either way than a flash holds
        self._places[sector] = 0 if seq == NOT_ALIVE else seq - self._base


class Ring:
    """`head` is the open sector (−1 before the first), `offset` where its next record goes, `first_seq[s]` the sequence at which sector s
    was opened (−1: not in use)."""

    def __init__(self, flash: object) -> None:
        self._flash = flash
        self.sectors: int = flash.sectors
        self._buffer = bytearray(SECTOR_BYTES)
        self._loaded = NOT_ALIVE
        self.first_seq = Starts(self.sectors)
        self.head = NOT_ALIVE
        self.offset = SECTOR_BYTES
        self.serial = 0
        self._scan()

    def _scan(self) -> None:
        for sector in range(self.sectors):
            header = self.header(sector)
            if header is not None:
                self.first_seq[sector] = header.next_seq
                if header.serial > self.serial:
                    self.serial = header.serial
                    self.head = sector

    def header(self, sector: int) -> records.SectorHeader | None:
        return records.read_header(self.read(sector * SECTOR_BYTES, records.HEADER_BYTES))

    def read(self, address: int, length: int) -> bytearray:
        data = bytearray(length)
        self._flash.read_into(address, data)
        return data

    def load(self, sector: int) -> bytearray:
        """The bytes of a sector, in the one buffer there is: valid until the next load."""
        if self._loaded != sector:
            self._flash.read_into(sector * SECTOR_BYTES, self._buffer)
            self._loaded = sector
        return self._buffer

    def next_of(self, sector: int) -> int:
        return (sector + 1) % self.sectors

    def alive(self) -> object:
        """Yields the sectors with records, oldest first."""
        for i in range(self.sectors):
            sector = (self.head + 1 + i) % self.sectors
            if self.first_seq[sector] != NOT_ALIVE:
                yield sector

    def alive_count(self) -> int:
        return sum(1 for _ in self.alive())

    def is_blank(self, sector: int) -> bool:
        return records.is_erased(self.load(sector))

    def is_interrupted(self, sector: int) -> bool:
        """Not alive because an erase or the writing of its header was cut: nothing in it counts."""
        data = self.load(sector)
        erase_cut = data[0] in (0x00, 0xFF)
        return erase_cut or records.is_erased(data, records.HEADER_BYTES - 1)

    def frames(self, sector: int, offset: int = records.HEADER_BYTES) -> object:
        """Yields (offset, frame) till a frame that is no record, that one included."""
        while True:
            frame = records.read_frame(self.load(sector), offset)
            yield offset, frame
            if frame.kind >= records.BLANK:
                return
            offset = frame.end

    def long_frames(self, sector: int, kind: int) -> object:
        """Yields (offset, frame) of the records of one long kind only, passing over all others unchecked (they were checked at the
        start)."""
        offset = records.HEADER_BYTES
        while offset < SECTOR_BYTES:
            data = self.load(sector)
            if data[offset] == records.FLAGS_FREE:
                return
            if data[offset] == 0x80 | kind:
                frame = records.read_frame(data, offset)
                if frame.kind != kind:
                    return
                yield offset, frame
            offset = records.skip_frame(self.load(sector), offset)

    def room_bytes(self) -> int:
        return SECTOR_BYTES - self.offset

    def program(self, record: bytes) -> int:
        """Writes a record at the end of the head; gives its place, sector × 4096 + offset."""
        place = self.head * SECTOR_BYTES + self.offset
        self._write(place, record)
        self.offset += len(record)
        return place

    def clear_flag(self, place: int, mask: int) -> None:
        """Clears bits in the flags of the long record at `place`."""
        self._write(place + 3, bytes([self.read(place + 3, 1)[0] & ~mask & 0xFF]))

    def _write(self, address: int, data: bytes) -> None:
        if self._loaded == address // SECTOR_BYTES:
            self._loaded = NOT_ALIVE
        self._flash.program(address, data)

    def open_next(self, header: records.SectorHeader) -> None:
        """Opens the sector after the head; it is erased already, unless it could not be read at the start or has changed by itself
        since."""
        sector = self.next_of(self.head)
        if not self.is_blank(sector):
            self.erase(sector)
        self._write(sector * SECTOR_BYTES, records.build_header(header))
        self.head = sector
        self.serial = header.serial
        self.first_seq[sector] = header.next_seq
        self.offset = records.HEADER_BYTES

    def erase(self, sector: int) -> None:
        if self.first_seq[sector] != NOT_ALIVE:
            self._write(sector * SECTOR_BYTES, records.RETIRED)
            self.first_seq[sector] = NOT_ALIVE
        if self._loaded == sector:
            self._loaded = NOT_ALIVE
        self._flash.erase(sector)

    def step_back(self) -> None:
        """Erases the head; the sector before it is the head again, and full."""
        last = self.head
        self.erase(last)
        self.head = (last - 1) % self.sectors
        self.serial -= 1
        self.offset = SECTOR_BYTES
