"""What only a gateway (CPython) has: signals. In: the running work. Out: its end, or a clean stop. Not used on MicroPython."""

import asyncio
import signal


async def until_signal(work: asyncio.Future) -> None:
    """Waits for the work, which only ends by failing, or for SIGTERM or SIGINT, which cancel it."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        print("stopped", flush=True)
