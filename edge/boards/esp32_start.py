"""Starts the agent on an ESP32. In: /config.json and /wifi.json on the board. Out: a running agent; after a fault the board restarts.

Written from MicroPython's documentation, checked by type against its stubs and with a simulated board: not yet run on a board.
"""

import asyncio
import json
import sys
import time

import machine

from edge.boards.esp32_ports import Watchdog, connect_network
from edge.config import Config
from edge.memory import collect_often

CONFIG_PATH = "/config.json"
WIFI_PATH = "/wifi.json"
RESTART_AFTER_MS = 10_000  # time to read the fault on the console, and no faster than flash can bear


async def run_board(settings: Config, prepared: object) -> None:
    """The agent with the board's flash partition (named by `flash.path`) and watchdog."""
    from edge.device import run
    from edge.flash_partition import PartitionFlash  # after the device: it shares code with it

    watchdog = Watchdog(settings.period_s)
    guard = asyncio.create_task(watchdog.guard())
    try:
        await run(settings, prepared, PartitionFlash(settings.flash["path"]), watchdog)
    finally:
        guard.cancel()


def start() -> None:
    """The board's main: never returns."""
    try:
        with open(WIFI_PATH) as file:
            wifi = json.load(file)
        connect_network(wifi["ssid"], wifi["password"])
        collect_often()
        from edge import device  # code takes most of the heap: first, and after the garbage is kept small

        settings = device.read_settings(CONFIG_PATH)
        asyncio.run(run_board(settings, device.prepare(settings)))
    except Exception as error:  # the one broad except of this process: whatever it was, the board must come back
        sys.print_exception(error)
    time.sleep_ms(RESTART_AFTER_MS)
    machine.reset()
