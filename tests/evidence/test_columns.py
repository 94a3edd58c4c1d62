"""server/evidence/columns gives what shared/bundle gives for every input: the same readings and leaf hashes, or the same error.

In: hypothesis, golden files, devices of the bench. Out: nothing. Never a timing assertion: `meterproof bench` measures.
"""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from server import fastcbor
from server.bench.node import BenchDevice
from server.evidence import columns as module
from server.evidence.columns import Columns, check_columns, leaf_hashes, read_columns
from shared import bundle, merkle
from shared.errors import MeterproofError
from shared.statement import open_statement
from shared.types import Reading, Statement
from tests.independent.make_vectors import VECTORS
from tests.micropython import checks_golden
from tests.shared.makers import INT64_MAX, SALT, bundles, gap, int64s, statement_of
from tests.shared.strategies import INTEGERS, SCALARS, values

STATEMENT = b"\x01" * 400


def plain(columns: Columns | None) -> object:
    return None if columns is None else [list(columns.times), [list(column) for column in columns.registers], list(columns.statuses)]


def outcome(call, *arguments: object) -> object:
    try:
        found = call(*arguments)
    except MeterproofError as error:
        return type(error), error.code
    return plain(Columns.of(found) if isinstance(found, list) and found else found or None)


def agree(statement: Statement, salt: object, rows: object) -> object:
    ours, fast = outcome(bundle.check_rows, statement, salt, rows), outcome(check_columns, statement, salt, rows)
    assert ours == fast, (statement, rows)
    return fast


def rows_of(readings: list[Reading]) -> object:
    return bundle.decode_envelope(bundle.encode_envelope(STATEMENT, SALT, readings)).rows


@st.composite
def steady(draw) -> list[Reading]:  # type: ignore[no-untyped-def]
    """Readings as meters make them: every width of integer, every form of column, no nulls."""
    count, width = draw(st.integers(1, 40)), draw(st.integers(1, 4) | st.sampled_from([23, 24, 32]))
    first_seq, time_s = draw(st.integers(0, 2**62) | st.sampled_from([0, 20, 250, 65500, 2**32 - 30])), draw(st.integers(0, 2**40))
    edges = st.sampled_from([0, -1, 250, -8192, 8191, 65530, 2**32 - 5, 2**63 - 1])
    starts = draw(st.lists(int64s | edges, min_size=width, max_size=width))
    steps = draw(st.lists(st.sampled_from([0, 0, 1, -1, 7, 1000, 2**33]), min_size=width, max_size=width))
    turn, status = draw(st.sampled_from([1, 2, 1000])), draw(st.sampled_from([0, 2, 3, 4, 5]))
    step_s = draw(st.sampled_from([0, 1, 60, 2**33]))
    readings = []
    for i in range(count):
        registers = [max(-(2**63), min(INT64_MAX, a + b * i * (-1) ** (i // turn))) for a, b in zip(starts, steps, strict=True)]
        readings.append(Reading(first_seq + i, time_s, registers, status if i % turn else 0))
        time_s += step_s + i // turn % 2
    return readings


@given(bundles())
def test_any_bundle(readings: list[Reading]) -> None:
    statement, rows = statement_of(readings), rows_of(readings)
    assert agree(statement, SALT, rows) == plain(Columns.of(readings))
    assert agree(statement._replace(root=bytes(32)), SALT, rows) == outcome(
        bundle.check_rows, statement._replace(root=bytes(32)), SALT, rows
    )


@given(steady())
@settings(max_examples=100)
def test_what_meters_make_never_needs_the_reference(readings: list[Reading]) -> None:
    statement, rows = statement_of(readings), rows_of(readings)
    agree(statement, SALT, rows)
    read = read_columns(statement, rows)
    assert read is not None and plain(read) == plain(Columns.of(readings))
    hashes = leaf_hashes(statement, SALT, rows)
    assert hashes == bundle.leaf_hashes(SALT, readings) and module._root(hashes) == merkle.root(hashes) == statement.root


COLUMN = st.one_of(
    INTEGERS | SCALARS,
    st.lists(st.integers(-3, 3) | st.integers(0, 1), max_size=5),
    st.lists(SCALARS | INTEGERS, max_size=5),
    st.lists(st.sampled_from([0, 1, True, False, None, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, -(2**64)]), max_size=5),
)


@given(st.integers(1, 4), COLUMN, st.lists(COLUMN, max_size=4) | values(), COLUMN, st.integers(0, INT64_MAX))
@settings(max_examples=600)
@example(1, [], [5], 0, 0)
@example(1, 0, [5], 0, 0)
@example(1, [], [[5]], 0, 0)
@example(2, [60], [[5, 1]], 0, 0)
@example(2, 60, [[5, 5]], 0, 0)
@example(2, 60, [[5, 1]], 1, 0)
@example(2, 60, [5] * 33, 0, 0)
@example(2, 60, [5], [0, 0], 0)
@example(2, 60, [5], True, 0)
@example(2, INT64_MAX, [5], 0, 1)
@example(3, 2**62, [5], 0, 0)
@example(3, [1, -1], [5], 0, 10)
@example(2, 60, [[2**64 - 1, -(2**64)]], 0, 0)
@example(3, 60, [2**62], 0, 0)
@example(2, 60, [-(2**62)], 0, 0)
@example(2, 60, [0], 6, 0)
@example(2, 60, [0], -1, 0)
def test_what_it_takes_alone_the_reference_would_take(count: int, times: object, registers: object, statuses: object, start_s: int) -> None:
    """Under the root that the columns would have, so that nothing but their form can be refused."""
    rows = [times, registers, statuses]
    statement = statement_of([Reading(i, start_s, [1], 0) for i in range(count)])
    hashes = leaf_hashes(statement, SALT, rows)
    if hashes is not None:
        statement = statement._replace(root=module._root(hashes))
        assert agree(statement, SALT, rows) == plain(read_columns(statement, rows))
    agree(statement, SALT, rows)
    agree(statement, SALT, [*rows, 0])


@pytest.mark.parametrize("salt", [None, SALT, SALT[:15], SALT + b"x", bytearray(SALT), "x" * 16])
@pytest.mark.parametrize("rows", [None, [], [60, [1], 0], b"", {0: 1}])
def test_other_kinds_and_missing_parts(salt: object, rows: object) -> None:
    agree(gap([]), salt, rows)
    agree(statement_of([Reading(0, 0, [1], 0), Reading(1, 60, [2], 0)]), salt, rows)


def test_golden_rows() -> None:
    cases = [case for case in json.loads((VECTORS / "envelope.json").read_text())["cases"] if case["do"] == "rows"]
    for case in cases:
        given_ = checks_golden.unwrap(case["input"])
        agree(open_statement(given_["statement"])[1], given_["salt"], given_["rows"])
    assert len(cases) > 50


def test_a_device_of_the_bench() -> None:
    device = BenchDevice()
    for count in (60, 60, 1, 2, 1024):
        envelope = bundle.read_envelope(fastcbor.decode(device.envelope(count)))
        _, statement = open_statement(envelope.statement)
        assert read_columns(statement, envelope.rows) is not None
        agree(statement, envelope.salt, envelope.rows)
