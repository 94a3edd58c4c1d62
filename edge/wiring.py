"""Puts the device together: every part made once, in the order in which they need each other. Forgotten afterwards.

In: settings, the node's key, a flash and a watchdog where the board has them. Out: the attributes of a Device. Never starts anything.
"""

import asyncio

from edge import attest, clock, flash, health, journal, meters, notebook, sampler, sealer, signer, uplink
from shared import ids, messages


def wire(device: object, settings: object, prepared: object, flash_port: object | None, watchdog: object | None) -> None:
    ids.decode_id(ids.ORG, settings.org)
    own = signer.open_signer(settings.device_dir)
    # What the installer compares with what the backend was shown, before enrolling.
    print("device " + ids.encode_id(ids.DEVICE, own.device) + " fingerprint " + ids.encode_id(ids.KEY, own.kid))
    build = attest.Build(own.device, prepared.firmware, attest.TIER_SOFTWARE)
    device.settings = settings
    device.health = health.Health(watchdog)
    device.notebook = notebook.Notebook(settings.notebook)
    device.clock = clock.build_clock(settings.clock)
    device.flash = flash_port or flash.open_file_flash(settings.flash["path"], settings.flash["sectors"])
    device.meter = meters.open_meter(settings.meter)
    device.journal = journal.Journal(device.flash)
    device.journal.reserve(settings.bundle_count, device.meter.registers)
    notebook.close_book(device.notebook, device.journal)
    device.notebook.booted(device.journal.start_boot())
    desk = asyncio.Lock()  # one piece of work at a time that needs much room
    device.sealer = sealer.Sealer(settings, device.clock, device.journal, own, build, device.health, device.notebook, desk)
    device.sampler = sampler.Sampler(
        settings,
        device.clock,
        device.meter,
        device.journal,
        sampler.TableStore(settings.device_dir, settings.channel),
        build,
        device.health,
        device.notebook,
        device.sealer.on_reading,
        device.on_table,
    )
    device.uplink = uplink.Uplink(
        settings,
        device.journal,
        prepared.node,
        attest.Attester(settings, own, build, device.journal.boot, device.clock),
        build,
        device.sampler,
        device.health,
        device.notebook,
        device.sealer.on_answer,
        messages.encode_hello(own.device, device.journal.boot),
        topics_of(settings.org, ids.encode_id(ids.DEVICE, own.device)),
        desk,
    )


def topics_of(org: str, device: str) -> dict[str, str]:
    return {what: messages.topic(org, device, what) for what in messages.TO_NODE + messages.TO_DEVICE}
