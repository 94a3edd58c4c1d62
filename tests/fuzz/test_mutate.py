"""The mutations themselves: trees written back unchanged, the same inputs from the same seed, and every kind of change made."""

import random

import pytest

from shared import cbor
from shared.errors import DecodeError
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import check_input
from tests.fuzz.targets import TARGETS
from tests.fuzz.tree import Node, NotATree, nodes_of, read_tree, write_tree


@pytest.mark.parametrize("name", [name for name, target in TARGETS.items() if target.tree])
def test_a_tree_is_written_back_as_it_was(name: str) -> None:
    for seed in TARGETS[name].seeds:
        assert write_tree(read_tree(seed)) == seed


def test_what_the_profile_refuses_is_a_tree_all_the_same() -> None:
    for data in (b"\x18\x01", b"\xa2\x02\x00\x01\x00", b"\xfb" + bytes(8), b"\xc1\x00", b"\xf8\xff", b"\x81" * 20 + b"\x00"):
        assert write_tree(read_tree(data)) == data
        with pytest.raises(DecodeError):
            cbor.decode(data)


def test_what_is_no_item_is_no_tree() -> None:
    for data in (b"", b"\x9f\xff", b"\x82\x00", b"\x00\x00", b"\x5b" + b"\xff" * 8, b"\x81" * 40 + b"\x00"):
        with pytest.raises(NotATree):
            read_tree(data)


def test_a_change_in_a_signed_payload_keeps_the_lengths_around_it_right() -> None:
    signed = TARGETS["statement"].seeds[0]
    root = read_tree(signed)
    payload = next(
        node for node in nodes_of(root) if node.major == 2 and node.items and node.items[0].major == 5 and len(node.items[0].items) > 8
    )
    payload.items[0].items += [Node(0, 99), Node(3, 2, b"xx")]
    assert check_input(TARGETS["statement"], write_tree(root)) == 120


def test_one_seed_makes_one_series() -> None:
    target = TARGETS["statement"]
    mutator = Mutator(target.seeds, True)
    series = [[mutator.change(target.seeds[0], random.Random(seed)) for seed in range(50)] for _ in range(2)]
    assert series[0] == series[1]
    assert len(set(series[0])) > 40


def test_every_refusal_of_a_statement_is_reached() -> None:
    """A dull mutator would see but a few: the codes of truncation, trailing bytes, forms, types, order, depth, text, fields and kinds."""
    target, chance = TARGETS["statement"], random.Random(3)
    mutator = Mutator(target.seeds, True)
    codes = {check_input(target, mutator.change(mutator.seed(chance), chance)) for _ in range(3000)}
    assert {0, 100, 101, 102, 103, 104, 105, 107, 110, 111, 120} <= codes


def test_evidence_signed_anew_gets_past_its_signature() -> None:
    target, chance = TARGETS["evidence.open"], random.Random(3)
    mutator = Mutator(target.seeds, True, target.finish)
    codes = [check_input(target, mutator.change(mutator.seed(chance), chance)) for _ in range(1500)]
    assert codes.count(0) > codes.count(201) > 0
    assert codes.count(150) > 100
