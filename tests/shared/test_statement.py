"""shared/statement: the three kinds, every field at both ends, and what belongs to no kind. The golden files hold the malformed bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import cbor, cose, statement
from shared.errors import MeterproofError
from shared.types import Lost, Repair, Statement
from tests.shared.makers import INT64_MAX, KID, code_of, gap, readings, repair, statement_of
from tests.shared.strategies import mutations

READINGS = statement_of(readings(3))
GAP = gap([Lost(5, 3, None, 1), Lost(8, 1, bytes(32), 2)])
REPAIR = repair()
MAX = INT64_MAX


def signed(record: Statement) -> bytes:
    payload = statement.encode_statement(record)
    return cose.build_sign1(cose.EDDSA, statement.content_type_of(record.kind), KID, payload, lambda message: bytes(64))


@pytest.mark.parametrize("record", [READINGS, GAP, REPAIR], ids=["readings", "gap", "repair"])
def test_round_trip(record: Statement) -> None:
    parts, found = statement.open_statement(signed(record))
    assert found == record
    assert parts.kid == KID and parts.content_type == statement.content_type_of(record.kind)


ENDS = {
    "boot": ([1, MAX], [0, -1, MAX + 1, True, None, b"1"]),
    "device": ([b"\x01" + bytes(16)], [b"\x01" + bytes(15), b"\x01" + bytes(17), bytes(17), b"\x02" + bytes(16), None, "\x01" * 17]),
    "previous": ([None, bytes(32)], [bytes(31), bytes(33), b"", 0, False]),
    "firmware": ([bytes(32)], [bytes(31), bytes(33), None]),
    "tier": ([1, 2, 3], [0, 4, True, None]),
}
READINGS_ENDS = {
    "channel": ([0, 255], [-1, 256, False, None]),
    "first_seq": ([0, MAX - 2], [-1, MAX - 1, MAX, True, None]),  # of three readings
    "count": ([1, 1024], [0, 1025, True, None]),
    "start_s": ([0, MAX], [-1, MAX + 1, None, True]),
    "clock": ([0, 4], [-1, 5, False, None]),
    "channel_table": ([bytes(32)], [bytes(31), None]),
    "root": ([bytes(32)], [bytes(33), None]),
}


@pytest.mark.parametrize("record", [READINGS, GAP, REPAIR], ids=["readings", "gap", "repair"])
def test_fields_of_all_kinds_at_both_ends(record: Statement) -> None:
    check_ends(record, ENDS)


def test_fields_of_readings_at_both_ends() -> None:
    check_ends(READINGS, READINGS_ENDS)


def check_ends(record: Statement, ends: dict) -> None:
    for name, (allowed, refused) in ends.items():
        for value in allowed:
            changed = record._replace(**{name: value})
            assert statement.open_statement(signed(changed))[1] == changed, name
        for value in refused:
            assert code_of(statement.encode_statement, record._replace(**{name: value})) == 120, (name, value)
            fields = cbor.decode(statement.encode_statement(record))
            fields[Statement._fields.index(name)] = value
            data = cose.build_sign1(-8, statement.content_type_of(record.kind), KID, cbor.encode(fields), lambda message: bytes(64))
            assert code_of(statement.open_statement, data) == 120, (name, value)


def test_item_n_is_key_n() -> None:
    fields = cbor.decode(statement.encode_statement(READINGS))
    assert [fields[key] for key in range(1, 13)] == list(READINGS[1:13])


def test_fields_of_another_kind_are_refused() -> None:
    assert code_of(statement.encode_statement, GAP._replace(channel=0)) == 120
    assert code_of(statement.encode_statement, READINGS._replace(lost=[])) == 120
    assert code_of(statement.encode_statement, REPAIR._replace(root=bytes(32))) == 120
    assert code_of(statement.encode_statement, READINGS._replace(kind="reading")) == 120
    assert code_of(statement.content_type_of, "ack") == 120


def test_a_payload_means_only_what_it_is_signed_as() -> None:
    for record in (READINGS, GAP, REPAIR):
        payload = statement.encode_statement(record)
        for kind in statement.CONTENT_TYPES:
            data = cose.build_sign1(-8, statement.content_type_of(kind), KID, payload, lambda message: bytes(64))
            if kind != record.kind:
                assert code_of(statement.open_statement, data) == 120
        data = cose.build_sign1(-8, cose.CT_ACK, KID, payload, lambda message: bytes(64))
        assert code_of(statement.open_statement, data) == 111


@pytest.mark.parametrize(
    "lost",
    [
        [Lost(0, 1, None, 1)],
        [Lost(MAX, 1, None, 1)],
        [Lost(0, 2**63, None, 3)],
        [Lost(5, 3, None, 1), Lost(8, 1, None, 1)],  # neighbours do not overlap
        [Lost(2 * i, 1, bytes(32), 1) for i in range(32)],
    ],
)
def test_losses_allowed(lost: list[Lost]) -> None:
    assert statement.open_statement(signed(gap(lost)))[1].lost == lost


@pytest.mark.parametrize(
    "lost",
    [
        [],
        None,
        [Lost(2 * i, 1, None, 1) for i in range(33)],
        [Lost(5, 3, None, 1), Lost(7, 1, None, 1)],
        [Lost(5, 3, None, 1), Lost(5, 3, None, 1)],
        [Lost(8, 1, None, 1), Lost(5, 3, None, 1)],
        [Lost(-1, 2, None, 1)],
        [Lost(5, 0, None, 1)],
        [Lost(MAX, 2, None, 1)],
        [Lost(2**63, 1, None, 1)],
        [Lost(5, True, None, 1)],
        [Lost(5, 1, bytes(31), 1)],
        [Lost(5, 1, None, 0)],
        [Lost(5, 1, None, 4)],
        [(5, 1, None)],
    ],
)
def test_losses_refused(lost: list[Lost] | None) -> None:
    assert code_of(statement.encode_statement, gap(lost)) == 120


def test_repairs() -> None:
    for parts in ((1, 0, 0, 1), (MAX, MAX, MAX, 4)):
        assert statement.open_statement(signed(repair(*parts)))[1].repair == Repair(*parts)
    for parts in ((0, 0, 0, 1), (1, -1, 0, 1), (1, 0, -1, 1), (1, 0, 0, 0), (1, 0, 0, 5), (1, 0, MAX + 1, 1), (True, 0, 0, 1)):
        assert code_of(statement.encode_statement, repair(*parts)) == 120
    assert code_of(statement.encode_statement, repair()._replace(repair=None)) == 120
    assert code_of(statement.encode_statement, repair()._replace(repair=(1, 0, 0))) == 120


def test_the_largest_of_each_kind_fits() -> None:
    """What a device may have to say, it can always get logged."""
    ends = {"boot": MAX, "previous": bytes(32), "tier": 3}
    lost = [Lost(MAX - 2 * (32 - i), 1, bytes(32), 3) for i in range(31)] + [Lost(MAX - 1, 2, bytes(32), 3)]
    large = {"channel": 255, "first_seq": MAX - 1023, "count": 1024, "start_s": MAX, "clock": 4}
    for record in (READINGS._replace(**ends, **large), gap(lost)._replace(**ends), repair(MAX, MAX, MAX, 4)._replace(**ends)):
        data = signed(record)
        assert len(data) <= statement.STATEMENT_BYTES_MAX
        assert statement.open_statement(data)[1] == record


def test_bytes_at_both_sides_of_the_limit() -> None:
    def of_size(size: int) -> bytes:
        payload = bytes(size - len(cose.build_sign1(-8, cose.CT_GAP, KID, bytes(300), lambda message: bytes(64))) + 300)
        return cose.build_sign1(-8, cose.CT_GAP, KID, payload, lambda message: bytes(64))

    assert len(of_size(2048)) == 2048
    assert code_of(statement.open_statement, of_size(2048)) != 106
    assert code_of(statement.open_statement, of_size(2049)) == 106


@given(st.binary(max_size=120) | mutations(st.sampled_from([signed(READINGS), signed(GAP), signed(REPAIR)])))
def test_any_bytes(data: bytes) -> None:
    try:
        parts, record = statement.open_statement(data)
    except MeterproofError as error:
        assert error.hundred == 1
        return
    assert statement.encode_statement(record) == parts.payload
    assert cose.assemble_sign1(cose.build_protected(parts.alg, parts.content_type, parts.kid), parts.payload, parts.signature) == data
