"""Twice what the backend can do, through a real mosquitto: it keeps its rate, holds its memory, sheds and counts, and drains afterwards."""

import asyncio
from pathlib import Path

import pytest

from server.bench.fleet import Report
from server.bench.rig import Rig
from server.fsck import fsck

READINGS = 60
MEASURED, LOADED = 100, 200  # devices
BUNDLES = 60
RSS_MB_MAX = 250.0


class Peak:
    """The most memory that backend and broker took."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.backend_mb = self.broker_mb = 0.0

    def __call__(self) -> None:
        self.backend_mb = max(self.backend_mb, self._rig.rss_mb())
        self.broker_mb = max(self.broker_mb, self._rig.rss_mb(self._rig.broker))


def acked_while_offered(report: Report) -> float:
    """Bundles a second acked from the time the queues were full until the last bundle was offered."""
    during = [sample for sample in report.samples if sample[1] < report.bundles]
    (first_s, _, before), (last_s, _, after) = during[len(during) // 4], during[-1]
    return (after - before) / (last_s - first_s)


@pytest.mark.slow
def test_offered_twice_what_it_can_do(tmp_path: Path) -> None:
    with Rig(tmp_path, "mosquitto", MEASURED + LOADED) as rig:
        able = rig.send(rig.plan(MEASURED, 20, READINGS))
        assert able.acked == able.bundles
        rate = able.acked / able.seconds
        peak = Peak(rig)
        # Each device sends far more at once than the firmware would, and loses patience sooner.
        plan = rig.plan(LOADED, BUNDLES, READINGS, rate=2 * rate, window=BUNDLES, resend_s=2.0, resend_s_max=8.0)
        report = rig.send(plan, peak)
        status = rig.status()
        print(f"able {rate:.0f}/s, under twice that {acked_while_offered(report):.0f}/s, whole {report.acked / report.seconds:.0f}/s")
        print(f"sent again {report.published_again}, {status['connection']}, {status['messages']}, {peak.__dict__}")

        assert report.acked == report.bundles == LOADED * BUNDLES, "what was shed came again until it was acked"
        assert acked_while_offered(report) > rate / 3
        assert peak.backend_mb < RSS_MB_MAX
        shed = sum(count for name, count in status["connection"].items() if name.startswith("dropped"))
        assert shed > 0 and report.published_again > 0
        assert status["connection"]["taken"] == status["messages"]["received"], "nothing taken is forgotten"
        rig.settle()
        rig.backend.stop()
        found = asyncio.run(fsck(rig.home))
    assert found.ok, found.problems + found.derived_problems
    assert (found.log_size, found.duplicates, found.lost) == (able.bundles + report.bundles, 0, 0)
    assert found.readings == found.log_size * READINGS
