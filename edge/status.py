"""Prints the status line (`edge/gauge.py`) every `status_s`, with the free heap where the interpreter tells it. In: journal, clock,
counters. Out: lines on stdout."""

import asyncio
import gc
import sys

from edge.memory import let_go


def status_line(settings: object, clock: object, journal: object, health: object) -> str:
    line = gauge_line(settings, clock, journal, health)
    if hasattr(gc, "mem_free"):
        gc.collect()
        line += f" heap_free_bytes={gc.mem_free()}"
    return line


def gauge_line(settings: object, clock: object, journal: object, health: object) -> str:
    from edge import gauge  # code is memory

    try:
        return gauge.build_line(settings, clock, journal, health)
    finally:
        let_go("gauge")


async def report(settings: object, clock: object, journal: object, health: object) -> None:
    while True:
        await asyncio.sleep(settings.status_s)
        print(status_line(settings, clock, journal, health))
        if hasattr(sys.stdout, "flush"):  # a pipe would hold it back
            sys.stdout.flush()
