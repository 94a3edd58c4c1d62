"""A day of many devices at speed: memory flat, disk linear, proofs logarithmic, restarts as fast at its end as in its beginning.

In: an empty folder. Out: rows. The backend is stopped and started after a quarter of the day and at its end. Never waits for the hours:
a day is the bundles of 24 hours, sent as fast as they are taken.
"""

import math
import time
from dataclasses import dataclass
from pathlib import Path

from server.bench.load import whole
from server.bench.primitives import READINGS
from server.bench.rig import Rig
from server.bench.rows import Row
from server.bench.scale import Scale
from server.evidence.tiles import TileReader

IDS = ("day_rss_mb", "day_rss_growth", "day_disk_mb", "day_disk_linear", "day_proof_hashes", "day_restart_s")
TEN_MILLION = 10_000_000


@dataclass(frozen=True)
class Sample:
    """What the backend takes when so many bundles are stored."""

    stored: int
    rss_mb: float
    disk_mb: float


class Day:
    """Takes samples while a fleet sends, and restarts the backend after a quarter."""

    def __init__(self, rig: Rig, bundles: int) -> None:
        self._rig, self._bundles = rig, bundles
        self.samples: list[Sample] = []
        self.restarts_s: list[float] = []

    def watch(self) -> None:
        stored = self._rig.stored()
        if self._bundles / 4 <= stored and not self.restarts_s:
            self.restart()
        self.samples.append(Sample(stored, self._rig.rss_mb(), self._rig.disk_mb()))

    def restart(self) -> None:
        self._rig.backend.stop()
        self.restarts_s.append(self._rig.start_backend())

    def at(self, part: float) -> Sample:
        """The first sample with that part of the day stored."""
        return next((sample for sample in self.samples if sample.stored >= part * self._bundles), self.samples[-1])


def measure(folder: Path, scale: Scale) -> list[Row]:
    devices, hours = scale.day_devices, 24
    with Rig(folder / "day", "mosquitto", devices) as rig:
        day = Day(rig, devices * hours)
        whole(rig.send(rig.plan(devices, hours, READINGS), day.watch))
        rig.settle()
        time.sleep(1)
        day.watch()
        end = day.at(1)
        reader = TileReader(rig.home / "evidence-log", end.stored)
        proof = len(reader.inclusion_path(end.stored // 2, end.stored))
        day.restart()
    return rows(day, devices, proof)


def rows(day: Day, devices: int, proof: int) -> list[Row]:
    quarter, half, end = day.at(0.3), day.at(0.5), day.samples[-1]
    readings = end.stored * READINGS
    group = f"24 simulated hours of {devices:,} devices at speed: {readings:,} readings"
    slope_mb = (end.disk_mb - half.disk_mb) / max(1, end.stored - half.stored)
    earlier_mb = (half.disk_mb - quarter.disk_mb) / max(1, half.stored - quarter.stored)
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
            "disk at 10 million readings, everything, by the slope of the second half",
            ten_million_mb,
            "MB",
            None,
            200,
            False,
        ),
        Row(
            IDS[3],
            group,
            "disk a bundle, second half beside first (1: linear)",
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
        Row(IDS[5], group, "restart at the end; limit: after a quarter of the day", day.restarts_s[1], "s", day.restarts_s[0], more=False),
    ]
