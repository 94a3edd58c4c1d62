"""The device's settings. In: a JSON file. Out: one checked `Config`, read once and passed as an argument. Never changed, never logged
whole.

Errors: DecodeError 195 (unreadable, not JSON, a field missing, unknown, of the wrong type or out of range).
"""

import binascii
import json
import os

from shared.errors import DecodeError

CONFIG_BYTES_MAX = 8192
BUNDLE_COUNT_MAX = 1024  # SPEC 3, key 8

# name: (type, minimum, maximum) for numbers, (type, bytes_max) for texts, a tuple of names for maps.
FIELDS = {
    "org": (str, 80),
    "device_dir": (str, 512),
    "origin": (str, 200),
    "node_key": (str, 400),
    "broker_host": (str, 200),
    "broker_port": (int, 1, 65535),
    "meter": (dict, ("kind", "host", "port", "unit")),
    "channel": (int, 0, 255),
    "period_s": (int, 1, 86400),
    "bundle_count": (int, 1, BUNDLE_COUNT_MAX),
    "bundle_max_s": (int, 1, 7 * 86400),
    "clock": (dict, ("kind",)),
    "flash": (dict, ("path", "sectors")),
    "hwmodel": (str, 32),
}
DEFAULTS = {
    "broker_user": None,
    "broker_password": None,
    "channel": 0,
    "bundle_count": 60,
    "bundle_max_s": 3600,
    "hwmodel": "unix",
    "notebook": None,
    "status_s": 60,
}
OPTIONAL_TEXTS = {"broker_user": 200, "broker_password": 200, "notebook": 512}
CLOCK_FIELDS = {
    "system": {"quality": (1, 2)},
    "ntp": {"port": (1, 65535)},
    "simulated": {"epoch_s": (0, 1 << 40), "wall_ms": (0, 1 << 50), "scale_milli": (1, 100_000_000)},
}


class Config:
    """Attributes as in FIELDS and DEFAULTS; `node_key` is bytes (COSE_Key), `status_s` the wall seconds between two status lines (0:
    none)."""

    __slots__ = (
        "org", "device_dir", "origin", "node_key", "broker_host", "broker_port", "broker_user", "broker_password", "meter", "channel",
        "period_s", "bundle_count", "bundle_max_s", "clock", "flash", "hwmodel", "notebook", "status_s",
    )  # fmt: skip


def check_int(name: str, value: object, minimum: int, maximum: int) -> int:
    if type(value) is not int or not minimum <= value <= maximum:
        raise DecodeError(195, f"config: {name} is not a number from {minimum} to {maximum}")
    return value


def check_text(name: str, value: object, bytes_max: int) -> str:
    try:
        length = len(value.encode()) if isinstance(value, str) else 0
    except ValueError:
        length = 0  # half a surrogate pair, which JSON can write
    if not 0 < length <= bytes_max:
        raise DecodeError(195, f"config: {name} is not a text of 1 to {bytes_max} bytes")
    return value


def check_field(name: str, value: object) -> None:
    rule = FIELDS[name]
    if rule[0] is int:
        check_int(name, value, rule[1], rule[2])
    elif rule[0] is str:
        check_text(name, value, rule[1])
    else:
        if not isinstance(value, dict):
            raise DecodeError(195, f"config: {name} is not an object")
        for key in rule[1]:
            if key not in value:
                raise DecodeError(195, f"config: {name}.{key} is missing")


def check_meter(settings: dict) -> None:
    check_text("meter.kind", settings["kind"], 20)
    check_text("meter.host", settings["host"], 200)
    check_int("meter.port", settings["port"], 1, 65535)
    check_int("meter.unit", settings["unit"], 0, 255)


def check_clock(settings: dict) -> None:
    known = CLOCK_FIELDS.get(settings["kind"]) if isinstance(settings["kind"], str) else None
    if known is None:
        raise DecodeError(195, "config: clock.kind is not system, ntp or simulated")
    for name in known:
        if name in settings:
            check_int("clock." + name, settings[name], known[name][0], known[name][1])
        elif settings["kind"] == "simulated":
            raise DecodeError(195, f"config: clock.{name} is missing")
    if settings["kind"] == "ntp":
        check_text("clock.host", settings.get("host"), 200)


def decode_config(text: str) -> Config:
    if len(text) > CONFIG_BYTES_MAX:
        raise DecodeError(195, "config: file too large")
    try:
        given = json.loads(text)
    except (ValueError, RuntimeError):  # RuntimeError: nested too deep
        raise DecodeError(195, "config: not JSON")
    if not isinstance(given, dict):
        raise DecodeError(195, "config: not an object")
    values = dict(DEFAULTS)
    values.update(given)
    for name in values:
        if name not in FIELDS and name not in DEFAULTS:
            raise DecodeError(195, f"config: unknown field {name}")
    for name in FIELDS:
        if name not in values:
            raise DecodeError(195, f"config: {name} is missing")
        check_field(name, values[name])
    for name in OPTIONAL_TEXTS:
        if values[name] is not None:
            check_text(name, values[name], OPTIONAL_TEXTS[name])
    check_int("status_s", values["status_s"], 0, 86400)
    check_meter(values["meter"])
    check_clock(values["clock"])
    check_int("flash.sectors", values["flash"]["sectors"], 4, 16384)
    check_text("flash.path", values["flash"]["path"], 512)
    return build_config(values)


def build_config(values: dict) -> Config:
    try:
        values["node_key"] = binascii.unhexlify(values["node_key"])
    except ValueError:
        raise DecodeError(195, "config: node_key is not hexadecimal")
    config = Config()
    for name in values:
        setattr(config, name, values[name])
    return config


def read_config(path: str) -> Config:
    try:
        size_bytes = os.stat(path)[6]
        if size_bytes > CONFIG_BYTES_MAX:  # asked first: to read so much takes as much heap in one piece
            raise DecodeError(195, "config: file too large")
        with open(path) as file:
            text = file.read(size_bytes)
    except OSError:
        raise DecodeError(195, "config: cannot read the file")
    return decode_config(text)
