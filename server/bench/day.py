"""A day of many devices at speed: memory flat, disk linear, proofs logarithmic, restarts as fast at its end as in its beginning.

In: an empty folder. Out: rows. A quarter of the devices sends its day, then another, then half of them. After each part the backend, which
has settled by then, is stopped and started some times, of which the fastest counts: whatever else the machine does only adds. Growth on
disk is taken while it is stopped: write-ahead logs, which come and go, would hide it. Never waits for the hours.
"""

import math
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from server.bench.load import whole
from server.bench.primitives import READINGS
from server.bench.rig import Rig
from server.bench.rows import Row
from server.bench.scale import Scale
from server.evidence.tiles import TileReader

IDS = ("day_rss_mb", "day_rss_growth", "day_disk_mb", "day_disk_linear", "day_proof_hashes", "day_restart_s")
TEN_MILLION = 10_000_000
HOURS = 24
RESTARTS = 3


@dataclass(frozen=True)
class Sample:
    """What the backend takes when so many bundles are stored."""

    stored: int
    rss_mb: float
    disk_mb: float


class Day:
    """Takes samples while a fleet sends, and restarts the backend between its parts."""

    def __init__(self, rig: Rig, bundles: int) -> None:
        self._rig, self._bundles = rig, bundles
        self.samples: list[Sample] = []
        self.rests: list[tuple[int, float]] = []  # (bundles stored, MB on disk) while the backend is stopped
        self.restarts_s: list[float] = []

    def watch(self) -> None:
        self.samples.append(Sample(self._rig.stored(), self._rig.rss_mb(), self._rig.disk_mb()))

    def send(self, devices: int) -> None:
        """The whole day of so many of the devices, to its last anchor."""
        whole(self._rig.send(self._rig.plan(devices, HOURS, READINGS), self.watch))
        self._rig.settle()
        time.sleep(1)
        self.watch()

    def restart(self) -> None:
        times_s = []
        for _ in range(RESTARTS):
            self._rig.backend.stop()
            stopped_mb = self._rig.disk_mb()
            times_s.append(self._rig.start_backend())
        self.rests.append((self._rig.stored(), stopped_mb))
        self.restarts_s.append(min(times_s))

    def at(self, part: float) -> Sample:
        """The first sample with that part of the day stored."""
        return next((sample for sample in self.samples if sample.stored >= part * self._bundles), self.samples[-1])


def measure(folder: Path, scale: Scale) -> list[Row]:
    devices = scale.day_devices
    with Rig(folder / "day", "mosquitto", devices) as rig:
        day = Day(rig, devices * HOURS)
        quarter = devices // 4
        for part in (quarter, quarter, devices - 2 * quarter):
            day.send(part)
            day.restart()
        end = day.samples[-1]
        reader = TileReader(rig.home / "evidence-log", end.stored)
        proof = len(reader.inclusion_path(end.stored // 2, end.stored))
    return rows(day, devices, proof)


def rows(day: Day, devices: int, proof: int) -> list[Row]:
    half, end = day.at(0.5), day.samples[-1]
    readings = end.stored * READINGS
    group = f"24 simulated hours of {devices:,} devices at speed: {readings:,} readings"
    earlier_mb, slope_mb = [(late[1] - early[1]) / max(1, late[0] - early[0]) for early, late in pairwise(day.rests)]
    ten_million_mb = end.disk_mb + slope_mb * max(0, TEN_MILLION - readings) / READINGS
    peak_mb = max(sample.rss_mb for sample in day.samples)
    return [
        Row(
            IDS[0],
            group,
            "memory of the backend, the most; measured with these readings, not with 10 million",
            peak_mb,
            "MB",
            None,
            250,
            False,
        ),
        Row(IDS[1], group, "memory at the end beside half-way (1: flat)", end.rss_mb / half.rss_mb, "×", more=False),
        Row(
            IDS[2],
            group,
            "disk at 10 million readings, everything while it runs, by the slope of the second half",
            ten_million_mb,
            "MB",
            None,
            200,
            False,
        ),
        Row(
            IDS[3],
            group,
            "disk a bundle, second half beside the quarter before (1: linear)",
            slope_mb / earlier_mb if earlier_mb else 0,
            "×",
            more=False,
        ),
        Row(
            IDS[4],
            group,
            "hashes of an inclusion proof; limit: log₂ of the log",
            proof,
            "hashes",
            math.ceil(math.log2(end.stored)),
            more=False,
        ),
        Row(IDS[5], group, "restart at the end; limit: after a quarter of the day", day.restarts_s[-1], "s", day.restarts_s[0], more=False),
    ]
