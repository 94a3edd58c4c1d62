"""The chain of one device: next sequence, head and missing ranges, whatever the order of arrival."""

import itertools
import random
from hashlib import sha256

import pytest

from server.evidence import chain as chain_module
from server.evidence.chain import Chain, apply_statement, check_room, decode_chain, encode_chain
from shared.errors import DecodeError, Unavailable
from shared.types import Lost, Repair, Statement

Item = tuple[bytes, Statement]


def identity(name: str) -> bytes:
    return sha256(name.encode()).digest()


def item(kind: str, name: str, previous: str | None, **fields: object) -> Item:
    before = None if previous is None else identity(previous)
    values = {
        "kind": kind,
        "device": b"\x01" * 17,
        "boot": 1,
        "previous": before,
        "firmware": bytes(32),
        "tier": 1,
        "clock": 2,
        "channel": 0,
    }
    return identity(name), Statement(*[{**values, **fields}.get(field) for field in Statement._fields])


def readings(name: str, previous: str | None, first: int, count: int) -> Item:
    return item("readings", name, previous, first_seq=first, count=count)


def gap(name: str, previous: str | None, *lost: tuple[int, int, str | None]) -> Item:
    named = [Lost(first, count, None if of is None else identity(of), 1) for first, count, of in lost]
    return item("gap", name, previous, lost=named)


def repair(name: str, previous: str | None) -> Item:
    return item("time-repair", name, previous, repair=Repair(1, 0, 0, 2))


def play(*items: Item) -> Chain:
    chain = Chain()
    for name, statement in items:
        apply_statement(chain, statement, name)
    return chain


A, B, C, D = (readings("ABCD"[i], "ABCD"[i - 1] if i else None, 10 * i, 10) for i in range(4))


def test_in_order_each_statement_becomes_the_head() -> None:
    chain = Chain()
    for number, (name, statement) in enumerate((A, B, C, D), 1):
        step = apply_statement(chain, statement, name)
        assert (chain.next_seq, chain.head_identity, chain.missing()) == (10 * number, name, [])
        assert step.broken_after == () and step.skipped is None


def test_before_anything_there_is_no_head() -> None:
    assert (Chain().next_seq, Chain().head_identity, Chain().missing()) == (0, None, [])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_any_order_ends_alike(order: tuple[int, ...]) -> None:
    chain = play(*[(A, B, C, D)[i] for i in order])
    assert (chain.next_seq, chain.head_identity, chain.missing()) == (40, D[0], [])
    assert encode_chain(chain)[:8] == encode_chain(play(A, B, C, D))[:8]


def test_what_is_missing_is_named_below_the_highest_only() -> None:
    assert play(A, C).missing() == [(10, 10)]
    assert play(C, gap("G", "C", (50, 5, None))).missing() == [(0, 20)]
    assert play(*[readings(str(i), None, 20 * i + 1, 1) for i in range(40)]).missing() == [(20 * i + 1 - (i and 19) - (not i), 19 if i else 1) for i in range(16)]  # fmt: skip  # noqa: E501


def test_a_named_loss_moves_the_head_to_what_follows_it() -> None:
    held = play(A, C, D)
    assert (held.next_seq, held.head_identity) == (10, A[0])
    name, statement = gap("G", "D", (10, 10, "B"))
    step = apply_statement(held, statement, name)
    assert (held.next_seq, held.head_identity, held.missing()) == (40, name, []) and step.broken_after == ()


def test_a_loss_named_before_its_successor_came() -> None:
    chain = play(A, gap("G", "D", (10, 10, "B")))
    assert (chain.next_seq, chain.head_identity) == (20, A[0])
    apply_statement(chain, C[1], C[0])
    assert (chain.next_seq, chain.head_identity) == (30, C[0])
    apply_statement(chain, D[1], D[0])
    assert (chain.next_seq, chain.head_identity) == (40, identity("G"))


def test_a_lost_bundle_that_comes_after_all_moves_nothing_back() -> None:
    chain = play(A, C, gap("G", "C", (10, 10, "B")))
    assert chain.touches(10, 20) and chain.covers(10, 20)
    apply_statement(chain, B[1], B[0])
    assert (chain.next_seq, chain.head_identity) == (30, identity("G"))


def test_a_broken_chain_is_no_jam() -> None:
    chain = play(A)
    name, statement = readings("X", "never seen", 10, 10)
    step = apply_statement(chain, statement, name)
    assert (chain.next_seq, chain.head_identity, step.broken_after) == (20, name, (identity("never seen"),))
    first = Chain()
    assert apply_statement(first, readings("Y", "older", 0, 5)[1], identity("Y")).broken_after == (identity("older"),)
    assert first.head_identity == identity("Y")


def test_a_gap_that_does_not_chain_does_not_move_the_head() -> None:
    chain = play(A, gap("G", "unknown", (10, 10, None)))
    assert (chain.next_seq, chain.head_identity) == (20, A[0])


def test_time_repairs_and_gaps_are_heads_too() -> None:
    chain = play(A, repair("T", "A"), gap("G", "T", (10, 5, None)), readings("E", "G", 15, 5))
    assert (chain.next_seq, chain.head_identity) == (20, identity("E"))
    late = play(A, gap("G", "T", (10, 5, None)), repair("T", "A"))
    assert (late.next_seq, late.head_identity) == (15, identity("G"))


