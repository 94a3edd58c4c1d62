"""Drivers of meters. In: the config's `meter` object. Out: one meter object for the sampler. Never raises for a meter's troubles.

A meter has `table` (bytes of its channel table, None until it was seen), `await read()` -> (registers, status) with as many registers as
the table names, and `close()`. Below it a transport has `await read(unit, address, count)` -> 2 × count bytes, and `close()`; it raises
Unavailable 440 (silent), 441 (the meter refused) or DecodeError 175 (garbled).
"""

import sys

from shared.errors import DecodeError


def open_meter(settings: dict) -> object:
    """`{"kind": "sunspec", "host", "port", "unit"}`. On a gateway pymodbus carries it, on MicroPython our own client."""
    if settings["kind"] != "sunspec":
        raise DecodeError(195, "config: meter.kind is not sunspec")
    from edge.meters.sunspec import SunspecMeter

    if sys.implementation.name == "micropython":
        from edge.meters.modbus_tcp import ModbusTcp as Transport
    else:
        from edge.meters.modbus_gateway import ModbusGateway as Transport
    return SunspecMeter(Transport(settings["host"], settings["port"]), settings["unit"])
