"""CBOR writer of SPEC.md section 1, and of bytes that break it.

In: values, `Raw` bytes, `Pairs` in any order, `Tag`. Out: bytes. Never checks limits: a vector may need to break one.
"""

from tests.independent.values import Pairs, Raw, Tag

UNSIGNED, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, OTHER = range(8)


def head(major: int, number: int, width: int | None = None) -> bytes:
    """The head of an item; `width` (0, 1, 2, 4, 8 bytes) forces a longer form than needed."""
    if width is None:
        width = 0 if number < 24 else next(w for w in (1, 2, 4, 8) if number < 256**w)
    low = number if width == 0 else {1: 24, 2: 25, 4: 26, 8: 27}[width]
    return bytes([major * 32 + low]) + (number.to_bytes(width, "big") if width else b"")


def cbor(value: object) -> bytes:
    """One item. Maps that are dicts come out in bytewise order of their encoded keys."""
    if isinstance(value, Raw):
        return bytes(value)
    if value is None or isinstance(value, bool):
        return {False: b"\xf4", True: b"\xf5", None: b"\xf6"}[value]
    if isinstance(value, int):
        return head(UNSIGNED, value) if value >= 0 else head(NEGATIVE, ~value)
    if isinstance(value, bytes):
        return head(BYTES, len(value)) + value
    if isinstance(value, str):
        return head(TEXT, len(value.encode("utf-8"))) + value.encode("utf-8")
    if isinstance(value, Tag):
        return head(TAG, value.number) + cbor(value.value)
    if isinstance(value, dict):
        value = Pairs(sorted(value.items(), key=lambda pair: cbor(pair[0])))
    if isinstance(value, Pairs):
        return head(MAP, len(value)) + b"".join(cbor(key) + cbor(item) for key, item in value)
    if isinstance(value, (list, tuple)):
        return head(ARRAY, len(value)) + b"".join(cbor(item) for item in value)
    raise TypeError(f"no CBOR for {type(value).__name__}")
