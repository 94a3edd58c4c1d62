"""The status line: counters, how full the buffer is in hours, the oldest reading not yet acked. In: journal, clock, counters. Out: lines on
stdout."""

import asyncio
import sys

from edge.health import Health
from shared.errors import Unavailable

SECONDS_PER_HOUR = 3600


def oldest_unsent_s(journal: object) -> int | None:
    """Time of the oldest reading that the node has not acked, as its clock said then; None when there is none."""
    for entry in journal.pending():
        if entry.kind == "readings":
            try:
                return journal.readings(entry.first_seq, 1)[0].time_s
            except Unavailable:
                return None
    return journal.groups[0].start_s if journal.groups else None


def gauge(journal: object, period_s: int) -> tuple[int, int]:
    """(hours until something must be dropped if nothing is acked, hours that the whole flash holds)."""
    free_h = journal.capacity_readings(journal.free_sectors()) * period_s // SECONDS_PER_HOUR
    return free_h, journal.capacity_readings(journal.ring.sectors - 2) * period_s // SECONDS_PER_HOUR


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


async def report(settings: object, clock: object, journal: object, health: Health) -> None:
    while True:
        await asyncio.sleep(settings.status_s)
        print(build_line(settings, clock, journal, health))
        if hasattr(sys.stdout, "flush"):  # a pipe would hold it back
            sys.stdout.flush()
