"""Starting a journal from what is on the flash, whatever a power cut or a damaged sector left there.

In: a ring of sectors. Out: the journal's state: counters, what is pending, what is to be sealed, what was lost. Runs once, before anything
is written. Where it cannot know, it skips sequences and names them lost: a sequence is never used twice.

Errors: Unavailable 421 when the flash holds something, but no sector of it can be read.
"""

from edge import records
from edge.flash import SECTOR_BYTES
from edge.losses import LOST_DAMAGED, LOST_SKIPPED
from edge.ring import NOT_ALIVE
from edge.rows import RowCodec
from shared.errors import Unavailable

SKIP_READINGS = SECTOR_BYTES // records.SMALLEST_READING_BYTES  # more than a sector can hold
SKIP_BOOTS = SECTOR_BYTES // records.LONG_OVERHEAD_BYTES


def recover(journal: object) -> None:
    if journal.ring.head == NOT_ALIVE:
        start_fresh(journal)
        return
    undone = undo_interrupted_reclaim(journal.ring)
    walk = Walk(journal)
    for sector in journal.ring.alive():
        walk.sector(sector)
    if undone is not None:
        walk.enter(undone)  # the sector before it may be damaged: then only this header knew how far it went
    walk.apply()
    restore_groups(journal)
    damaged_head = not clean_next(journal)
    drop_damaged(journal, walk.damaged)
    if damaged_head or walk.head_damaged:
        skip_ahead(journal)
    journal.write_losses(NOT_ALIVE)


def start_fresh(journal: object) -> None:
    ring = journal.ring
    for sector in range(ring.sectors):
        if not ring.is_blank(sector):
            if not ring.is_interrupted(sector):
                raise Unavailable(421, "the flash holds something unreadable: its sequence is not known")
            ring.erase(sector)
    ring.open_next(journal.header())


def undo_interrupted_reclaim(ring: object) -> records.SectorHeader | None:
    """A sector is opened while the one after it is still to be emptied: cut there, all that is in the new one but its header is a copy. It
    starts again; gives that header."""
    following = ring.next_of(ring.head)
    if following == ring.head or ring.first_seq[following] == NOT_ALIVE:
        return None
    header = ring.header(ring.head)
    ring.step_back()
    return header


def clean_next(journal: object) -> bool:
    """Erases what a cut left after the head. False when a whole sector stood there that cannot be read (a cut between this and the next
    sector's header forgets that: two faults at once)."""
    ring = journal.ring
    following = ring.next_of(ring.head)
    if ring.first_seq[following] != NOT_ALIVE or ring.is_blank(following):
        return True
    interrupted = ring.is_interrupted(following)
    ring.erase(following)
    return interrupted


class Walk:
    """One pass over all records, oldest first."""

    def __init__(self, journal: object) -> None:
        self._journal = journal
        self._seq = NOT_ALIVE
        self._tip_ordinal = -1
        self._places: list[tuple[int, int]] = []  # (ordinal, place) of the statements pending
        self._known: list[tuple[int, int]] = []  # [first, end) of all losses written, named or not
        self._unsealed: list[tuple[int, int, bytes | None]] = []  # [first, end) whose statements are gone, and the last one's identity
        self.damaged: list[tuple[int, int]] = []  # sequences [first, end) that cannot be read
        self.head_damaged = False

    def sector(self, sector: int) -> None:
        journal = self._journal
        header = journal.ring.header(sector)
        self.enter(header)
        is_head = sector == journal.ring.head
        if is_head:
            journal.new_sector()
        for offset, frame in journal.ring.frames(sector):
            self._record(sector, offset, frame, is_head)
            if frame.kind >= records.BLANK and is_head:
                torn = frame.kind == records.TORN and not was_whole(journal.ring.load(sector), offset)
                self.head_damaged = frame.kind != records.BLANK and not torn
                # A torn record cannot be written over: the rest of its sector stays unused.
                journal.ring.offset = offset if frame.kind == records.BLANK else SECTOR_BYTES

    def enter(self, header: records.SectorHeader) -> None:
        """The header tells what should have been found before it."""
        journal = self._journal
        if self._seq == NOT_ALIVE:
            journal.sealed_end = header.sealed_end
        elif header.sealed_end > journal.sealed_end:
            self._unsealed.append((journal.sealed_end, header.sealed_end, header.tip))
            journal.sealed_end = header.sealed_end
        if self._seq != NOT_ALIVE and header.next_seq > self._seq:
            self.damaged.append((self._seq, header.next_seq))
        self._seq = header.next_seq
        journal.boot = max(journal.boot, header.boot)
        journal.losses.apply_named(header.losses_named)
        if header.statements > self._tip_ordinal + 1 or self._tip_ordinal < 0:
            journal.statements = max(journal.statements, header.statements)
            journal.tip_identity = header.tip
            self._tip_ordinal = header.statements - 1

    def _record(self, sector: int, offset: int, frame: records.Frame, is_head: bool) -> None:
        journal = self._journal
        if frame.kind in (records.READING, records.LONG_READING):
            self._seq += 1
        elif frame.kind == records.BOOT:
            journal.boot = max(journal.boot, int.from_bytes(frame.body, "big"))
        elif frame.kind == records.LOST:
            lost = records.read_lost(frame.body)
            self._known.append((lost.first_seq, lost.first_seq + lost.count))
            if lost.number >= journal.losses.named:
                journal.losses.load(lost, sector)
            if lost.identity is None:
                journal.sealed_end = max(journal.sealed_end, lost.first_seq + lost.count)
                self._seq = max(self._seq, journal.sealed_end)  # a skip after damage moved both
        elif frame.kind == records.STATEMENT:
            self._statement(sector * SECTOR_BYTES + offset, frame, is_head)

    def _statement(self, place: int, frame: records.Frame, is_head: bool) -> None:
        journal = self._journal
        meta = records.read_statement_meta(frame.body)
        if is_head:
            journal.first_statement = journal.first_statement or records.unpack(frame.body[records.STATEMENT_META_BYTES :], b"")
            journal.dictionary = journal.first_statement + meta.identity
        if meta.ordinal > self._tip_ordinal:
            self._tip_ordinal = meta.ordinal
            journal.tip_identity = meta.identity
            journal.statements = meta.ordinal + 1
        if meta.kind == "readings":
            journal.sealed_end = max(journal.sealed_end, meta.first_seq + meta.count)
        elif meta.kind == "gap":
            journal.losses.apply_named(meta.first_seq)
        self._remember(meta.ordinal, place)

    def _remember(self, ordinal: int, place: int) -> None:
        """In the order of sealing; of a statement that was carried along, the later copy stands for it."""
        i = len(self._places)
        while i > 0 and self._places[i - 1][0] > ordinal:
            i -= 1
        if i > 0 and self._places[i - 1][0] == ordinal:
            self._places.pop(i - 1)
            i -= 1
        self._places.insert(i, (ordinal, place))

    def apply(self) -> None:
        journal = self._journal
        journal.next_seq = self._seq
        for first_seq, end_seq, identity in self._unsealed:
            # What an earlier start found and wrote is newer on the ring than the damage: it is still there as long as the damage is.
            if not any(known[0] <= first_seq and end_seq <= known[1] for known in self._known):
                journal.losses.add(first_seq, end_seq - first_seq, identity, LOST_DAMAGED)
        for _, place in self._places:
            if not records.is_kept(journal.ring.read(place + 3, 1)[0]):
                continue
            meta = journal.meta(place)
            if meta.kind == "readings" and journal.losses.covers(meta.first_seq, meta.count):
                journal.ring.clear_flag(place, records.DROPPED)
            else:
                journal.index.append(place)
                journal.gaps += meta.kind == "gap"


