"""Rows as they lie on disk."""

import secrets
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.evidence.packing import pack_rows, unpack_rows
from server.evidence.rows import Arrival
from shared import cbor
from shared.bundle import ENVELOPE_BYTES_MAX
from shared.errors import DecodeError

STEADY = cbor.encode([60, [[7_000_000, *[61] * 59], [40, -20] * 30], 0])


def packed(body: bytes) -> bytes:
    deflate = zlib.compressobj(1, zlib.DEFLATED, -10, 1)
    return b"\x00" + deflate.compress(body) + deflate.flush()


@given(st.lists(st.integers(-(1 << 40), 1 << 40) | st.none(), max_size=300))
def test_rows_come_back_as_they_were_and_never_longer(values: list[int | None]) -> None:
    body = cbor.encode([60, [values], 0])
    assert unpack_rows(pack_rows(body)) == body and len(pack_rows(body)) <= len(body)


def test_what_runs_steadily_is_packed_and_what_does_not_stays_as_it_came() -> None:
    assert len(pack_rows(STEADY)) < len(STEADY) / 3
    noise = cbor.encode([secrets.token_bytes(300)])
    assert pack_rows(noise) == noise == unpack_rows(noise)
    assert Arrival(0, 0, True, None, pack_rows(STEADY)).rows() == Arrival(0, 0, True, None, STEADY).rows() == cbor.decode(STEADY)


@pytest.mark.parametrize("cut", range(1, 8))
def test_torn_rows_are_refused(cut: int) -> None:
    with pytest.raises(DecodeError, match="122"):
        unpack_rows(pack_rows(STEADY)[:-cut])


@pytest.mark.parametrize(
    "data", [b"\x00", b"\x00\xff\xff", b"\x00\x07", pack_rows(STEADY) + b"\x00", packed(bytes(ENVELOPE_BYTES_MAX + 1))]
)
def test_what_cannot_be_unpacked_or_is_too_long_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError, match="122"):
        unpack_rows(data)


@given(st.binary(max_size=200))
def test_any_bytes_unpack_or_are_refused(data: bytes) -> None:
    try:
        body = unpack_rows(b"\x00" + data)
    except DecodeError:
        return
    assert len(body) <= ENVELOPE_BYTES_MAX
