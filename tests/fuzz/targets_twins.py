"""The backend's fast decoders beside the plain ones of shared/: the same value, or the same refusal.

In: the golden files. Out: targets. Never an input that only one of the two sees.
"""

from collections.abc import Callable

from server import fastcbor
from server.evidence import columns, opening
from shared import bundle, cbor, cose, statement
from shared.errors import DecodeError, MeterproofError
from shared.types import Reading, Statement
from tests.fuzz.target import Target
from tests.fuzz.targets_shared import again_statement, rows_only
from tests.fuzz.vectors import good
from tests.micropython import checks_golden


def outcome(call: Callable[[], object]) -> tuple[int, object]:
    """(code of the error or 0, value)."""
    try:
        return 0, call()
    except MeterproofError as error:
        return error.code, None


def agree(fast: Callable[[], object], plain: Callable[[], object], same: Callable[[object, object], bool]) -> object:
    """What both say. Raises DecodeError when both refuse with one code."""
    (fast_code, found), (code, wanted) = outcome(fast), outcome(plain)
    assert fast_code == code, f"the fast one says {fast_code}, the plain one {code}"
    if code:
        raise DecodeError(100, "refused by both")
    assert same(found, wanted), f"the fast one gives {found!r}, the plain one {wanted!r}"
    return found


# --- CBOR


def keys_in_order(value: object) -> list[object]:
    """Keys of all maps, as they come."""
    if isinstance(value, cbor.Tagged):
        return keys_in_order(value.value)
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [list(value) if isinstance(value, dict) else len(items), *map(keys_in_order, items)] if items else []


def same_cbor(fast: object, plain: object) -> bool:
    """Types count, and the order of map keys."""
    return checks_golden.same(fast, plain) and keys_in_order(fast) == keys_in_order(plain)


def decode_cbor(data: bytes) -> object:
    return agree(lambda: fastcbor.decode(data), lambda: cbor.decode(data), same_cbor)


# --- statements


def decode_statement(data: bytes) -> tuple[cose.Signed, Statement]:
    found = agree(lambda: opening.open_statement(data), lambda: statement.open_statement(data), checks_golden.same)
    assert isinstance(found, tuple)
    return found


# --- rows


def readings_of(found: columns.Columns, first_seq: int) -> list[Reading]:
    count = len(found.statuses)
    return [Reading(first_seq + i, found.times[i], found.registers_at(i), found.statuses[i]) for i in range(count)]


def decode_rows(data: bytes) -> list[Reading]:
    """Rows as columns and as readings, under the root that they make: no mutation would keep the one that was signed."""
    envelope = bundle.decode_envelope(data)
    said = statement.open_statement(envelope.statement)[1]
    if said.kind != "readings" or envelope.rows is None:
        raise DecodeError(121, "no rows")
    code, plain = outcome(lambda: bundle.rows_to_readings(said, envelope.rows))
    hashes = columns.leaf_hashes(said, envelope.salt, envelope.rows)
    if code:
        assert hashes is None, f"taken as columns, refused as readings with {code}"
        raise DecodeError(code, "refused by both")
    assert isinstance(plain, list)
    assert hashes is None or hashes == bundle.leaf_hashes(envelope.salt, plain)
    signed = said._replace(root=bundle.readings_root(envelope.salt, plain))
    found = columns.check_columns(signed, envelope.salt, envelope.rows)
    assert found is not None
    assert checks_golden.same(readings_of(found, said.first_seq), plain)
    return plain


def cost_of_rows(data: bytes) -> object:
    """What a node does with an envelope, but for the signature."""
    envelope = bundle.read_envelope(fastcbor.decode(data, bundle.ENVELOPE_BYTES_MAX))
    return columns.check_columns(opening.open_statement(envelope.statement)[1], envelope.salt, envelope.rows)


def targets() -> list[Target]:
    envelopes = rows_only(good("envelope"))
    limit = statement.STATEMENT_BYTES_MAX
    return [
        Target(
            "fastcbor", decode_cbor, cbor.LIMIT_BYTES, good("cbor") + envelopes + good("device.value"), cbor.encode, costs=fastcbor.decode
        ),
        Target("opening", decode_statement, limit, good("statement"), again_statement, costs=opening.open_statement),
        Target("columns", decode_rows, bundle.ENVELOPE_BYTES_MAX, envelopes, costs=cost_of_rows),
    ]
