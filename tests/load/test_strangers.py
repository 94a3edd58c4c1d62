"""Ten thousand devices that nobody enrolled shout while a hundred enrolled ones work: no real bundle is lost, memory is bounded, the noise
is counted."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from server.bench.brokers import KINDS
from server.bench.rig import Rig
from server.fsck import fsck
from server.ingest.quarantine import COUNT_MAX
from tests.load.test_overload import RSS_MB_MAX, Peak

DEVICES, BUNDLES, READINGS = 100, 25, 10
STRANGERS = 10_000
SHOUTS_PER_S = 2500.0  # each shouts once in four seconds
REAL_PER_S = 100.0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_strangers_shout(tmp_path: Path, kind: str) -> None:
    with Rig(tmp_path, kind, DEVICES) as rig:
        peak = Peak(rig)
        noise = {"strangers": STRANGERS, "stranger_rate": SHOUTS_PER_S}
        report = rig.send(rig.plan(DEVICES, BUNDLES, READINGS, rate=REAL_PER_S, resend_s=2.0, resend_s_max=8.0, **noise), peak)
        status = quiet(rig)
        print(f"{report.seconds:.0f} s, shouted {report.shouted}, sent again {report.published_again}, {peak.__dict__}")
        print(status["connection"], status["messages"])

        assert report.acked == report.bundles == DEVICES * BUNDLES
        assert report.shouted >= STRANGERS, "each of them was heard"
        assert peak.backend_mb < RSS_MB_MAX
        rig.settle()
        rig.backend.stop()
        found = asyncio.run(fsck(rig.home))
        samples = rig.quarantined()
    assert found.ok, found.problems + found.derived_problems
    assert (found.log_size, found.duplicates, found.lost) == (report.bundles, 0, 0)
    messages, connection = status["messages"], status["connection"]
    assert messages["quarantined"] > COUNT_MAX, "counted, though no more than a thousand are kept"
    assert 0 < samples <= COUNT_MAX
    assert connection["taken"] == messages["received"] == dealt_with(messages), "every message that was taken is counted, once"


def dealt_with(messages: dict[str, int]) -> int:
    return sum(messages.get(name, 0) for name in ("logged", "duplicates", "quarantined", "challenged", "unavailable"))


def quiet(rig: Rig) -> dict[str, Any]:
    """The node's numbers when it has dealt with all that was sent."""
    end_s = time.monotonic() + 120
    while True:
        before, _ = rig.status(), time.sleep(1)
        after = rig.status()
        settled = after["connection"]["taken"] == after["messages"]["received"] == dealt_with(after["messages"])
        if settled and before["connection"] == after["connection"]:
            return after
        assert time.monotonic() < end_s, after
