"""The device: everything that runs, wired together. In: its settings, the node's key. Out: tasks that run till one fails or nothing is left
to do.

Started by `edge/main.py`, on a board by `edge/boards/`. It only wires; what a part does stands in the part.
"""

import asyncio
import sys

from edge import attest, clock, flash, health, journal, meters, notebook, sampler, sealer, signer, status, uplink
from edge.memory import forget
from shared import ids

DRAIN_POLL_S = 0.1


class Device:
    """Everything that runs, made once. `flash_port` and `watchdog` are given on a board; elsewhere the flash is a file."""

    def __init__(self, settings: object, prepared: object, flash_port: object | None, watchdog: object | None) -> None:
        ids.decode_id(ids.ORG, settings.org)
        own = signer.open_signer(settings.device_dir)
        # What the installer compares with what the backend was shown, before enrolling.
        print("device " + ids.encode_id(ids.DEVICE, own.device) + " fingerprint " + ids.encode_id(ids.KEY, own.kid))
        build = attest.Build(own.device, prepared.firmware, attest.TIER_SOFTWARE)
        self.settings = settings
        self.health = health.Health(watchdog)
        self.notebook = notebook.Notebook(settings.notebook)
        self.clock = clock.build_clock(settings.clock)
        self.flash = flash_port or flash.FileFlash(settings.flash["path"], settings.flash["sectors"])
        self.meter = meters.open_meter(settings.meter)
        self.journal = journal.Journal(self.flash)
        self.journal.reserve(settings.bundle_count, self.meter.registers)
        forget("recovery")
        notebook.close_book(self.notebook, self.journal)
        self.notebook.booted(self.journal.start_boot())
        self.sealer = sealer.Sealer(settings, self.clock, self.journal, own, build, self.health, self.notebook)
        store = sampler.TableStore(settings.device_dir, settings.channel)
        self.sampler = sampler.Sampler(
            settings, self.clock, self.meter, self.journal, store, build, self.health, self.notebook, self.sealer.on_reading, self.on_table
        )
        self.uplink = uplink.Uplink(
            settings,
            self.journal,
            prepared.node,
            attest.Attester(settings, own, build, self.journal.boot, self.clock),
            build,
            self.sampler,
            self.health,
            self.notebook,
            self.sealer.on_answer,
        )

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


async def until_drained(journal: journal.Journal, work: asyncio.Task) -> None:
    """What an earlier start left unsealed is of another boot, so the sealer closes all of it."""
    while not work.done() and (journal.groups or journal.losses or journal.pending_count()):
        await asyncio.sleep(DRAIN_POLL_S)
    work.cancel()
    try:
        await work
    except asyncio.CancelledError:
        print("drained: nothing is left on this device")