def was_whole(sector: bytearray, offset: int) -> bool:
    """A whole record with one bit changed, in its head or last byte, looks torn as well. A torn one was never there, so its sequence is
    free; this one was, and may have been published. Each such bit is tried."""
    last = len(sector) - 1
    while sector[last] == records.FLAGS_FREE:
        last -= 1
    # In the head, or in a last byte that has become all ones.
    for place in (offset, offset + 1, offset + 2, last + 1):
        if place >= len(sector):
            continue
        for bit in range(8):
            sector[place] ^= 1 << bit
            frame = records.read_frame(sector, offset)
            sector[place] ^= 1 << bit
            if frame.kind < records.BLANK:
                return True
    return False


def restore_groups(journal: object) -> None:
    """Decodes what is not sealed yet, and the head sector for the reading that comes next."""
    ring = journal.ring
    for sector in ring.alive():
        following = ring.next_of(sector)
        is_head = sector == ring.head
        if not is_head and ring.first_seq[following] != NOT_ALIVE and ring.first_seq[following] <= journal.sealed_end:
            continue
        codec = RowCodec()
        seq = ring.first_seq[sector]
        journal.context = None
        for _, frame in ring.frames(sector):
            if frame.kind == records.CONTEXT:
                journal.context = records.read_context(frame.body)
                codec.reset(journal.context.registers)
            elif frame.kind in (records.READING, records.LONG_READING):
                reading = codec.decode(frame, seq)
                if seq >= journal.sealed_end:
                    journal.join_group(seq, reading.time_s)
                seq += 1
        if is_head:
            journal.codec = codec


def drop_damaged(journal: object, damaged: list[tuple[int, int]]) -> None:
    """Bundles and unsealed readings that touch sequences which cannot be read are lost; what lies before them unsealed may have been sealed
    by a statement that is gone, so it must not be sealed again."""
    dropped: list[int] = []
    for first_seq, end_seq in damaged:
        for i in range(len(journal.index) - 1, -1, -1):
            meta = journal.meta(journal.index[i])
            if meta.kind == "readings" and meta.first_seq < end_seq and first_seq < meta.first_seq + meta.count:
                journal.losses.add(meta.first_seq, meta.count, meta.identity, LOST_DAMAGED)
                dropped.append(journal.index.pop(i))
        if journal.sealed_end < end_seq:
            journal.losses.add(journal.sealed_end, end_seq - journal.sealed_end, None, LOST_DAMAGED)
            journal.advance_sealed(end_seq)
    journal.write_losses(NOT_ALIVE)
    # Not before: a cut between the two would leave a statement that is neither pending nor named lost.
    for place in dropped:
        if journal.ring.first_seq[place // SECTOR_BYTES] != NOT_ALIVE:  # else its sector had to make room for the losses
            journal.ring.clear_flag(place, records.DROPPED)


def skip_ahead(journal: object) -> None:
    """The newest records are unreadable: they may have been readings, boots or a published statement."""
    end_seq = journal.next_seq + SKIP_READINGS
    journal.losses.add(journal.sealed_end, end_seq - journal.sealed_end, None, LOST_SKIPPED)
    journal.groups = []
    journal.next_seq = journal.sealed_end = end_seq
    journal.boot += SKIP_BOOTS
    journal.open_next()
