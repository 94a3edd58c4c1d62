"""The board tables (hardware/boards/*.toml) and everything generated from them.

In: one TOML table per board. Out: edge/boards/<board>.py with the constants the firmware uses, an SVG of the wiring, the pin tables
in README.md, the ESP32's partition table as CSV and as the bytes that are flashed. Never lets a pin, a partition or a limit through
that cannot work.
"""

import hashlib
import struct
import tomllib
from pathlib import Path
from typing import Any

from hardware.picture import draw_wiring

ROOT = Path(__file__).resolve().parent.parent
BOARDS_DIR = ROOT / "hardware" / "boards"
FIRMWARE_SECTIONS = ("rs485", "led", "watchdog", "journal")
SECTOR_BYTES = 4096
APP_ALIGN_BYTES = 0x10000
SECTORS_MIN, SECTORS_MAX = 4, 16384  # edge/flash.py
PARTITION_TABLE_OFFSET = 0x8000
PARTITION_TABLE_BYTES = 0xC00
PARTITION_TYPES = {"app": 0, "data": 1}
PARTITION_SUBTYPES = {
    ("app", "factory"): 0x00,
    ("data", "phy"): 0x01,
    ("data", "nvs"): 0x02,
    ("data", "undefined"): 0x06,
    ("data", "fat"): 0x81,
}
WIRE_SUPPLIES = ("3V3", "5V", "GND")

ESP32_MAIN = '''"""Started by MicroPython after boot.py. In: /config.json, /wifi.json. Out: a running agent. Never returns."""

from edge.boards.esp32_start import start

start()
'''

Board = dict[str, Any]


class BoardError(ValueError):
    """A table that no board could be built from."""


def board_names() -> list[str]:
    return sorted(path.stem for path in BOARDS_DIR.glob("*.toml"))


def read_board(name: str) -> Board:
    """The checked table of one board. Raises BoardError."""
    board = tomllib.loads((BOARDS_DIR / f"{name}.toml").read_text())
    if board.get("name") != name:
        raise BoardError(f"{name}.toml names itself {board.get('name')}")
    check_board(board)
    return board


def check_board(board: Board) -> None:
    """Raises BoardError for a pin used twice or reserved, an impossible limit, or partitions that overlap."""
    for field in ("name", "title", "tried"):
        if not isinstance(board.get(field), str):
            raise BoardError(f"{field} is missing")
    check_pins(board)
    rs485 = board.get("rs485")
    if rs485 and not 300 <= rs485["baud_default"] <= rs485["baud_max"]:
        raise BoardError("baud_default is beyond baud_max")
    if not SECTORS_MIN <= board["journal"]["sectors"] <= SECTORS_MAX:
        raise BoardError(f"a journal has {SECTORS_MIN} to {SECTORS_MAX} sectors")
    for wire in board.get("wire", []):
        wire_label(board, wire)
    if "flash" in board:
        check_partitions(board)


def check_pins(board: Board) -> None:
    used: dict[int, str] = {}
    for section in FIRMWARE_SECTIONS:
        for key, pin in board.get(section, {}).items():
            if key != "pin" and not key.endswith("_pin"):
                continue
            where = f"{section}.{key}"
            if type(pin) is not int or not 0 <= pin <= board["chip"]["gpio_max"]:
                raise BoardError(f"{where}: the chip has no GPIO {pin}")
            if pin in board["chip"]["gpio_reserved"]:
                raise BoardError(f"{where}: GPIO {pin} is reserved")
            if pin in used:
                raise BoardError(f"{where}: GPIO {pin} is already {used[pin]}")
            used[pin] = where


def check_partitions(board: Board) -> None:
    end = PARTITION_TABLE_OFFSET + SECTOR_BYTES
    for part in board["flash"]["partition"]:
        align = APP_ALIGN_BYTES if part["type"] == "app" else SECTOR_BYTES
        if part["offset"] < end or part["offset"] % align or part["size"] % SECTOR_BYTES or not part["size"]:
            raise BoardError(f"partition {part['name']} overlaps the one before it or is not aligned")
        if (part["type"], part["subtype"]) not in PARTITION_SUBTYPES or len(part["name"]) > 15:
            raise BoardError(f"partition {part['name']} has an unknown type or too long a name")
        end = part["offset"] + part["size"]
    if end > board["flash"]["size_bytes"]:
        raise BoardError("the partitions do not fit into the flash")
    journal = board["journal"]
    if partition_bytes(board, journal["partition"]) != journal["sectors"] * SECTOR_BYTES:
        raise BoardError("journal.sectors is not the size of its partition")


