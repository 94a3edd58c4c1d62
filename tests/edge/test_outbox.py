"""What is sent next and what is freed, without network or time of its own."""

import hashlib

import pytest

from edge import records
from edge.flash import SECTOR_BYTES
from edge.journal import Journal
from edge.outbox import ASKED_MS, IDLE_MS, RESEND_MS, RESEND_MS_MAX, WINDOW, Outbox, jitter
from shared.bundle import readings_root
from shared.types import Ack, Refusal
from tests.device.journal_model import context_of, statement_of
from tests.device.memory_flash import MemoryFlash


def journal_of(bundles: int, size: int = 5) -> tuple[Journal, list[bytes]]:
    journal = Journal(MemoryFlash(16))
    boot = journal.start_boot()
    identities = []
    for _ in range(bundles):
        first_seq = journal.next_seq
        for _ in range(size):
            journal.append(context_of(boot), 1_700_000_000 + journal.next_seq, [journal.next_seq, 0, 0, 0], 0)
        identities.append(seal(journal, "readings", first_seq, size))
    return journal, identities


def seal(journal: Journal, kind: str, first_seq: int, count: int) -> bytes:
    identity = hashlib.sha256(f"{kind} {journal.statements}".encode()).digest()
    salt = identity[:16] if kind == "readings" else None
    journal.seal(kind, statement_of(identity, journal.tip_identity), identity, salt, first_seq, count)
    return identity


def ack(next_seq: int, identity: bytes | None, missing: list[tuple[int, int]] | None = None, log_size: int = 1) -> Ack:
    return Ack("o", b"d", next_seq, identity, missing or [], log_size)


def send_all(outbox: Outbox, now_ms: int) -> list[bytes]:
    sent = []
    while (entry := outbox.pick(now_ms)) is not None:
        outbox.apply_sent(entry.identity, now_ms)
        sent.append(entry.identity)
    return sent


def test_window_is_bounded_and_in_order() -> None:
    journal, identities = journal_of(9)
    outbox = Outbox(journal)
    assert send_all(outbox, 0) == identities[:WINDOW]
    assert 0 < outbox.wait_ms <= RESEND_MS * 5 // 4
    assert outbox.apply_ack(ack(10, identities[1]), 1) == 2
    assert send_all(outbox, 1) == identities[WINDOW : WINDOW + 2]


def test_a_gap_goes_ahead_of_a_full_window() -> None:
    """What waits in the window may wait for what the gap names."""
    journal, identities = journal_of(6)
    outbox = Outbox(journal)
    assert send_all(outbox, 0) == identities[:WINDOW]
    journal.lose(50, 5, None, 1)
    gap = seal(journal, "gap", journal.losses.for_gap()[1], 0)
    assert send_all(outbox, 1) == [gap]


def test_nothing_to_send() -> None:
    journal, _ = journal_of(0)
    outbox = Outbox(journal)
    assert outbox.pick(0) is None
    assert outbox.wait_ms == IDLE_MS


