"""Both interpreters under the same nearly right input: each decoder accepts in both, or refuses with one code in both.

In: the golden files' inputs, mutated with a seeded generator. Out: nothing. Never a case that one of them skips.
"""

import json
import random
from pathlib import Path

import pytest

from shared import cbor
from tests.independent.cbor_out import cbor as independent
from tests.micropython import check_json, checks_golden
from tests.shared.test_fuzz import BYTES, GOOD, SHAPES, TEXT, nodes, replaced

pytestmark = pytest.mark.slow


def mutated(raw: bytes, chance: random.Random) -> bytes:
    """As `mutations`, from a plain seeded generator: thousands of cases for one run of MicroPython."""
    data = bytearray(raw)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = chance.choice((0, 0x18, 0x20, 0x3B, 0x40, 0x60, 0x7F, 0x80, 0xA0, 0xD2, 0xF4, 0xF5, 0xF6, 0xFF))
        elif kind == 2:
            del data[at : at + chance.randint(1, 4)]
        elif kind == 3:
            data[at:at] = chance.choice(
                (b"\x00", b"\xff", b"\x18\x00", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf6", b"\xf5")
            )
        else:
            del data[at:]
    return bytes(data)


STRANGE = [
    0,
    1,
    -1,
    24,
    2**31,
    2**32,
    2**53,
    2**62,
    2**63 - 1,
    2**63,
    2**64 - 1,
    -(2**63),
    -(2**63) - 1,
    True,
    False,
    None,
    "",
    "a",
    "ü",
    b"",
    b"\x01",
]
STRANGE += [bytes(16), bytes(17), b"\x01" * 17, bytes(32), bytes(33), [], [0], [None], [[]], {}, {1: 1}, {"a": b""}, "a" * 300]


def misshaped(value: object, chance: random.Random) -> bytes:
    """Well-formed CBOR in which something is something else."""
    return independent(replaced(value, chance.randrange(nodes(value)), chance.choice(STRANGE)))


ON_DEVICE = [do for do in BYTES if do not in ("evidence.file", "policy", "tx", "genesis", "block")]


@pytest.mark.parametrize("do", [*ON_DEVICE, "topic", "vkey", "checkpoint"])
def test_micropython_raises_the_same(do: str, tmp_path: Path) -> None:
    """3,000 mutations: accepted by both interpreters, or refused by both with one code."""
    chance = random.Random(do)
    cases = []
    for _ in range(3000):
        good = chance.choice(GOOD[do])
        if do in TEXT:
            text = mutated(good.encode(), chance).decode(errors="ignore")
            cases.append([do, text, checks_golden.code_raised(checks_golden.OPERATIONS[do][0], text)])
        else:
            shaped = do in SHAPES and chance.random() < 0.5
            data = misshaped(cbor.decode(good), chance) if shaped else mutated(good, chance)
            cases.append([do, data.hex(), checks_golden.code_raised(checks_golden.OPERATIONS[do][0], data)])
    assert len({case[2] for case in cases}) >= 2
    path = tmp_path / "outcomes.json"
    path.write_text(json.dumps(cases, ensure_ascii=False), encoding="utf-8")
    assert check_json("checks_golden", "check_outcomes", path, heapsize="64m", timeout_s=300) == len(cases)
