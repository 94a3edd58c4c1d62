"""The state machine is a pure function: what its files may import, and that mixtures of transactions behave the same every time."""

import ast
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import server.ledger
from server.ledger.transactions import build_tx, decode_tx
from shared import state
from tests.ledger.test_core import state_root_of
from tests.ledger.test_tree import naive_root
from tests.ledger.world import (
    ADMIN,
    CHAIN,
    FIRMWARE,
    INSTALLER,
    NODE,
    OPERATOR,
    ORG,
    TIME_S,
    VALIDATORS,
    World,
    assignment,
    key_of,
    readings,
    ueid,
)

FOLDER = Path(server.ledger.__file__).parent
PURE = [
    "blocks",
    "bodies",
    "context",
    "core",
    "devices",
    "genesis",
    "lists",
    "replay",
    "rules",
    "rules_batches",
    "rules_devices",
    "rules_registry",
    "state",
    "transactions",
    "tree",
    "values",
]
ALLOWED = {"collections", "dataclasses", "functools", "hashlib", "re", "shared", "typing"}
PURE_ELSEWHERE = {"server.fastcbor"}
FORBIDDEN_CALLS = {"float", "open", "frozenset", "hash", "id", "print", "input", "eval", "exec"}


def faults(text: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names] if not node.level else []
            own = [node.module] if node.module else [alias.name for alias in node.names]
            found += [f"imports {name}" for name in own if node.level and (node.level > 1 or name not in PURE)]
        found += [f"imports {name}" for name in names if name.split(".")[0] not in ALLOWED and name not in PURE_ELSEWHERE]
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            found.append("a float")
        if isinstance(node, ast.For) and isinstance(node.iter, (ast.Set, ast.SetComp)):
            found.append("order of a set")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
            found.append(f"calls {node.func.id}")
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            found.append("divides into a float")
    return found


@pytest.mark.parametrize("name", PURE)
def test_no_clock_randomness_io_or_float(name: str) -> None:
    assert faults((FOLDER / f"{name}.py").read_text()) == []


@pytest.mark.parametrize(
    "text", ["import time", "from random import random", "from . import file", "from ..store import sqlite", "from server import home"]
)
def test_the_check_finds_what_it_is_for(text: str) -> None:
    assert faults(text) != []


@pytest.mark.parametrize("text", ["x = 0.5", "x = 1 / 2", "open('x')", "for x in {1, 2}: pass"])
def test_it_finds_what_is_no_import_too(text: str) -> None:
    assert faults(text) != []


POINT = b"P" * 10
A, B = readings("d", 0, 10), readings("d", 5, 10)
ACTS = [
    (ADMIN, "firmware.add", {1: FIRMWARE, 2: "edge", 3: "1"}),
    (ADMIN, "firmware.withdraw", {1: FIRMWARE}),
    (ADMIN, "key.add", {1: key_of("ann").cose_key, 2: ["admin"], 3: "ann"}),
    (ADMIN, "key.revoke", {1: key_of("ann").kid}),
    (ADMIN, "key.revoke", {1: ADMIN.kid}),
    (key_of("ann"), "key.revoke", {1: ADMIN.kid}),
    (INSTALLER, "device.enroll", World().enroll_body("d", POINT, _6=[])),
    (INSTALLER, "device.assign", {1: ueid("d"), 2: assignment(POINT, from_s=TIME_S)}),
    (OPERATOR, "device.suspend", {1: ueid("d"), 2: "why"}),
    (OPERATOR, "device.resume", {1: ueid("d"), 2: "why"}),
    (OPERATOR, "device.revoke", {1: ueid("d"), 2: "why"}),
    (NODE, "device.equivocation", {1: ueid("d"), 2: A, 3: B}),
    (NODE, "batch", World().batch_body([A])),
    (VALIDATORS["v1"], "vote", {1: "example.org/test/evidence", 2: 0, 3: World().batch_body([A])[4], 4: []}),
    (INSTALLER, "point.create", {1: "x", 2: None, 3: "UTC"}),
]


def run(choices: list[int]) -> World:
    """Each act in its own transaction, some to a block, with the nonce its signer then has."""
    world = World()
    for low in range(0, len(choices), 3):
        txs, used = [], dict.fromkeys((key.kid for key, _, _ in ACTS), 0)
        for key, kind, body in (ACTS[choice] for choice in choices[low : low + 3]):
            txs.append(decode_tx(build_tx(key, CHAIN, ORG, world.nonce(key) + used[key.kid], kind, body)))
            used[key.kid] += 1
        before = dict(world.store.values)
        staged = world.block(*txs)
        changed = {key for key, value in world.store.values.items() if before.get(key) != value}
        effects = {key for receipt in staged.receipts for key, _ in receipt.effects}
        nonces = {state.nonce_key(key.kid) for key, _, _ in ACTS}
        assert changed - nonces <= effects, "a change that no receipt names"
        assert all(receipt.effects == [] for receipt in staged.receipts if receipt.code)
        assert all(receipt.effects for receipt in staged.receipts if not receipt.code)
    return world


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(ACTS) - 1), max_size=24))
def test_any_mixture_is_deterministic_and_every_change_has_its_receipt(choices: list[int]) -> None:
    one, two = run(choices), run(choices)
    assert one.core.head == two.core.head and one.store.entries == two.store.entries
    assert one.core.head.state_root == state_root_of(one)
    for key, value in one.store.values.items():
        if key == state.device_key(ueid("d")):
            device = state.decode_device_value(value)
            assert (device.status == state.LIVE) == (device.live[-1][1] is None)
    assert naive_root({}) == bytes(32)