def partition_bytes(board: Board, name: str) -> int:
    for part in board["flash"]["partition"]:
        if part["name"] == name:
            return int(part["size"])
    raise BoardError(f"no partition {name}")


def wire_label(board: Board, wire: Board) -> str:
    """`GPIO 17 (tx)`, or the name of a supply pin."""
    if wire["board"] in WIRE_SUPPLIES:
        return str(wire["board"])
    section, _, key = wire["board"].partition(".")
    if not key.endswith("pin") or key not in board.get(section, {}):
        raise BoardError(f"wire to {wire['board']}, which is no pin of the table")
    return f"GPIO {board[section][key]}"


def encode_partitions(board: Board) -> bytes:
    """The partition table as the ESP32's bootloader reads it at 0x8000: 32 bytes an entry, then the MD5 of the entries, then ones."""
    entries = b"".join(
        struct.pack(
            "<2sBBII16sI",
            b"\xaa\x50",
            PARTITION_TYPES[part["type"]],
            PARTITION_SUBTYPES[part["type"], part["subtype"]],
            part["offset"],
            part["size"],
            part["name"].encode(),
            0,
        )
        for part in board["flash"]["partition"]
    )
    digest = b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(entries, usedforsecurity=False).digest()
    return (entries + digest).ljust(PARTITION_TABLE_BYTES, b"\xff")


def firmware_constants(board: Board) -> str:
    """edge/boards/<board>.py."""
    lines = [
        f'"""{board["title"]}: pins, ports and limits.',
        "",
        f"In: hardware/boards/{board['name']}.toml, from which hardware/build_firmware.py --boards makes this file. Out: constants.",
        "Never edited by hand: a test compares it with the table.",
        '"""',
        "",
        f'BOARD = "{board["name"]}"',
    ]
    for section in FIRMWARE_SECTIONS:
        for key, value in board.get(section, {}).items():
            text = f'"{value}"' if isinstance(value, str) else str(value)
            lines.append(f"{section.upper()}_{key.upper()} = {text}")
    return "\n".join(lines) + "\n"


def pin_table(board: Board) -> str:
    """The board's pins and limits as the Markdown of README.md."""
    lines = ["| board | RS-485 transceiver |", "|---|---|"]
    lines += [f"| {wire_label(board, wire)} | {wire['part']} |" for wire in board["wire"]]
    rs485, supply = board["rs485"], board["supply"]
    port = rs485.get("port") or f"UART {rs485['uart']}"
    lines += [
        "",
        f"Serial port: {port}, {rs485['baud_default']} baud unless the meter says otherwise, at most {rs485['baud_max']}. "
        f"LED: GPIO {board['led']['pin']} with a resistor. "
        f"Supply: {supply['volts']}, {supply['current_ma_max']} mA; {supply['note']}. "
        f"Watchdog: {board['watchdog']['timeout_s']} s. Journal: {board['journal']['sectors']} sectors of 4 KiB.",
        "",
        f"**{board['tried']}**",
    ]
    return "\n".join(lines)


def partitions_csv(board: Board) -> str:
    lines = ["# Generated from the board table. Name, Type, SubType, Offset, Size"]
    lines += [
        f"{part['name']}, {part['type']}, {part['subtype']}, {part['offset']:#x}, {part['size']:#x}" for part in board["flash"]["partition"]
    ]
    return "\n".join(lines) + "\n"


def fill_readme(text: str, board: Board) -> str:
    """README.md with the board's table between its two markers renewed."""
    begin, end = f"<!-- {board['name']} table -->", f"<!-- end of {board['name']} table -->"
    before, found_begin, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise BoardError(f"hardware/README.md has no place for the table of {board['name']}")
    return f"{before}{begin}\n{pin_table(board)}\n{end}{after}"


def generated_files() -> dict[Path, str]:
    """Every committed file that is made from the tables, with its content."""
    files: dict[Path, str] = {}
    readme = ROOT / "hardware" / "README.md"
    text = readme.read_text()
    for name in board_names():
        board = read_board(name)
        files[ROOT / "edge" / "boards" / f"{name}.py"] = firmware_constants(board)
        if "wire" in board:
            labels = [(wire_label(board, wire), wire["part"], wire["colour"]) for wire in board["wire"]]
            files[ROOT / "hardware" / f"wiring-{name}.svg"] = draw_wiring(board["title"], board["tried"], labels)
            text = fill_readme(text, board)
        if "flash" in board:
            files[ROOT / "hardware" / f"partitions-{name}.csv"] = partitions_csv(board)
    files[readme] = text
    return files


def write_generated() -> list[Path]:
    """Writes them; returns those that changed."""
    changed = []
    for path, text in generated_files().items():
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            changed.append(path)
    return changed
