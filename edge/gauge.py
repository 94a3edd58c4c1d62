"""The status line: counters, how full the buffer is in hours, the oldest reading not yet acked. Forgotten between two lines: code is
memory.

In: journal, clock, counters. Out: a line of text.
"""

from edge.flash import SECTOR_BYTES
from edge.health import Health
from shared.errors import Unavailable

SECONDS_PER_HOUR = 3600
BYTES_PER_READING = 16  # until there is enough to measure


def oldest_unsent_s(journal: object) -> int | None:
    """Time of the oldest reading that the node has not acked, as its clock said then; None when there is none."""
    for entry in journal.pending():
        if entry.kind == "readings":
            try:
                return journal.readings(entry.first_seq, 1)[0].time_s
            except Unavailable:
                return None
    return journal.groups[0].start_s if journal.groups else None


def free_sectors(journal: object) -> int:
    """Sectors that can be filled before anything must be dropped."""
    ring = journal.ring
    oldest = journal.index[0] // SECTOR_BYTES if journal.index else ring.head
    first_seq = journal.sealed_end
    for place in journal.index:
        meta = journal.meta(place)
        if meta.kind == "readings":
            first_seq = meta.first_seq
            break
    for sector in ring.alive():
        if ring.first_seq[sector] <= first_seq:
            oldest = sector
    return (oldest - ring.head - 1) % ring.sectors - 1 if oldest != ring.head else ring.sectors - 2


def capacity_readings(journal: object, sectors: int) -> int:
    """Readings that fit into so many sectors, at the rate of what is there now."""
    ring = journal.ring
    readings = journal.next_seq - ring.first_seq[next(ring.alive())]
    used_bytes = (ring.alive_count() - 1) * SECTOR_BYTES + ring.offset
    if readings < 60:
        return sectors * SECTOR_BYTES // BYTES_PER_READING
    return sectors * SECTOR_BYTES * readings // used_bytes


def gauge(journal: object, period_s: int) -> tuple[int, int]:
    """(hours until something must be dropped if nothing is acked, hours that the whole flash holds)."""
    free_h = capacity_readings(journal, free_sectors(journal)) * period_s // SECONDS_PER_HOUR
    return free_h, capacity_readings(journal, journal.ring.sectors - 2) * period_s // SECONDS_PER_HOUR


def build_line(settings: object, clock: object, journal: object, health: Health) -> str:
    now = clock.now()
    free_h, whole_h = gauge(journal, settings.period_s)
    oldest_s = oldest_unsent_s(journal)
    waiting = sum(group.count for group in journal.groups)
    return (
        f"status time_s={now.time_s} clock={now.quality} boot={journal.boot} next_seq={journal.next_seq} unsealed={waiting} "
        f"unacked={journal.pending_count()} losses={len(journal.losses)} buffer_free_h={free_h} buffer_h={whole_h} "
        f"oldest_unsent_s={'-' if oldest_s is None else oldest_s} {health.line()}"
    )
