"""Bundles through a real mosquitto at QoS 1 to a backend of its own process: how many, how fast, and what is kept when twice as many come.

In: an empty folder. Out: rows. Devices keep to the firmware's window of four. Never counts a bundle that was not acked.
"""

from pathlib import Path

from server.bench.clock import figure
from server.bench.fleet import Report
from server.bench.primitives import READINGS, Primitives
from server.bench.rig import Rig, percentile
from server.bench.rows import Row, row
from server.bench.scale import Scale
from shared.errors import Unavailable

GROUP = "through a real mosquitto, QoS 1, durable, one worker"
IDS = ("mqtt_bundles_per_s", "mqtt_cpu_us_per_bundle", "checkpoint_delay_p50_ms", "checkpoint_delay_p95_ms", "overload_bundles_per_s")
PACED_PER_S = 200.0
OVERLOAD = 2.0
WIDE_WINDOW = 32  # far more than the firmware sends at once: what is offered must not wait for what is acked


def measure(folder: Path, scale: Scale, primitives: Primitives) -> list[Row]:
    """The fleet, the broker and the backend share the machine's cores."""
    devices, each = scale.fleet, scale.fleet_bundles
    with Rig(folder / "load", "mosquitto", devices * (scale.fleet_repeats + 2)) as rig:
        cpu_start_s = rig.cpu_s()
        runs = [whole(rig.send(rig.plan(devices, each, READINGS))) for _ in range(scale.fleet_repeats)]
        cpu_us = (rig.cpu_s() - cpu_start_s) / (len(runs) * devices * each) * 1e6
        able = figure([run.acked / run.seconds for run in runs])
        paced = whole(rig.send(rig.plan(devices, each, READINGS, rate=PACED_PER_S)))
        delays = rig.delays_ms(paced, READINGS)
        twice = rig.plan(
            devices, each, READINGS, rate=OVERLOAD * able.median, window=WIDE_WINDOW, resend_s=2.0, resend_s_max=8.0
        )  # fmt: skip
        over = whole(rig.send(twice))
        shed = sum(count for name, count in rig.status()["connection"].items() if name.startswith("dropped"))
    limit = 1 / (primitives.verify.median + 3 * READINGS * primitives.sha256.median)
    what = f"offered twice as much: {shed:,} messages shed, all came again"
    bundles = f"bundles of {READINGS} × 4 of {devices} devices, to the ack"
    paced_what = f"publish to signed checkpoint at {PACED_PER_S:.0f} bundles/s"
    return [
        row(IDS[0], GROUP, bundles, able, "bundles/s", limit=limit, goal=1500),
        Row(IDS[1], GROUP, "CPU time of the backend for each, all threads", cpu_us, "µs", 1e6 / limit, None, False),
        Row(IDS[2], GROUP, f"{paced_what}, median", percentile(delays, 50), "ms", more=False),
        Row(IDS[3], GROUP, f"{paced_what}, 95 of 100", percentile(delays, 95), "ms", None, 500, False),
        Row(IDS[4], GROUP, what, over.acked / over.seconds, "bundles/s", able.median),
    ]


def whole(report: Report) -> Report:
    """Raises Unavailable 410 if not everything was acked: then there is nothing to compare."""
    if report.acked != report.bundles:
        raise Unavailable(410, f"{report.bundles - report.acked} of {report.bundles} bundles were never acked")
    return report
