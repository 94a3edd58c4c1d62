"""A SunSpec inverter's meter with four unit ids on Modbus TCP, replaying measured watts on a scaled clock.

In: the CSV, a port, the clock's three numbers. Out: registers as `edge/meters/sunspec.py` lays them out. Each unit id shows the same days
shifted by its own time; the voltage is the nominal one, for the record has none. Never makes up energy: both
registers are the integral of the CSV's watts.
"""

import argparse
import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge.clock import build_clock
from edge.meters import sunspec
from server.demo.profile import Profile, Registers, read_profile

UNITS = (1, 2, 3, 4)
SHIFT_S = {1: 0, 2: 11 * 60, 3: 23 * 60, 4: 37 * 60}
BASE = sunspec.BASES[0]
METER_AT = 2 + sunspec.COMMON_WORDS  # words from the base to the meter model
NOMINAL_DECIVOLT = 2400
WH_SCALE, W_SCALE, V_SCALE = 0, 0, -1
WORDS = METER_AT + 2 + sunspec.METER_LENGTH + 2


@dataclass(frozen=True)
class ScaledClock:
    """What a device and its meter both take for now: the three numbers of a device's `simulated` clock."""

    epoch_s: int
    wall_ms: int
    scale_milli: int

    def settings(self) -> dict[str, object]:
        return {"kind": "simulated", "epoch_s": self.epoch_s, "wall_ms": self.wall_ms, "scale_milli": self.scale_milli}


def text_words(text: str, words: int) -> list[int]:
    """A SunSpec string, padded with NUL."""
    data = text.encode("ascii")[: 2 * words].ljust(2 * words, b"\0")
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def build_words(unit: int, registers: Registers) -> list[int]:
    """The whole map of one unit from its first register on."""
    words = [0x5375, 0x6E53, sunspec.COMMON_MODEL, sunspec.COMMON_WORDS - 2]
    words += text_words("Meterproof", 16) + text_words("SERF East replay", 16) + text_words("", 8) + text_words("1.0", 8)
    words += text_words(f"SERF-{unit:04d}", 16) + [unit, 0]
    words += [sunspec.METER_MODELS[2], sunspec.METER_LENGTH] + [0] * sunspec.METER_LENGTH + [sunspec.END_MODEL, 0]
    put_measured(words, registers)
    return words


def put_measured(words: list[int], registers: Registers) -> None:
    """Writes the measured points, and their scale factors, into a map."""
    for offset, value in ((38, registers.export_wh), (46, registers.import_wh)):
        words[METER_AT + offset] = value >> 16 & 0xFFFF
        words[METER_AT + offset + 1] = value & 0xFFFF
    words[METER_AT + 18] = -registers.power_w & 0xFFFF  # import positive
    words[METER_AT + 8] = NOMINAL_DECIVOLT
    for offset, scale in ((54, WH_SCALE), (22, W_SCALE), (15, V_SCALE)):
        words[METER_AT + offset] = scale & 0xFFFF


def build_device(unit: int, profile: Profile, second: Callable[[], int]) -> SimDevice:
    """One unit id; `second()` is how far the replay has come."""

    async def refresh(
        function: int, start: int, address: int, count: int, current: list[int], wanted: list[int] | list[bool] | None
    ) -> ExcCodes | None:
        if wanted is not None:
            return ExcCodes.ILLEGAL_FUNCTION
        offset = BASE - start
        words = current[offset : offset + WORDS]
        put_measured(words, profile.at(second()))
        current[offset : offset + WORDS] = words
        return None

    words = build_words(unit, profile.at(0))
    data = SimData(BASE, values=words, datatype=DataType.REGISTERS)
    return SimDevice(unit, simdata=[data], action=refresh)


async def serve(port: int, csv: Path, clock: ScaledClock, start_s: int) -> None:
    """Answers until it is ended. `start_s`: UTC at which the record begins."""
    profile = read_profile(csv)
    now = build_clock(clock.settings())

    def second() -> int:
        return int(now.now().time_s) - start_s

    devices = [build_device(unit, profile.shifted(SHIFT_S[unit]), second) for unit in UNITS]
    await ModbusTcpServer(devices, address=("127.0.0.1", port)).serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="server.demo.inverter", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--start-s", type=int, required=True)
    for name in ("--epoch-s", "--wall-ms", "--scale-milli"):
        parser.add_argument(name, type=int, required=True)
    options = parser.parse_args()
    clock = ScaledClock(options.epoch_s, options.wall_ms, options.scale_milli)
    asyncio.run(serve(options.port, options.csv, clock, options.start_s))


if __name__ == "__main__":
    main()
