"""The backend stands still with its connection open while strangers shout: the broker holds its memory, and nothing real is lost."""

import signal
import time
from pathlib import Path

import pytest

from server.bench.brokers import KINDS
from server.bench.rig import Rig

DEVICES, BUNDLES, READINGS = 50, 20, 10
STILL_S = 15.0
BROKER_MB_MAX = 250.0


class Standstill:
    """Stops the backend when something is stored and lets it go on after a while; `broker_mb`: the most that the broker took."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._until_s: float | None = None
        self.broker_mb = 0.0
        self.over = False

    def __call__(self) -> None:
        self.broker_mb = max(self.broker_mb, self._rig.rss_mb(self._rig.broker))
        if self._until_s is None and self._rig.stored() > 0:
            self._rig.backend.signal(signal.SIGSTOP)
            self._until_s = time.monotonic() + STILL_S
        elif self._until_s is not None and not self.over and time.monotonic() > self._until_s:
            self._rig.backend.signal(signal.SIGCONT)
            self.over = True


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_backend_stands_still(tmp_path: Path, kind: str) -> None:
    with Rig(tmp_path, kind, DEVICES) as rig:
        still = Standstill(rig)
        noise = {"strangers": 1000, "stranger_rate": 2000.0}
        report = rig.send(rig.plan(DEVICES, BUNDLES, READINGS, rate=50.0, resend_s=2.0, resend_s_max=8.0, **noise), still)
        print(f"shouted {report.shouted}, sent again {report.published_again}, broker {still.broker_mb} MB, {rig.status()['connection']}")
        assert still.over and report.shouted > 4 * 1000, "far more than a broker may hold came meanwhile"
        assert report.acked == report.bundles == rig.stored()
        assert still.broker_mb < BROKER_MB_MAX
