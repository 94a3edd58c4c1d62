"""server/health/trouble: each trouble at both sides of its limit, since when, and who may see it."""

from typing import Any

import pytest

from server.evidence.findings import KINDS
from server.health import advice
from server.health.facts import Event, Pending, Quarantined
from server.health.numbers import Queue
from server.health.trouble import (
    GRACE_S,
    HOLD_S,
    Memory,
    Trouble,
    build_troubles,
    counts_of,
    device_troubles,
    note,
    size_text,
    span_text,
    visible,
)
from shared.codes import CODES
from shared.state import REVOKED, SUSPENDED
from tests.health.makers import FOUNDER, NOW_S, OTHER, QUIET, device, facts, numbers


def troubles_after(*history: Any, **settings: Any) -> list[Trouble]:
    """What is wrong after the node looked like that."""
    memory = Memory(unreadable=settings.get("unreadable"))
    for one in history:
        note(memory, one)
    return build_troubles(memory, facts(now_s=history[-1].now_s))


def kinds(found: list[Trouble]) -> list[str]:
    return [trouble.kind for trouble in found]


def test_nothing_is_wrong_with_a_quiet_node() -> None:
    assert troubles_after(QUIET, numbers(5), numbers(10)) == []


NODE = [
    ("log-stuck", {"log_trouble": "the log cannot be written: No space left on device"}, {}),
    ("disk-low", {"disk_free_bytes": (1 << 30) - 1}, {"disk_free_bytes": 1 << 30}),
    ("broker-away", {"broker_connected": False}, {}),
    ("unacked-old", {"oldest_unacked_s": NOW_S + 119 - 31}, {"oldest_unacked_s": NOW_S + 120 - 30}),
    ("queue-full", {"queues": {"ledger_pool": Queue(80, 100)}}, {"queues": {"ledger_pool": Queue(79, 100)}}),
    ("anchor-behind", {"anchored_size": 8}, {"anchored_size": 9}),
    ("vote-withheld", {"withheld": {1: "rows of 3 statements are missing"}, "votes_due": 1}, {}),
    ("votes-due", {"votes_due": 1}, {}),
    ("publish-behind", {"published_size": 13}, {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "wrong", "right"), NODE)
def test_of_the_node(kind: str, wrong: dict[str, Any], right: dict[str, Any]) -> None:
    found = troubles_after(numbers(0, **wrong), numbers(120, **wrong))
    assert kinds(found) == [kind]
    assert found[0].act
    assert (found[0].since_s, found[0].org) == (NOW_S if kind != "unacked-old" else found[0].since_s, None)
    assert (found[0].what, found[0].do) == advice.NODE[kind][1:]
    assert troubles_after(numbers(0, **right), numbers(120, **right)) == []


def test_a_queue_is_full_by_bytes_too() -> None:
    assert kinds(troubles_after(numbers(queues={"ingest": Queue(1, 100, 80, 100)}))) == ["queue-full"]
    assert troubles_after(numbers(queues={"ingest": Queue(1, 100, 79, 100)})) == []


def test_queues_without_a_limit_are_never_full() -> None:
    assert troubles_after(numbers(queues={**QUIET.queues, "answers": Queue(1_000_000, None)})) == []


@pytest.mark.parametrize("kind", GRACE_S)
def test_what_passes_by_itself_is_trouble_only_when_it_lasts(kind: str) -> None:
    wrong = dict(next(wrong for name, wrong, _ in NODE if name == kind))
    assert troubles_after(numbers(0, **wrong), numbers(GRACE_S[kind] - 1, **wrong)) == []
    assert kinds(troubles_after(numbers(0, **wrong), numbers(GRACE_S[kind], **wrong))) == [kind]
    assert troubles_after(numbers(0, **wrong), numbers(5), numbers(6, **wrong), numbers(GRACE_S[kind], **wrong)) == []


def test_the_detail_is_the_latest_and_the_beginning_stays() -> None:
    found = troubles_after(*[numbers(at_s, anchored_size=8, anchor_trouble=why) for at_s, why in ((0, "first"), (70, "second"))])
    assert (found[0].since_s, found[0].detail) == (NOW_S, "1 statements: second")


def test_what_was_sent_again_while_it_waits_here_is_not_shed() -> None:
    def again(at_s: int, times: int) -> Any:
        return numbers(at_s, broker_messages={**QUIET.broker_messages, "dropped-again": times})

    assert troubles_after(again(0, 3), again(5, 4)) == []


@pytest.mark.parametrize("count", ["unavailable", "quarantine-skipped", "dropped", "dropped-unknown"])
def test_shedding_is_said_for_a_while_after_it_was_seen(count: str) -> None:
    def shed(at_s: int, times: int) -> Any:
        if count in QUIET.broker_messages:
            return numbers(at_s, broker_messages={**QUIET.broker_messages, count: times})
        return numbers(at_s, messages={**QUIET.messages, count: times})

    assert troubles_after(shed(0, 3)) == []  # nobody knows when that was
    assert troubles_after(shed(0, 3), shed(5, 3)) == []
    found = troubles_after(shed(0, 3), shed(5, 4), shed(5 + HOLD_S["shedding"], 4))
    assert kinds(found) == ["shedding"]
    assert not found[0].act and found[0].since_s == NOW_S + 5
    assert troubles_after(shed(0, 3), shed(5, 4), shed(6 + HOLD_S["shedding"], 4)) == []


def test_a_flood_of_what_cannot_be_let_in() -> None:
    found = troubles_after(numbers(0, quarantine_skipped=3), numbers(5, quarantine_skipped=4), numbers(305, quarantine_skipped=4))
    assert kinds(found) == ["flood"] and not found[0].act
    assert troubles_after(numbers(0, quarantine_skipped=3), numbers(5, quarantine_skipped=4), numbers(306, quarantine_skipped=4)) == []


def test_a_broker_that_ended() -> None:
    assert troubles_after(numbers(0, broker_starts=0), numbers(5, broker_starts=1)) == []
    assert kinds(troubles_after(numbers(0, broker_starts=1), numbers(5, broker_starts=2))) == ["broker-ends"]
    assert troubles_after(numbers(0, broker_starts=None), numbers(5, broker_starts=None)) == []


def test_a_store_that_cannot_be_read() -> None:
    assert kinds(troubles_after(QUIET, unreadable="disk I/O error")) == ["store-unreadable"]


# --- quarantine


def sample(code: int, last_s: int = NOW_S - 5) -> Quarantined:
    return Quarantined(code, 3, 300, last_s - 50, last_s, "a/topic", "a reason")


def test_quarantine_by_reason() -> None:
    found = build_troubles(Memory(), facts(quarantine=(sample(100), sample(251), sample(302))))
    assert [(trouble.kind, trouble.act) for trouble in found] == [
        ("quarantine-251", True),
        ("quarantine-100", False),
        ("quarantine-302", False),
    ]
    assert found[0].since_s == NOW_S - 55
    assert "evidence-key-wrong" in found[0].detail and "a/topic" in found[0].detail and "a reason" in found[0].detail


def test_old_samples_are_history() -> None:
    assert len(build_troubles(Memory(), facts(quarantine=(sample(251, NOW_S - 86400),)))) == 1
    assert build_troubles(Memory(), facts(quarantine=(sample(251, NOW_S - 86401),))) == []


def test_a_full_quarantine() -> None:
    assert kinds(troubles_after(numbers(quarantine_dropped=1))) == ["quarantine-full"]


# --- devices


def of(listening_s: int | None = 0, **changes: Any) -> list[tuple[str, int | None, str]]:
    return list(device_troubles(device(**changes), NOW_S, listening_s))


def test_a_device_that_is_well() -> None:
    assert of() == []


@pytest.mark.parametrize(("interval_s", "after_s"), [(900, 2700), (60, 300), (7200, 21600), (None, 86400)])
def test_silence_is_judged_by_the_devices_own_interval(interval_s: int | None, after_s: int) -> None:
    assert of(interval_s=interval_s, last_s=NOW_S - after_s) == []
    found = of(interval_s=interval_s, last_s=NOW_S - after_s - 1)
    assert [(kind, since_s) for kind, since_s, _ in found] == [("silent", NOW_S - after_s - 1)]


def test_a_device_that_was_never_heard() -> None:
    assert of(last_s=None, enrolled_s=NOW_S - 3599) == []
    assert of(last_s=None, enrolled_s=NOW_S - 3600) == [("never-heard", NOW_S - 3600, "")]


def test_silence_before_the_node_could_hear_says_nothing() -> None:
    assert of(NOW_S - 2700, last_s=NOW_S - 10**6) == []
    assert of(NOW_S - 2701, last_s=NOW_S - 10**6)[0][:2] == ("silent", NOW_S - 10**6)
    assert of(NOW_S - 3599, last_s=None) == []
    assert of(NOW_S - 3600, last_s=None)[0][0] == "never-heard"
    assert of(None, last_s=NOW_S - 10**6) == [] == of(None, last_s=None)


def test_since_when_the_node_listens() -> None:
    memory = Memory()
    note(memory, numbers(0))
    note(memory, numbers(5))
    assert memory.listening_s == NOW_S
    note(memory, numbers(10, broker_connected=False))
    assert memory.listening_s is None
    note(memory, numbers(15))
    note(memory, numbers(20))
    assert memory.listening_s == NOW_S + 15


def test_a_suspended_device_is_not_silent() -> None:
    assert of(status=SUSPENDED, suspended_s=NOW_S - 9, last_s=NOW_S - 10**6) == [("suspended", NOW_S - 9, "")]


def test_what_lasts_and_what_happened() -> None:
    happened = (Event("register-backward", 3, NOW_S - 5, "1.8.0 fell from 5 to 3"), Event("clock-unsynced", 1, NOW_S - 6, "boot 3"))
    found = of(missing=60, conditions={"clock-unsynced": ("boot 4", NOW_S - 6)}, events=happened)
    assert found == [
        ("missing", None, "60 readings"),
        ("clock-unsynced", NOW_S - 6, "boot 4"),
        ("register-backward", NOW_S - 5, "1.8.0 fell from 5 to 3 (and 2 more in a day)"),
    ]


def test_devices_are_grouped_by_kind_and_organization() -> None:
    silent = [device(number, last_s=NOW_S - number * 10_000, org=org) for number, org in ((1, FOUNDER), (2, FOUNDER), (3, OTHER))]
    found = build_troubles(Memory(), facts(*silent, pending=(Pending(bytes(17), OTHER, NOW_S - 3),)))
    assert [(trouble.kind, trouble.org, len(trouble.devices)) for trouble in found] == [
        ("silent", OTHER, 1),
        ("silent", FOUNDER, 2),
        ("device-pending", OTHER, 1),
    ]
    assert [item.device for item in found[1].devices] == [silent[1].device, silent[0].device]  # the longest first
    assert found[1].since_s == NOW_S - 20_000


def test_revoked_devices_trouble_nobody() -> None:
    assert build_troubles(Memory(), facts(device(status=REVOKED, last_s=None, missing=3))) == []


def test_people_see_their_own_devices_and_founders_the_node() -> None:
    memory = Memory()
    note(memory, numbers(log_trouble="full"))
    found = build_troubles(memory, facts(device(1, missing=1), device(2, missing=1, org=OTHER)))
    assert kinds(visible(found, FOUNDER, FOUNDER)) == ["log-stuck", "missing"]
    assert [(trouble.kind, trouble.org) for trouble in visible(found, OTHER, FOUNDER)] == [("missing", OTHER)]
    assert visible(found, b"x" * 10, FOUNDER) == []


def test_those_that_need_a_person_come_first() -> None:
    found = build_troubles(Memory(), facts(device(1, missing=1), device(2, last_s=NOW_S - 10**5), quarantine=(sample(100),)))
    assert kinds(found) == ["silent", "quarantine-100", "missing"]
    assert [trouble.act for trouble in found] == sorted((trouble.act for trouble in found), reverse=True)


def test_the_nodes_own_trouble_comes_before_older_trouble_of_devices() -> None:
    memory = Memory()
    note(memory, numbers(-10_000, log_trouble="full"))
    assert kinds(build_troubles(memory, facts(device(1, last_s=NOW_S - 10**5)))) == ["log-stuck", "silent"]


def test_each_device_counts_once() -> None:
    some = [device(1), device(2, last_s=NOW_S - 10**5), device(3, last_s=None), device(4, status=SUSPENDED), device(5, status=REVOKED)]
    assert counts_of(Memory(), facts(*some)) == {"live": 1, "silent": 1, "never_heard": 1, "suspended": 1, "revoked": 1}


# --- words


def test_every_finding_has_advice() -> None:
    assert KINDS.keys() <= advice.DEVICES.keys()
    assert {"suspended", "silent", "never-heard", "missing"} == advice.DEVICES.keys() - KINDS.keys()


@pytest.mark.parametrize("code", CODES)
def test_every_code_has_advice(code: int) -> None:
    found = advice.of_code(code)
    assert found.what.endswith(".") and found.do.endswith(".")


def test_advice_is_in_sentences() -> None:
    for found in [*advice.NODE.values(), *advice.DEVICES.values(), *advice.QUARANTINE.values()]:
        assert found.what[0].isupper() and found.what.endswith(".")
        assert found.do.endswith(".")


def test_sizes_and_spans() -> None:
    assert [size_text(size) for size in (0, 1023, 1024, 5 << 20, 3 << 29, 5 << 50)] == [
        "0 bytes", "1023 bytes", "1.0 KiB", "5.0 MiB", "1.5 GiB", "5120.0 TiB",
    ]  # fmt: skip
    assert [span_text(s) for s in (None, 0, 119, 120, 7199, 7200, 172_799, 172_800)] == [
        "?", "0 s", "119 s", "2 min", "119 min", "2 h", "47 h", "2 days",
    ]  # fmt: skip