def test_sent_again_with_growing_pauses_that_end_at_a_maximum() -> None:
    journal, identities = journal_of(1)
    outbox = Outbox(journal)
    now_ms, pauses = 0, []
    for _ in range(14):
        assert send_all(outbox, now_ms) == identities
        started_ms = now_ms
        while outbox.pick(now_ms) is None:
            now_ms += outbox.wait_ms
        pauses.append(now_ms - started_ms)
    assert RESEND_MS * 3 // 4 <= pauses[0] <= RESEND_MS * 5 // 4
    assert pauses[4] > pauses[1]
    assert all(RESEND_MS_MAX * 3 // 4 <= pause <= RESEND_MS_MAX * 5 // 4 + IDLE_MS for pause in pauses[7:])


def test_jitter_stays_in_its_bounds() -> None:
    values = {jitter(1000) for _ in range(500)}
    assert 750 <= min(values) < 800
    assert 1200 < max(values) <= 1250


def test_frees_only_what_the_ack_covers() -> None:
    journal, identities = journal_of(4)
    outbox = Outbox(journal)
    send_all(outbox, 0)
    assert outbox.apply_ack(ack(20, None), 0) == 0, "no head"
    assert outbox.apply_ack(ack(20, b"?" * 32), 0) == 0, "a head that is not here"
    assert outbox.apply_ack(ack(9, identities[1]), 0) == 0, "a reading it would free is not below next_seq"
    assert journal.pending_count() == 4
    assert outbox.apply_ack(ack(10, identities[1]), 0) == 2
    assert [entry.identity for entry in journal.pending()] == identities[2:]


def test_missing_ranges_are_sent_first_and_soon() -> None:
    journal, identities = journal_of(4)
    outbox = Outbox(journal)
    assert send_all(outbox, 0) == identities
    outbox.apply_ack(ack(5, identities[0], [(10, 5)], 3), 100)
    assert outbox.pick(100) is None, "it may still be on its way"
    assert outbox.pick(ASKED_MS).identity == identities[2]


def test_missing_before_others_that_are_due() -> None:
    journal, identities = journal_of(4)
    outbox = Outbox(journal)
    outbox.apply_ack(ack(0, None, [(15, 5)], 3), 0)
    assert outbox.pick(0).identity == identities[3]


def test_what_the_node_has_takes_no_place_in_the_window() -> None:
    journal, identities = journal_of(9)
    outbox = Outbox(journal)
    outbox.apply_ack(ack(0, None, [(0, 5), (40, 5)], 7), 0)
    assert send_all(outbox, 0) == [identities[0], identities[8]]
    assert send_all(outbox, 2 * RESEND_MS) == [identities[0], identities[8]]


def test_a_reordered_ack_is_not_believed_about_what_is_missing() -> None:
    journal, identities = journal_of(3)
    outbox = Outbox(journal)
    send_all(outbox, 0)
    outbox.apply_ack(ack(15, None, [], 3), 0)
    outbox.apply_ack(ack(0, None, [(0, 5)], 1), 0)
    assert send_all(outbox, ASKED_MS) == []
    assert outbox.apply_ack(ack(15, identities[2], [], 3), 0) == 3


def test_an_answer_after_silence_makes_everything_due() -> None:
    journal, identities = journal_of(3)
    outbox = Outbox(journal)
    now_ms = 0
    for _ in range(6):
        send_all(outbox, now_ms)
        now_ms += 400_000
    send_all(outbox, now_ms)
    outbox.hurry(now_ms + ASKED_MS)
    assert send_all(outbox, now_ms + ASKED_MS) == identities


def test_refused_is_set_aside_and_the_rest_goes_on() -> None:
    journal, identities = journal_of(3)
    outbox = Outbox(journal)
    outbox.apply_refusal(Refusal("o", b"d", identities[0], 322, ""))
    assert send_all(outbox, 0) == identities[1:]
    assert len(journal.losses) == 0
    outbox.apply_refusal(Refusal("o", b"d", identities[1], 233, ""))
    assert [item.record[1:4] for item in journal.losses.items] == [(5, 5, identities[1])]
    outbox.apply_refusal(Refusal("o", b"d", b"?" * 32, 322, ""))
    assert journal.pending_count() == 1


def sealed_for_real(size: int = 5) -> tuple[Journal, MemoryFlash, bytes]:
    """A journal with one bundle whose statement holds the root of its rows."""
    flash = MemoryFlash(16)
    journal = Journal(flash)
    boot = journal.start_boot()
    for i in range(size):
        journal.append(context_of(boot), 1_700_000_000 + 60 * i, [100 + i, 0, 0, 0], 0)
    salt, identity = b"s" * 16, b"i" * 32
    statement = b"head" + readings_root(salt, journal.readings(0, size)) + b"tail"
    journal.seal("readings", statement, identity, salt, 0, size)
    return journal, flash, identity


def test_rows_refused_though_whole_are_sent_again_with_pauses() -> None:
    journal, _, identity = sealed_for_real()
    outbox = Outbox(journal)
    refusal = Refusal("o", b"d", identity, 233, "")
    assert outbox.apply_refusal(refusal) is False, "before it was sent on this connection"
    pauses, now_ms = [], 0
    for _ in range(10):
        assert send_all(outbox, now_ms) == [identity]
        started_ms = now_ms
        assert outbox.apply_refusal(refusal) is False
        outbox.apply_ack(ack(0, None, [(0, 5)], 3), now_ms)
        while outbox.pick(now_ms) is None:
            now_ms += outbox.wait_ms
        pauses.append(now_ms - started_ms)
    assert pauses[0] >= RESEND_MS * 3 // 4 and pauses[9] >= RESEND_MS_MAX * 3 // 4, "no ack hurries it"
    assert journal.pending_count() == 1 and len(journal.losses) == 0
    assert outbox.apply_refusal(Refusal("o", b"d", identity, 322, "")) is True, "another refusal is final"


def test_rows_that_no_longer_rebuild_the_root_are_named_lost() -> None:
    """One reading has changed and checks all the same: no more than sixteen bits stand guard over it."""
    journal, flash, identity = sealed_for_real()
    sector = journal.ring.load(journal.ring.head)
    places = [(offset, frame) for offset, frame in journal.ring.frames(journal.ring.head) if frame.kind == records.READING]
    offset, frame = places[3]
    body = bytes([frame.body[0] ^ 2]) + frame.body[1:]
    record = records.build_short(body, frame.same_step)
    at = journal.ring.head * SECTOR_BYTES + offset
    assert len(record) == frame.end - offset and bytes(sector[offset : frame.end]) != record
    flash.content[at : at + len(record)] = record
    journal = Journal(flash)
    assert journal.pending_count() == 1
    assert Outbox(journal).apply_refusal(Refusal("o", b"d", identity, 233, "")) is True
    assert [item.record[1:4] for item in journal.losses.items] == [(0, 5, identity)]


def test_what_is_gone_on_both_sides_is_named_lost_at_the_second_asking() -> None:
    """Else the node waits for it for ever and nothing is freed again: the journal would jam."""
    journal, identities = journal_of(3)
    outbox = Outbox(journal)
    assert outbox.apply_ack(ack(5, identities[0], [], 1), 0) == 1
    gone = ack(0, None, [(0, 5)], 2)
    outbox.apply_ack(gone, 0)
    outbox.apply_ack(gone, 0)
    assert len(journal.losses) == 0, "the same ack twice is no second word"
    outbox.apply_ack(ack(0, None, [(0, 5)], 3), 0)
    assert [item.record[1:3] for item in journal.losses.items] == [(0, 5)]


def test_the_second_asking_may_come_from_a_log_that_nobody_else_makes_grow() -> None:
    """The window is full of what the node has: it answers each time from the same state."""
    journal, identities = journal_of(3)
    outbox = Outbox(journal)
    assert outbox.apply_ack(ack(5, identities[0], [], 1), 0) == 1
    for now_ms in (0, ASKED_MS - 1):
        outbox.apply_ack(ack(0, None, [(0, 5)], 2), now_ms)
    assert len(journal.losses) == 0
    outbox.apply_ack(ack(0, None, [(0, 5)], 2), ASKED_MS)
    assert [item.record[1:3] for item in journal.losses.items] == [(0, 5)]


def test_one_loss_is_not_named_in_two_gaps_while_the_first_is_on_its_way() -> None:
    journal, identities = journal_of(3)
    outbox = Outbox(journal)
    assert outbox.apply_ack(ack(5, identities[0], [], 1), 0) == 1
    for log_size in (2, 3):
        outbox.apply_ack(ack(0, None, [(0, 5)], log_size), 0)
    seal(journal, "gap", journal.losses.for_gap()[1], 0)
    send_all(outbox, 0)
    for log_size in (4, 5, 6):
        outbox.apply_ack(ack(0, None, [(0, 5)], log_size), log_size * ASKED_MS)
    assert len(journal.losses) == 0


def test_what_is_held_or_named_already_is_not_named_lost() -> None:
    journal, _ = journal_of(3)
    outbox = Outbox(journal)
    for log_size in (1, 2, 3):
        outbox.apply_ack(ack(0, None, [(0, 15), (20, 100)], log_size), 0)
    assert len(journal.losses) == 0
    journal.lose(100, 5, None, 2)
    seal(journal, "gap", journal.losses.for_gap()[1], 0)
    journal.free(next(iter(journal.pending())).identity)
    for log_size in (4, 5, 6):
        outbox.apply_ack(ack(0, None, [(0, 5)], log_size), 0)
    assert len(journal.losses) == 0, "a gap statement waits to be sent and may name it"
    send_all(outbox, 0)
    send_all(outbox, 2 * RESEND_MS)
    for log_size in (7, 8):
        outbox.apply_ack(ack(0, None, [(0, 5)], log_size), 0)
    assert [item.record[1:3] for item in journal.losses.items] == [(0, 5)], "it did not"


@pytest.mark.parametrize("kind", ["gap", "time-repair"])
def test_the_other_kinds_are_sent_till_they_are_freed(kind: str) -> None:
    journal, identities = journal_of(1)
    journal.lose(50, 5, None, 2)
    identities.append(seal(journal, kind, journal.losses.for_gap()[1] if kind == "gap" else 0, 0))
    outbox = Outbox(journal)
    assert sorted(send_all(outbox, 0)) == sorted(identities)
    outbox.apply_ack(ack(5, identities[0], [], 1), 0)
    assert send_all(outbox, 2 * RESEND_MS) == identities[1:]
    assert outbox.apply_ack(ack(55, identities[1], [], 2), 0) == 1
    assert journal.pending_count() == 0
