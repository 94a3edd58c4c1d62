"""The firmware's crypto and memory in real MicroPython, and the journal on flash.

In: an empty folder. Out: rows. Never skips: without MicroPython it fails.
"""

import os
import secrets
import subprocess
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from edge.flash import SECTOR_BYTES
from edge.journal import Journal
from edge.records import Context
from server.bench.clock import Figure
from server.bench.node import FIRMWARE, READINGS, REGISTERS, TABLE, BenchDevice
from server.bench.rows import Row, row
from server.bench.scale import Scale
from server.demo.fleet import HEAP_SIZE, ROOT, build_images
from shared.channel import table_hash
from shared.errors import Unavailable

GROUP = f"firmware in MicroPython, heap {HEAP_SIZE}"
IDS = (
    "device_sign_ms",
    "device_verify_ms",
    "device_step_ms",
    "device_heap_used_bytes",
    "device_heap_free_bytes",
    "journal_bytes_per_reading",
    "journal_days_in_1_mib",
    "journal_wear_years",
)
MEASURE = ROOT / "tests" / "micropython" / "measure_sign.py"
# As a device starts: every module of the agent, nothing of it running yet.
HEAP_PROBE = "import gc, edge.main, edge.device; gc.collect(); print('used', gc.mem_alloc(), 'B'); print('free', gc.mem_free(), 'B')"
TIMEOUT_S = 120
SECTORS = 256  # 1 MiB
SOURCES_HEAP = "1m"  # the interpreter compiles them there first
ERASE_CYCLES = 100_000  # what data sheets of NOR flash promise for a sector
ERASES_MEASURED = 16
READINGS_PER_DAY = 24 * 60
DAYS_PER_YEAR = 365.25


def measure(folder: Path, scale: Scale) -> list[Row]:
    build_images(folder / "firmware")
    image = folder / "firmware" / "unix"
    heap = micropython(image, ["-c", HEAP_PROBE])
    days, years = journal_life()
    bytes_each, what = journal_bytes(scale.journal_bundles), f"journal, bundles of {READINGS} × {len(REGISTERS)}"
    return [
        *crypto_rows([micropython(ROOT, [str(MEASURE), str(scale.sign_repeats)], SOURCES_HEAP) for _ in range(min(3, scale.repeats))]),
        Row(IDS[3], GROUP, "heap used after import", heap["used"], "B", None, None, False),
        Row(IDS[4], GROUP, "heap free after import", heap["free"], "B"),
        Row(IDS[5], "journal on flash, all included", what, bytes_each, "B/reading", None, 16, False),
        Row(
            IDS[6],
            "journal on flash, all included",
            "days of one-minute readings in 1 MiB, filled to its first loss",
            days,
            "days",
            None,
            30,
            True,
        ),
        Row(
            IDS[7],
            "journal on flash, all included",
            f"years at that rate till a sector was erased {ERASE_CYCLES:,} times",
            years,
            "years",
            None,
            10,
            True,
        ),
    ]


def crypto_rows(runs: Sequence[dict[str, float]]) -> list[Row]:
    """Each run is the median of many; the longest step is the least of many, what the code needs and not what the host did meanwhile."""
    steps = [max(run["sign_step_ms_max"], run["verify_table_step_ms_max"]) for run in runs]

    def ms(name: str, what: str, values: Sequence[float], goal: float) -> Row:
        found = Figure(sorted(values)[len(values) // 2], min(values), max(values))
        return row(name, GROUP, what, found, "ms", goal=goal, more=False, on_device=True)

    return [
        ms(IDS[0], "sign a statement", [run["sign_ms"] for run in runs], 4.0),
        ms(IDS[1], "verify an ack, with table", [run["verify_table_ms"] for run in runs], 5.0),
        ms(IDS[2], "longest step, sign or verify", steps, 0.3),
    ]


def micropython(image: Path, arguments: Sequence[str], heap: str = HEAP_SIZE) -> dict[str, float]:
    """Lines `name value unit` that a script printed, run from inside the image. Raises Unavailable 460."""
    command = [str(Path(sys.executable).with_name("micropython")), "-X", f"heapsize={heap}", *arguments]
    environment = {**os.environ, "MICROPYPATH": ".:.frozen"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=image, env=environment, timeout=TIMEOUT_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(460, f"MicroPython does not run: {error}") from None
    if done.returncode != 0:
        raise Unavailable(460, f"MicroPython failed: {(done.stderr or done.stdout).strip()[-400:]}")
    lines = [line.split() for line in done.stdout.splitlines()]
    return {words[0]: float(words[1]) for words in lines if len(words) == 3}


class MemoryFlash:
    """A port of the journal: flash that is whole and never fails."""

    def __init__(self, sectors: int) -> None:
        self.sectors = sectors
        self.content = bytearray(b"\xff" * sectors * SECTOR_BYTES)
        self.erases = 0

    def read_into(self, address: int, buffer: bytearray) -> None:
        buffer[:] = self.content[address : address + len(buffer)]

    def program(self, address: int, data: bytes) -> None:
        self.content[address : address + len(data)] = data

    def erase(self, sector: int) -> None:
        self.erases += 1
        self.content[sector * SECTOR_BYTES : (sector + 1) * SECTOR_BYTES] = b"\xff" * SECTOR_BYTES


class Filler:
    """A journal that is written as a device writes it, bundle after bundle, and never acked."""

    def __init__(self) -> None:
        self.flash = MemoryFlash(SECTORS)
        self.journal, self._device = Journal(self.flash), BenchDevice()
        self.journal.start_boot()
        self._context = Context(self.journal.boot, 0, 2, 1, len(REGISTERS), table_hash(TABLE), FIRMWARE)

    def bundle(self) -> None:
        readings, salt = self._device.readings(READINGS), secrets.token_bytes(16)
        for reading in readings:
            self.journal.append(self._context, reading.time_s, reading.registers, reading.status)
        statement = self._device.statement(readings, salt)
        self.journal.seal("readings", statement, sha256(statement).digest(), salt, readings[0].seq, READINGS)


def journal_bytes(bundles: int) -> float:
    """Flash used for each reading, statements and sector headers included; none is acked."""
    filler = Filler()
    for _ in range(bundles):
        filler.bundle()
    ring = filler.journal.ring
    return float(((ring.alive_count() - 1) * SECTOR_BYTES + ring.offset) / (bundles * READINGS))


def journal_life() -> tuple[float, float]:
    """(days that 1 MiB holds at one reading a minute, years at that rate till its sectors were erased as often as they bear)."""
    filler = Filler()
    while not filler.journal.losses:
        filler.bundle()
    held = filler.journal.next_seq
    before = filler.flash.erases
    while filler.flash.erases < before + ERASES_MEASURED:  # full: from here on every sector written is one erased
        filler.bundle()
    per_erase = (filler.journal.next_seq - held) / ERASES_MEASURED
    return float(held / READINGS_PER_DAY), float(ERASE_CYCLES * SECTORS * per_erase / READINGS_PER_DAY / DAYS_PER_YEAR)
