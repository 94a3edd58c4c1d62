"""Statements decoded and signatures verified as `shared.statement` and `shared.cose` do it, with less work for what comes every second.

In: bytes of a signed statement, a COSE_Key. Out: (signed object, statement), or the errors of the two. Never decides by itself that
something is wrong: it takes statements of readings in their one form; all else is left to `shared`.
"""

from functools import lru_cache
from hashlib import sha256
from typing import Any

from server import fastcbor
from shared import cbor, cose, sign
from shared.errors import DecodeError, VerifyError
from shared.statement import CHANNEL_MAX, CLOCK_MAX, COUNT_MAX, STATEMENT_BYTES_MAX, TIER_MAX
from shared.statement import open_statement as open_any
from shared.types import Statement

KNOWN_MAX = 4096  # headers and keys, one of each for a device
_INT64_MAX = (1 << 63) - 1
_LEAST_BYTES = 100
_TAGGED_LIST = b"\xd2\x84\x58"  # COSE_Sign1, then a byte string of 24..255 bytes
_SIGNATURE = b"\x58\x40"
_SIG_STRUCTURE = b"\x84\x6aSignature1"
_READINGS_KEYS = tuple(range(1, 13))


def open_statement(data: bytes) -> tuple[cose.Signed, Statement]:
    """(signed object, statement) as `shared.statement.open_statement` gives them. Raises as that does."""
    return _open(data) or open_any(data)


def verify(signed: cose.Signed, cose_key: bytes) -> None:
    """`cose.verify_sign1`. Raises VerifyError 200, 201, 202."""
    key, kid = _key(cose_key)
    if signed.kid != kid or signed.alg != key.alg:
        raise VerifyError(200, "signed by another key")
    sign.verify(key.alg, key.raw, signed.signed, signed.signature)


@lru_cache(KNOWN_MAX)
def _key(cose_key: bytes) -> tuple[cose.Key, bytes]:
    return cose.decode_key(cose_key), cose.kid_of(cose_key)


@lru_cache(KNOWN_MAX)
def _header(protected: bytes) -> tuple[int, str, bytes] | None:
    """(algorithm, content type, key id) of the header of a statement of readings."""
    try:
        fields = cbor.check_map(cbor.decode(protected, 256), (1, 3, 4))
        alg, kid = cbor.check_int(fields[1]), cbor.check_bytes(fields[4], cose.KID_BYTES)
    except DecodeError:
        return None
    right = alg in (cose.EDDSA, cose.ES256) and fields[3] == cose.CT_READINGS
    return (alg, cose.CT_READINGS, kid) if right else None


def _open(data: bytes) -> tuple[cose.Signed, Statement] | None:
    if not _LEAST_BYTES <= len(data) <= STATEMENT_BYTES_MAX or data[:3] != _TAGGED_LIST or data[3] < 24:
        return None
    at = 4 + data[3]
    header = _header(data[4:at])
    end = len(data) - len(_SIGNATURE) - 64
    if header is None or at + 4 > end or data[at] != 0xA0 or data[end : end + 2] != _SIGNATURE:
        return None
    # The payload is a byte string of 24 bytes or more, in the shortest of two forms.
    start = at + (3 if data[at + 1] == 0x58 else 4)
    length = end - start
    if data[at + 1 : start] != (
        bytes((0x58, length)) if 24 <= length < 256 else b"\x59" + length.to_bytes(2, "big") if length >= 256 else b""
    ):
        return None
    payload = data[start:end]
    statement = _read(payload)
    if statement is None:
        return None
    signed = _SIG_STRUCTURE + data[2:at] + b"\x40" + data[at + 1 : end]
    alg, content_type, kid = header
    return cose.Signed(alg, content_type, kid, payload, data[end + 2 :], signed, sha256(signed).digest(), data), statement


def _read(payload: bytes) -> Statement | None:
    try:
        fields = fastcbor.decode(payload)
    except DecodeError:
        return None
    if type(fields) is not dict or tuple(fields) != _READINGS_KEYS:
        return None
    values: tuple[Any, ...] = tuple(fields.values())
    device, boot, previous, firmware, tier, channel, first_seq, count, start_s, clock, table, root = values
    right = (
        {type(item) for item in (boot, tier, channel, first_seq, count, start_s, clock)} == {int}
        and {type(item) for item in (device, firmware, table, root)} == {bytes}
        and len(device) == 17
        and device[0] == 1
        and 1 <= boot <= _INT64_MAX
        and (previous is None or (type(previous) is bytes and len(previous) == 32))
        and len(firmware) == len(table) == len(root) == 32
        and 1 <= tier <= TIER_MAX
        and 0 <= channel <= CHANNEL_MAX
        and first_seq >= 0
        and 1 <= count <= COUNT_MAX
        and first_seq + count - 1 <= _INT64_MAX
        and 0 <= start_s <= _INT64_MAX
        and 0 <= clock <= CLOCK_MAX
    )
    return Statement._make(("readings", *values, None, None)) if right else None
