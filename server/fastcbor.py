"""The CBOR profile (SPEC.md section 1) decoded by cbor2, for the ingest path.

In: bytes. Out: exactly what `shared.cbor.decode` gives, or its error. Never trusts cbor2 to refuse: what it decoded must encode
to the same bytes again and hold nothing but the profile's types, in order; all else is left to `shared.cbor`, which has the last word.
"""

from itertools import pairwise
from typing import NoReturn

import cbor2

from shared import cbor

_SCALARS = frozenset((int, bytes, str, bool, type(None)))
_CONTAINERS = frozenset((list, dict))
_KEYS = frozenset((int, str))
_UNSIGNED = {int}
_SIGN1 = b"\xd2"
# Every tag that cbor2 knows; unknown ones reach the tag hook.
_KNOWN_TAGS = (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 43000, 52, 54, 100, 256, 258, 260, 261, 1004, 55799)


class _Refused(Exception):
    """Not in the profile, or beyond what the fast way can tell."""


def _refuse(*_: object) -> NoReturn:
    raise _Refused


_REFUSE_TAGS = dict.fromkeys(_KNOWN_TAGS, _refuse)


def decode(data: bytes, limit: int = cbor.LIMIT_BYTES) -> object:
    """The value of the one item that `data` is, as `shared.cbor.decode` has it. Raises DecodeError 100..107."""
    if len(data) <= limit:
        try:
            return _decode(data)
        except (_Refused, cbor2.CBORDecodeError):
            pass
    return cbor.decode(data, limit)


def _decode(data: bytes) -> object:
    tagged = data[:1] == _SIGN1
    body = data[1:] if tagged else data
    value = cbor2.loads(
        body, max_depth=cbor.DEPTH_MAX, allow_indefinite=False, allow_duplicate_keys=False, semantic_decoders=_REFUSE_TAGS, tag_hook=_refuse
    )
    _check(value, len(body))
    # Shortest heads, nothing left over: there is one encoding of a value and its order.
    if cbor2.dumps(value) != body:
        raise _Refused
    return cbor.Tagged(cbor.TAG_SIGN1, value) if tagged else value


def _check(value: object, items_max: int) -> None:
    """Only the profile's types, map keys in bytewise order. No more items than bytes: a tag unknown here could make a list hold itself."""
    if type(value) in _SCALARS:
        return
    waiting = [value]
    for item in waiting:  # grows while it is gone through
        if type(item) is dict:
            _check_keys(item)
            found: object = item.values()
        elif type(item) is list:
            found = item
        else:
            raise _Refused
        if not _SCALARS.issuperset(map(type, found)):  # type: ignore[call-overload]
            waiting += [inner for inner in found if type(inner) not in _SCALARS]  # type: ignore[attr-defined]
            if len(waiting) > items_max:
                raise _Refused


def _check_keys(item: dict[object, object]) -> None:
    kinds = set(map(type, item))
    if not _KEYS.issuperset(kinds):
        raise _Refused
    if kinds == _UNSIGNED and min(item) >= 0:  # type: ignore[type-var, operator]
        if list(item) != sorted(item):  # type: ignore[type-var]
            raise _Refused
        return
    encoded = [cbor2.dumps(key) for key in item]
    if any(before >= after for before, after in pairwise(encoded)):
        raise _Refused
