"""shared/bundle: envelopes, columns and roots; every limit at both sides. The golden files hold the single malformed cases."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import bundle, cbor, merkle
from shared.errors import DecodeError, VerifyError
from shared.types import Reading
from tests.shared.makers import INT64_MAX, SALT, bundles, code_of, gap, int64s, reading, readings, statement_of
from tests.shared.strategies import mutations, values

STATEMENT = b"\x01" * 400


def rows_of(rows: list[Reading]) -> object:
    return bundle.decode_envelope(bundle.encode_envelope(STATEMENT, SALT, rows)).rows


def expand(rows: object, count: int) -> list[Reading]:
    return bundle.rows_to_readings(statement_of(readings(count)), rows)


# --- leaves


@given(bundles())
def test_leaf_round_trip(rows: list[Reading]) -> None:
    for row in rows:
        assert bundle.decode_reading_leaf(bundle.reading_leaf(SALT, row)) == (SALT, row)


@given(bundles())
def test_root_is_that_of_the_leaf_hashes(rows: list[Reading]) -> None:
    assert bundle.readings_root(SALT, rows) == merkle.root(bundle.leaf_hashes(SALT, rows))


def test_largest_leaf_fits_its_limit() -> None:
    leaf = bundle.reading_leaf(SALT, Reading(INT64_MAX, INT64_MAX, [-(2**63)] * 32, 5))
    assert len(leaf) <= bundle.LEAF_BYTES_MAX
    assert bundle.decode_reading_leaf(leaf)[1].registers == [-(2**63)] * 32


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": -1},
        {"seq": 2**63},
        {"seq": True},
        {"time_s": -1},
        {"time_s": 2**63},
        {"registers": []},
        {"registers": [0] * 33},
        {"registers": [2**63]},
        {"registers": [-(2**63) - 1]},
        {"registers": [True]},
        {"registers": [None, 1]},
        {"registers": [1.0]},
        {"registers": (1, 2)},
        {"registers": [None, None], "status": 0},
        {"registers": [None, 1], "status": 1},
        {"registers": [0, 0], "status": 1},
        {"registers": [None], "status": 2},
        {"status": 6},
        {"status": -1},
        {"status": False},
    ],
)
def test_reading_refused(changes: dict) -> None:
    assert code_of(bundle.reading_leaf, SALT, reading(5, **changes)) == 122
    assert code_of(bundle.encode_envelope, STATEMENT, SALT, [reading(5, **changes)]) == 122
    assert code_of(bundle.readings_root, SALT, [reading(5, **changes)]) == 122


@pytest.mark.parametrize("registers", [[None, None], [None, 1], [1, 2]])
def test_a_meter_error_may_have_nulls_or_not(registers: list) -> None:
    row = reading(5, registers=registers, status=3)
    assert bundle.decode_reading_leaf(bundle.reading_leaf(SALT, row)) == (SALT, row)


def test_salt_places() -> None:
    assert bundle.reading_salt(SALT, 0) != bundle.reading_salt(SALT, 1023)
    for place in (-1, 1024, True):
        assert code_of(bundle.reading_salt, SALT, place) == 108
    assert code_of(bundle.reading_salt, SALT[:15], 0) == 108


# --- envelope and columns


@given(bundles())
def test_rows_round_trip(rows: list[Reading]) -> None:
    statement = statement_of(rows)
    envelope = bundle.decode_envelope(bundle.encode_envelope(STATEMENT, SALT, rows))
    assert envelope.statement == STATEMENT and envelope.salt == SALT
    assert bundle.check_rows(statement, envelope.salt, envelope.rows, len(rows[0].registers)) == rows


@given(bundles(), st.data())
def test_any_other_reading_breaks_the_root(rows: list[Reading], data: st.DataObject) -> None:
    statement = statement_of(rows)
    i = data.draw(st.integers(0, len(rows) - 1))
    changed = rows[:i] + [rows[i]._replace(registers=data.draw(st.lists(int64s, min_size=1, max_size=4)), status=0)] + rows[i + 1 :]
    if changed == rows or len({len(row.registers) for row in changed}) > 1:
        return
    assert code_of(bundle.check_rows, statement, SALT, rows_of(changed)) == 233


def test_another_salt_breaks_the_root() -> None:
    rows = readings(3)
    assert code_of(bundle.check_rows, statement_of(rows), bytes(16), rows_of(rows)) == 233


def test_columns_as_in_the_spec() -> None:
    rows = [
        Reading(7, 100, [10, None, 5], 3),
        Reading(8, 160, [15, 4, 5], 0),
        Reading(9, 220, [None, None, None], 1),
        Reading(10, 280, [14, 4, 5], 0),
    ]
    assert rows_of(rows) == [60, [[10, 5, None, -1], [None, 4, None, 0], [5, 0, None, 0]], [3, 0, 1, 0]]
    assert rows_of(rows[:1]) == [[], [10, None, 5], 3]
    assert rows_of([rows[2]]) == [[], [None] * 3, 1]


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        ([[60, 60], [[1, 2, 3]], 0], 3),  # equal values must be one
        ([60, [[1, 1, 1]], 0], 3),
        ([60, [[1, 2, 3]], [0, 0, 0]], 3),
        ([60, [[None, None, None]], 1], 3),
        ([[60], [1], 0], 2),
        ([0, [1], 0], 1),  # no time delta there is
        ([[0], [1], 0], 1),
        ([[], [[1]], 0], 1),
        ([[60], [[1, 2, 3]], 0], 3),  # lengths
        ([[60, 61, 62], [[1, 2, 3]], 0], 3),
        ([60, [[1, 2]], 0], 3),
        ([60, [[1, 2, 3, 4]], 0], 3),
        ([60, [[1, 2, 3]], [0, 4]], 3),
        ([60, [], 0], 3),
        ([60, [1] * 33, 0], 3),
        ([-1, [[1, 2, 3]], 0], 3),  # time falls
        ([[60, -60], [[1, 2, 3]], 0], 3),
        ([2**62, [1], 0], 3),  # time beyond 63 bits
        ([True, [[1, 2, 3]], 0], 3),
        ([60, [[1, True, 3]], 0], 3),
        ([60, [[1, 2, 3]], False], 3),
        ([60, [[1, 2, 3]], 6], 3),
        ([60, [[1, 2, 3]], None], 3),
        ([None, [[1, 2, 3]], 0], 3),
        ([60, [[1, 2, 3]], 1], 3),  # status 1 with values
        ([60, [None], 0], 3),
        ([60, [b"1"], 0], 3),
        ([60, [[INT64_MAX, 1, 0]], 0], 3),  # a sum beyond 64 bits
        ([60, [[INT64_MAX, 1, -1]], 0], 3),
        ([60, [[-(2**63), -1, 0]], 0], 3),
        ([60, [2**62], 0], 3),
        ([60, [[2**63, -5, 0]], 0], 3),
        ([60, [[1, 2, 3]]], 3),
        ([60, [[1, 2, 3]], 0, 0], 3),
        ({0: 60, 1: [[1, 2, 3]], 2: 0}, 3),
        ([60, 1, 0], 3),
    ],
)
def test_rows_refused(rows: object, count: int) -> None:
    assert code_of(expand, rows, count) == 122


def test_sums_reach_both_ends_of_int64() -> None:
    rows = [reading(i, registers=[(-1) ** i * INT64_MAX - i % 2]) for i in range(4)]
    assert [row.registers[0] for row in bundle.check_rows(statement_of(rows), SALT, rows_of(rows))] == [INT64_MAX, -(2**63)] * 2


@pytest.mark.parametrize("width", [1, 32])
def test_as_many_registers_as_allowed(width: int) -> None:
    rows = readings(3, width)
    assert bundle.check_rows(statement_of(rows), SALT, rows_of(rows), width) == rows
    assert code_of(bundle.check_rows, statement_of(rows), SALT, rows_of(rows), width + 1) == 122


def test_count_at_both_ends() -> None:
    for count in (1, 1024):
        rows = readings(count)
        assert bundle.check_rows(statement_of(rows), SALT, rows_of(rows)) == rows
    assert code_of(bundle.encode_envelope, STATEMENT, SALT, []) == 122
    assert code_of(bundle.encode_envelope, STATEMENT, SALT, readings(1025)) == 122


def test_readings_that_are_no_bundle() -> None:
    rows = readings(3)
    for wrong in (
        [rows[0], rows[2]],
        [rows[1], rows[0]],
        [rows[0], rows[1]._replace(time_s=rows[0].time_s - 1)],
        [rows[0], rows[1]._replace(registers=[1])],
    ):
        assert code_of(bundle.encode_envelope, STATEMENT, SALT, wrong) == 122


def test_envelope_parts() -> None:
    encode = bundle.encode_envelope
    assert bundle.decode_envelope(encode(STATEMENT, None, None)) == (STATEMENT, None, None)
    assert len(bundle.decode_envelope(encode(bytes(2048), None, None)).statement) == 2048
    for parts in (
        (bytes(2049), None, None),
        (b"", None, None),
        (None, None, None),
        (STATEMENT, SALT, None),
        (STATEMENT, None, readings(2)),
        (STATEMENT, SALT[:15], readings(2)),
    ):
        assert code_of(encode, *parts) == 121
        rows = None if parts[2] is None else rows_of(parts[2])
        assert code_of(bundle.decode_envelope, cbor.encode([parts[0], parts[1], rows])) == 121


def test_envelope_bytes_at_both_sides() -> None:
    rows = [Reading(i, i * i, [(-1) ** (i + r) * 2**62 for r in range(12)], 0) for i in range(580)]
    spare = 65535 - len(bundle.encode_envelope(bytes(256), SALT, rows))  # lengths of 256..65535 have heads of one size
    assert 0 < spare <= 2048 - 257
    data = bundle.encode_envelope(bytes(256 + spare), SALT, rows)
    assert len(data) == 65535
    assert bundle.check_rows(statement_of(rows), SALT, bundle.decode_envelope(data).rows) == rows
    assert code_of(bundle.encode_envelope, bytes(257 + spare), SALT, rows) == 121
    longer = cbor.encode([bytes(257 + spare), SALT, rows_of(rows)])
    assert code_of(bundle.decode_envelope, longer) == 106


def test_no_rows() -> None:
    rows = readings(3)
    statement = statement_of(rows)
    assert code_of(bundle.check_rows, statement, None, None) == 232
    assert code_of(bundle.check_rows, statement, SALT, None) == 232
    assert code_of(bundle.check_rows, statement, SALT[:15], rows_of(rows)) == 121
    assert bundle.check_rows(gap([]), None, None) == []
    assert code_of(bundle.check_rows, gap([]), SALT, rows_of(rows)) == 121


# --- any bytes


@given(st.binary(max_size=200) | mutations(bundles().map(lambda rows: bundle.encode_envelope(STATEMENT, SALT, rows))))
def test_envelope_of_any_bytes(data: bytes) -> None:
    try:
        envelope = bundle.decode_envelope(data)
    except DecodeError:
        return
    assert cbor.encode(list(envelope)) == data


@given(values(), st.integers(1, 5))
def test_rows_of_any_value(rows: object, count: int) -> None:
    statement = statement_of(readings(count))
    with pytest.raises((DecodeError, VerifyError)) as caught:
        bundle.check_rows(statement, SALT, rows)
    assert caught.value.code in (122, 232, 233)


@given(st.binary(max_size=60) | mutations(bundles().map(lambda rows: bundle.reading_leaf(SALT, rows[0]))))
def test_leaf_of_any_bytes(data: bytes) -> None:
    try:
        salt, row = bundle.decode_reading_leaf(data)
    except DecodeError:
        return
    assert bundle.reading_leaf(salt, row) == data


@given(bundles().flatmap(lambda rows: st.tuples(st.just(rows), mutations(st.just(bundle.encode_envelope(STATEMENT, SALT, rows))))))
def test_only_the_same_bytes_give_the_same_rows(case: tuple[list[Reading], bytes]) -> None:
    """No second way to write the same rows: whoever relays a bundle cannot make another envelope that passes."""
    rows, data = case
    statement = statement_of(rows)
    try:
        envelope = bundle.decode_envelope(data)
        found = bundle.check_rows(statement, envelope.salt, envelope.rows)
    except (DecodeError, VerifyError):
        return
    assert found == rows and data == bundle.encode_envelope(envelope.statement, SALT, rows)


def test_a_short_input_cannot_ask_for_much_memory() -> None:
    statement = statement_of(readings(1024))
    tracemalloc.start()
    for data in (b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff", b"\x83\x5a\xff\xff\xff\xff", b"\x83\x41\x00\xf6\x9a\x00\x10\x00\x00"):
        assert code_of(bundle.decode_envelope, data) == 100
    assert code_of(bundle.rows_to_readings, statement, [[1, 2], [0] * 32, 0]) == 122
    assert tracemalloc.get_traced_memory()[1] < 100_000
    tracemalloc.stop()
