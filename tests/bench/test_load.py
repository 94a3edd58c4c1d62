"""server/bench/load and day: rows of a real fleet through a real broker; what a day's samples say."""

import pytest

from server.bench import day, load
from server.bench.day import Day, Sample
from server.bench.fleet import Plan, Report, Sender
from server.bench.rig import percentile, rss_mb
from shared import ids
from shared.errors import Unavailable

ORG = str(ids.encode_id(ids.ORG, b"0123456789"))


def test_a_fleet_that_was_not_acked_whole_is_no_measurement() -> None:
    assert whole_of(5, 5).acked == 5
    with pytest.raises(Unavailable, match="2 of 5 bundles"):
        whole_of(5, 3)


def whole_of(bundles: int, acked: int) -> Report:
    return load.whole(Report(bundles=bundles, acked=acked))


def test_percentiles_are_values_that_were_measured() -> None:
    values = list(range(1, 101))
    assert [percentile(values, part) for part in (1, 50, 95, 100)] == [1, 50, 95, 100] and percentile([7], 95) == 7
    with pytest.raises(Unavailable):
        percentile([], 95)


def test_memory_of_a_process_that_is_gone_is_not_zero() -> None:
    with pytest.raises(Unavailable):
        rss_mb(1 << 30)


def samples_of(day: Day, disk_mb: list[float], rss: list[float]) -> None:
    day.samples = [Sample(100 * i, rss[i], disk_mb[i]) for i in range(len(disk_mb))]
    day.rests = [(sample.stored, sample.disk_mb) for sample in (day.samples[2], day.samples[5], day.samples[10])]
    day.restarts_s = [1.0, 1.5, 2.0]


def test_a_days_rows_show_growth() -> None:
    found = Day(None, 1000)  # type: ignore[arg-type]
    samples_of(found, [float(i) for i in range(11)], [50.0] * 11)
    flat = {row.id: row for row in day.rows(found, 10, 10)}
    assert (flat["day_rss_growth"].value, flat["day_disk_linear"].value) == (1, 1)
    # A megabyte in 100 bundles of 60 readings.
    assert flat["day_disk_mb"].value == pytest.approx(10_000_000 / 6000) and not flat["day_disk_mb"].holds
    assert flat["day_proof_hashes"].limit == 10 and flat["day_restart_s"].ratio == 0.5
    samples_of(found, [i * i / 10 for i in range(11)], [10.0 * i for i in range(11)])
    grown = {row.id: row for row in day.rows(found, 10, 10)}
    assert grown["day_rss_growth"].value == 2 and grown["day_disk_linear"].value > 1.5 and grown["day_rss_mb"].value == 100


def sender(**changes: object) -> Sender:
    made = Sender("11" * 32, Plan(1, ORG, ("11" * 32,), 6, 2, **changes))
    made.offered = 6
    return made


def send_all(made: Sender, now_s: float) -> list[int]:
    sent = []
    for i in made.pick(now_s):
        made.apply_sent(i, now_s)
        sent.append(i)
    return sent


def test_a_device_of_the_fleet_keeps_to_its_window_and_sends_again() -> None:
    made = sender(window=4, resend_s=5.0)
    assert send_all(made, 0.0) == [0, 1, 2, 3] and send_all(made, 4.9) == []
    assert send_all(made, 5.0) == [0, 1, 2, 3]
    assert send_all(made, 14.9) == [], "twice as long after each time"
    made.apply_ack(4, [], 14.9)
    assert (made.acked, send_all(made, 15.0)) == (2, [2, 3, 4, 5]), "what was sent in vain is hurried, the window moves on"
    made.apply_ack(6, [(8, 2)], 15.1)
    assert send_all(made, 15.9) == [] and send_all(made, 16.0) == [3, 4], "and what the node misses, a second after the last time"
    made.apply_ack(12, [], 17.0)
    assert made.acked == 6 and send_all(made, 1e6) == []


def test_the_longest_wait_is_bounded() -> None:
    made = sender(window=1, resend_s=5.0, resend_s_max=8.0)
    now_s, sent = 0.0, 0
    for _ in range(100):
        sent += len(send_all(made, now_s))
        now_s += 1.0
    assert sent == 1 + 12
