"""Waits till nothing is left on the device. In: its journal, the running work. Out: a line; the work is cancelled. Only loaded for
`drain`."""

import asyncio

DRAIN_POLL_S = 0.1


async def until_drained(journal: object, work: asyncio.Task) -> None:
    """What an earlier start left unsealed is of another boot, so the sealer closes all of it."""
    while not work.done() and (journal.groups or journal.losses or journal.pending_count()):
        await asyncio.sleep(DRAIN_POLL_S)
    work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        print("drained: nothing is left on this device")
