"""The device: everything that runs. In: its settings, the node's key. Out: tasks that run till one fails or nothing is left to do.

Started by `edge/main.py`, on a board by `edge/boards/`. It only wires (`edge/wiring.py`); what a part does stands in the part.
"""

import asyncio
import sys

from edge import status
from edge.memory import forget
from shared.errors import MeterproofError

NOT_AS_CONFIGURED = (109, 123, 160, 170, 195, 421, 430)


def read_settings(path: str) -> object:
    from edge import config

    try:
        return config.read_config(path)
    finally:
        forget("config")


def prepare(settings: object) -> object:
    """The node's key and the firmware hash."""
    from edge import preparation

    try:
        return preparation.prepare(settings)
    finally:
        forget("preparation")
        forget("combs", "shared")
        forget("ed25519", "shared")


class Device:
    """Everything that runs, made once. `flash_port` and `watchdog` are given on a board; elsewhere the flash is a file."""

    def __init__(self, settings: object, prepared: object, flash_port: object | None, watchdog: object | None) -> None:
        from edge import wiring

        wiring.wire(self, settings, prepared, flash_port, watchdog)
        forget("wiring")
        forget("ed25519", "shared")

    def on_table(self) -> None:
        self.uplink.attest_again()

    def tasks(self, drain: bool) -> list:
        running = [self.sealer.run(), self.uplink.run()]
        if not drain:
            running.append(self.sampler.run())
        if self.settings.clock["kind"] == "ntp":
            from edge import ntp  # only where it is used: code is memory

            running.append(ntp.keep_synced(self.clock, self.settings.clock, self.health, self.sealer.wake.set))
        if self.settings.status_s:
            running.append(status.report(self.settings, self.clock, self.journal, self.health))
        return running

    def close(self) -> None:
        self.meter.close()
        self.notebook.close()
        if hasattr(self.flash, "close"):
            self.flash.close()


async def run(
    settings: object, prepared: object, flash_port: object | None = None, watchdog: object | None = None, drain: bool = False
) -> None:
    """Till a task fails, or on a gateway till SIGTERM or SIGINT; with `drain` till nothing is left to send."""
    device = Device(settings, prepared, flash_port, watchdog)
    try:
        work = asyncio.create_task(together(device.tasks(drain)))
        if drain:
            from edge.draining import until_drained

            await until_drained(device.journal, work)
        elif sys.implementation.name == "micropython":
            await work
        else:
            from edge.gateway import until_signal

            await until_signal(work)
    finally:
        device.close()


async def together(tasks: list) -> None:
    await asyncio.gather(*tasks)


def start(path: str, drain: bool) -> int:
    """The device of this config, till it ends; an exit code of `edge/main.py`."""
    try:
        settings = read_settings(path)
        asyncio.run(run(settings, prepare(settings), drain=drain))
    except MeterproofError as error:
        print(f"meterproof-edge: {error}", file=sys.stderr)
        return 2 if error.code in NOT_AS_CONFIGURED else 1
    return 0