def test_sequences_left_out_silently_are_seen() -> None:
    chain = play(A)
    step = apply_statement(chain, readings("E", "A", 15, 5)[1], identity("E"))
    assert step.skipped == (10, 5) and chain.missing() == [(10, 5)] and chain.head_identity == identity("E")
    assert apply_statement(play(A, gap("G", "A", (10, 5, None))), readings("F", "G", 15, 5)[1], identity("F")).skipped is None
    assert apply_statement(play(A), C[1], C[0]).skipped is None, "B may still come"


def test_a_second_branch_does_not_move_the_head_back() -> None:
    chain = play(A, B, C)
    step = apply_statement(chain, readings("B2", "A", 10, 10)[1], identity("B2"))
    assert (chain.next_seq, chain.head_identity, step.broken_after) == (30, C[0], ())


def test_the_state_survives_its_encoding_at_every_step() -> None:
    chance = random.Random(5)
    for _ in range(60):
        items = [A, C, D, gap("G", "D", (10, 10, "B")), repair("T", "G"), readings("H", "T", 40, 3), readings("X", "nowhere", 60, 5), B]
        chance.shuffle(items)
        chain = Chain()
        for name, statement in items:
            apply_statement(chain, statement, name)
            again = decode_chain(encode_chain(chain))
            assert encode_chain(again) == encode_chain(chain)
            chain = again
        assert (chain.next_seq, chain.missing()) == (43, [(43, 17)])
        assert chain.head_identity in (identity("H"), identity("X"))


@pytest.mark.parametrize("data", [b"\x80", b"\x00", b"\x88\x00\x00\x00\x00\x00\x00\x00\x00", b"", b"\x81\x01"])
def test_a_damaged_state_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_chain(data)


def test_a_random_fleet_of_losses_agrees_with_a_plain_set() -> None:
    """next_seq and missing against the obvious definition over a set of sequences."""
    chance = random.Random(11)
    for _ in range(40):
        chain, covered, logged, at, previous, items = Chain(), set(), set(), 0, None, []
        for number in range(30):
            count = chance.randint(1, 4)
            if chance.random() < 0.2:
                items.append((gap(f"g{number}", previous, (at, count, None)), set(range(at, at + count)), False))
            else:
                items.append((readings(f"r{number}", previous, at, count), set(range(at, at + count)), True))
            previous = items[-1][0][1].kind[0] + str(number)
            at += count
        chance.shuffle(items)
        for (name, statement), sequences, is_logged in items:
            apply_statement(chain, statement, name)
            covered |= sequences
            logged |= sequences if is_logged else set()
            expected = next(s for s in range(at + 1) if s not in covered)
            assert chain.next_seq == expected
            missing = [s for s in range(max(logged, default=-1) + 1) if s not in covered]
            told = [s for first, count in chain.missing() for s in range(first, first + count)]
            assert told == missing[: len(told)] and (len(chain.missing()) == 16 or told == missing)
        assert chain.head_identity == identity(previous) and chain.ranges == []


def test_holes_have_a_limit_and_filling_them_is_always_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "RANGES_MAX", 3)
    chain = play(*[readings(f"s{i}", None, 10 * i + 5, 1) for i in range(3)])
    with pytest.raises(Unavailable, match="420"):
        check_room(chain, readings("new", None, 90, 1)[1])
    with pytest.raises(Unavailable, match="420"):
        check_room(chain, gap("new", None, (90, 1, None))[1])
    check_room(chain, readings("low", None, 0, 5)[1])
    check_room(chain, readings("touching", None, 26, 2)[1])
    check_room(chain, repair("T", None)[1])
    filling = gap("fills", None, (0, 1, None), *((100 + 3 * i, 1, None) for i in range(4)))[1]
    with pytest.raises(Unavailable, match="420"):
        check_room(chain, filling)
    check_room(chain, gap("fills", None, (0, 1, None), *((100 + 3 * i, 1, None) for i in range(3)))[1])


def test_what_waits_for_ever_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_module, "WAITING_MAX", 5)
    monkeypatch.setattr(chain_module, "LOST_MAX", 5)
    items = [repair(f"t{i}", f"nobody{i}") for i in range(20)] + [gap(f"g{i}", f"none{i}", (100 + i, 1, f"lost{i}")) for i in range(20)]
    chain = play(A, *items)
    assert len(chain.waiting) == 5 and len(chain.lost) == 5 and chain.head_identity == A[0]


@pytest.mark.parametrize("early", [False, True])
@pytest.mark.parametrize("between", ["gap", "repair"])
def test_what_stood_between_losses_named_as_one_jams_nothing_and_is_no_finding(between: str, early: bool) -> None:
    """B and C are lost and named as one, with C's identity; what was sealed between them follows B, of which nobody will ever hear."""
    middle = gap("M", "B", (0, 5, None)) if between == "gap" else repair("M", "B")
    named = gap("G", "C", (10, 20, "C"))
    chain = play(A, *((middle, named) if early else (named, middle)))
    assert (chain.next_seq, chain.head_identity, chain.missing()) == (30, named[0], [])
    step = apply_statement(chain, *reversed(readings("D", "G", 30, 10)))
    assert (chain.next_seq, chain.head_identity) == (40, identity("D")) and step.broken_after == ()


def test_a_bundle_that_continues_it_shows_the_broken_chain() -> None:
    chain = play(A, repair("M", "B"), gap("G", "C", (10, 20, "C")))
    step = apply_statement(chain, *reversed(readings("D", "M", 30, 10)))
    assert (chain.next_seq, chain.head_identity, step.broken_after) == (40, identity("D"), (identity("B"),))
