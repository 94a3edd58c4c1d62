"""server/health/metrics: the text format, the values, and labels that nobody outside can multiply."""

import re
from typing import Any

import pytest

from server.health.facts import Pending, Quarantined
from server.health.metrics import Metric, render
from server.health.numbers import Queue
from server.health.trouble import Memory
from tests.health.makers import FOUNDER, NOW_S, QUIET, device, facts, numbers

LINE = re.compile(r'([a-z_]+)(?:\{([a-z_]+)="((?:[^"\\\n]|\\["\\n])*)"\})? (-?[0-9]+(?:\.[0-9]+)?)')


def parsed(text: str) -> dict[str, dict[str, float]]:
    """Name → label value → number; fails on anything that is not the format, and on a name without HELP and TYPE before it."""
    assert text.endswith("\n")
    found: dict[str, dict[str, float]] = {}
    kinds: dict[str, str] = {}
    helped = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            helped = line.split(" ")[2]
            assert helped not in found
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == helped and kind in ("gauge", "counter")
            assert kind != "counter" or name.endswith("_total")
            kinds[name] = kind
        else:
            match = LINE.fullmatch(line)
            assert match is not None, line
            assert match[1] in kinds
            assert (match[3] or "") not in found.setdefault(match[1], {})
            found[match[1]][match[3] or ""] = float(match[4])
    return found


def shown(now: Any = QUIET, known: Any = None) -> dict[str, dict[str, float]]:
    known = known or facts()
    return parsed(render(now, known, Memory()))


def test_a_quiet_node() -> None:
    found = shown()
    assert found["meterproof_queue_length"] == dict.fromkeys(QUIET.queues, 0)
    assert found["meterproof_queue_limit"].keys() == QUIET.queues.keys() - {"quarantine", "answers", "anchor", "ledger_publish"}
    assert found["meterproof_messages_total"].keys() == QUIET.messages.keys()
    assert found["meterproof_broker_connected"] == {"": 1}
    assert found["meterproof_oldest_unacked_seconds"] == {"": 0}
    assert found["meterproof_troubles"] == {"act": 0, "watch": 0}
    assert found["process_resident_memory_bytes"] == {"": 70 << 20}
    assert found["process_cpu_seconds_total"] == {"": 1.5}
    assert found["process_start_time_seconds"] == {"": NOW_S - 10_000}


@pytest.mark.parametrize(
    ("name", "label", "value", "changes"),
    [
        ("queue_length", "evidence_log", 5, {"queues": {**QUIET.queues, "evidence_log": Queue(5, 4096)}}),
        ("oldest_unacked_seconds", "", 42, {"oldest_unacked_s": NOW_S - 42}),
        ("oldest_unacked_seconds", "", 0, {"oldest_unacked_s": NOW_S + 42}),
        ("queue_bytes", "evidence_log", 77, {"queues": {**QUIET.queues, "evidence_log": Queue(5, 4096, 77, 1000)}}),
        ("queue_limit_bytes", "ingest", 1000, {"queues": {**QUIET.queues, "ingest": Queue(5, 4096, 77, 1000)}}),
        ("log_stuck", "", 1, {"log_trouble": "disk full"}),
        ("messages_total", "acked", 3, {"messages": {**QUIET.messages, "acked": 3}}),
        ("messages_total", "refused", 4, {"messages": {**QUIET.messages, "refused": 4}}),
        ("broker_messages_total", "dropped", 5, {"broker_messages": {**QUIET.broker_messages, "dropped": 5}}),
        ("broker_connected", "", 0, {"broker_connected": False}),
        ("quarantined_total", "320", 6, {"quarantined": {320: 6}}),
        ("quarantine_dropped_total", "", 8, {"quarantine_dropped": 8}),
        ("quarantine_skipped_total", "", 7, {"quarantine_skipped": 7}),
        ("ledger_height", "", 9, {"height": 9}),
        ("votes_due", "", 2, {"votes_due": 2}),
        ("votes_withheld", "", 1, {"withheld": {4: "rows are missing"}}),
        ("anchor_failing", "", 1, {"anchor_trouble": "no such key"}),
        ("disk_free_bytes", "", 12, {"disk_free_bytes": 12}),
    ],
)
def test_values(name: str, label: str, value: int, changes: dict[str, Any]) -> None:
    assert shown(numbers(**changes))[f"meterproof_{name}"][label] == value
    assert shown().get(f"meterproof_{name}", {}).get(label) != value or value == 0


def test_facts() -> None:
    known = facts(
        device(1, missing=60),
        device(2, last_s=NOW_S - 10**5),
        quarantine=(Quarantined(100, 3, 300, NOW_S - 50, NOW_S, "t", "r"), Quarantined(320, 2, 100, NOW_S - 70, NOW_S, "t", "r")),
        pending=(Pending(bytes(17), FOUNDER, NOW_S), Pending(bytes(17), b"o" * 10, NOW_S)),
    )
    found = shown(known=known)
    assert found["meterproof_devices"] == {"live": 1, "silent": 1, "never_heard": 0, "suspended": 0, "revoked": 0}
    assert found["meterproof_quarantine_samples"] == {"": 5}
    assert found["meterproof_quarantine_bytes"] == {"": 400}
    assert found["meterproof_quarantine_oldest_seconds"] == {"": 70}
    assert found["meterproof_devices_pending"] == {"": 1}
    assert found["meterproof_readings_missing"] == {"": 60}
    assert found["meterproof_troubles"] == {"act": 4, "watch": 2}


def test_a_foreign_broker_has_no_starts() -> None:
    assert "meterproof_broker_starts_total" not in shown(numbers(broker_starts=None))


def test_nothing_from_outside_becomes_a_label() -> None:
    """A thousand devices and topics add no series."""
    many = facts(*[device(number, last_s=NOW_S - 10**5) for number in range(200)])
    quarantine = (Quarantined(100, 3, 300, NOW_S - 50, NOW_S, 'evil"} 1\nmeterproof_up 1', "mpdev1"),)
    text = render(QUIET, facts(*many.devices, quarantine=quarantine), Memory())
    assert len(text.splitlines()) == len(render(QUIET, facts(), Memory()).splitlines())
    assert "evil" not in text and "mpdev1" not in text and "mporg1" not in text


def test_label_values_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    from server.health import metrics

    odd = Metric("meterproof_odd", "gauge", "Odd.", (({"label": 'a"b\\c\nd'}, 1),))
    monkeypatch.setattr(metrics, "_of_queues", lambda _: [odd])
    assert 'meterproof_odd{label="a\\"b\\\\c\\nd"} 1' in render(QUIET, facts(), Memory())
