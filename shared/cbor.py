"""CBOR in the one form allowed here: RFC 8949 4.2.1 core deterministic encoding, no floats (SPEC.md section 1).

In: integers of 64 bits, bytes, text, lists, maps with integer or text keys, true, false, null, and tag 18 outermost. Out: bytes, or the
value. Never accepts a second encoding of a value, never allocates more than the input can fill.
"""

from .errors import DecodeError

LIMIT_BYTES = 65536
DEPTH_MAX = 16
TAG_SIGN1 = 18
_UINT_MAX = 0xFFFFFFFFFFFFFFFF


class Tagged:
    """A tagged value; only tag 18, only outermost."""

    __slots__ = ("tag", "value")

    def __init__(self, tag: int, value: object) -> None:
        self.tag = tag
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tagged) and self.tag == other.tag and self.value == other.value


def encode(value: object) -> bytes:
    """Deterministic bytes of `value`. Raises DecodeError 109 for what the profile does not allow."""
    out = bytearray()
    if isinstance(value, Tagged):
        if value.tag != TAG_SIGN1:
            raise DecodeError(109, "only tag 18 can be encoded")
        out.append(0xC0 | TAG_SIGN1)
        value = value.value
    _write(out, value, 0)
    return bytes(out)


def write_head(out: bytearray, major: int, number: int) -> None:
    """Appends the shortest head of a major type 0..5."""
    if number < 24:
        out.append(major << 5 | number)
    elif number < 0x100:
        out.append(major << 5 | 24)
        out.append(number)
    elif number < 0x10000:
        out.append(major << 5 | 25)
        out.extend(number.to_bytes(2, "big"))
    elif number < 0x100000000:
        out.append(major << 5 | 26)
        out.extend(number.to_bytes(4, "big"))
    elif number <= _UINT_MAX:
        out.append(major << 5 | 27)
        out.extend(number.to_bytes(8, "big"))
    else:
        raise DecodeError(109, "integer beyond 64 bits")


def _write(out: bytearray, value: object, depth: int) -> None:
    if depth > DEPTH_MAX:
        raise DecodeError(109, "nested too deep")
    if value is None:
        out.append(0xF6)
    elif value is True:
        out.append(0xF5)
    elif value is False:
        out.append(0xF4)
    elif isinstance(value, int):
        if value >= 0:
            write_head(out, 0, value)
        else:
            write_head(out, 1, -1 - value)
    elif isinstance(value, (bytes, bytearray, memoryview)):
        write_head(out, 2, len(value))
        out.extend(value)
    elif isinstance(value, str):
        data = value.encode()
        write_head(out, 3, len(data))
        out.extend(data)
    elif isinstance(value, (list, tuple)):
        write_head(out, 4, len(value))
        for item in value:
            _write(out, item, depth + 1)
    elif isinstance(value, dict):
        _write_map(out, value, depth)
    else:
        raise DecodeError(109, "type cannot be encoded")


def _write_map(out: bytearray, value: dict, depth: int) -> None:  # type: ignore[type-arg]
    write_head(out, 5, len(value))
    entries = []
    for key in value:
        if not isinstance(key, (int, str)) or key is True or key is False:
            raise DecodeError(109, "map keys are integers or text")
        entries.append((encode(key), key))
    entries.sort()
    for encoded, key in entries:
        out.extend(encoded)
        _write(out, value[key], depth + 1)


def decode(data: bytes, limit: int = LIMIT_BYTES) -> object:
    """The value of the one item that `data` is. Raises DecodeError 100..107."""
    if len(data) > limit:
        raise DecodeError(106, "longer than " + str(limit) + " bytes")
    if data[:1] == b"\xd2":
        value, end = _read(data, 1, 0)
        value = Tagged(TAG_SIGN1, value)
    else:
        value, end = _read(data, 0, 0)
    if end != len(data):
        raise DecodeError(101, "bytes after the end")
    return value


def read_head(data: bytes, at: int) -> tuple[int, int, int]:
    """(major type, number, next offset) of the head at `at`; the number must be in its shortest form."""
    if at >= len(data):
        raise DecodeError(100, "ends early")
    first = data[at]
    major, low = first >> 5, first & 31
    at += 1
    if low < 24:
        return major, low, at
    if low > 27:
        raise DecodeError(103, "indefinite or reserved length")
    width = 1 << (low - 24)
    if at + width > len(data):
        raise DecodeError(100, "ends early")
    number = int.from_bytes(data[at : at + width], "big")
    if major < 6 and number < (24, 0x100, 0x10000, 0x100000000)[low - 24]:
        raise DecodeError(102, "number not in shortest form")
    return major, number, at + width


def _read(data: bytes, at: int, depth: int) -> tuple[object, int]:
    if depth > DEPTH_MAX:
        raise DecodeError(105, "nested deeper than " + str(DEPTH_MAX))
    major, number, at = read_head(data, at)
    if major == 0:
        return number, at
    if major == 1:
        return -1 - number, at
    if major == 2 or major == 3:
        return _read_string(data, at, major, number)
    if major == 4:
        return _read_list(data, at, number, depth)
    if major == 5:
        return _read_map(data, at, number, depth)
    return _read_simple(data, at, major, number)


def _read_simple(data: bytes, at: int, major: int, number: int) -> tuple[object, int]:
    if major == 7 and data[at - 1] == 0xE0 | number:
        if number == 20:
            return False, at
        if number == 21:
            return True, at
        if number == 22:
            return None, at
    raise DecodeError(103, "tag, float or simple value not allowed here")


def _read_string(data: bytes, at: int, major: int, length: int) -> tuple[object, int]:
    end = at + length
    if end > len(data):
        raise DecodeError(100, "ends early")
    part = bytes(data[at:end])
    return (part if major == 2 else decode_text(part)), end


def decode_text(data: bytes) -> str:
    """Text of valid UTF-8. Raises DecodeError 107."""
    try:
        text = str(data, "utf-8")
    except (UnicodeError, ValueError):
        raise DecodeError(107, "text is not UTF-8")
    if _UTF8_IS_LAX:
        _check_utf8(data)
    return text


def _is_utf8_lax() -> bool:
    try:
        return str(b"\xc0\x80", "utf-8") != ""
    except UnicodeError:
        return False


# MicroPython's own decoder passes overlong forms, surrogates and what is beyond U+10FFFF.
_UTF8_IS_LAX = _is_utf8_lax()


def _check_utf8(data: bytes) -> None:
    """Raises DecodeError 107 unless the bytes are as in table 3-7 of the Unicode standard."""
    need, low, high = 0, 0x80, 0xBF
    for byte in data:
        if need:
            if not low <= byte <= high:
                raise DecodeError(107, "text is not UTF-8")
            need, low, high = need - 1, 0x80, 0xBF
        elif byte >= 0x80:
            if not 0xC2 <= byte <= 0xF4:
                raise DecodeError(107, "text is not UTF-8")
            need = 1 if byte < 0xE0 else 2 if byte < 0xF0 else 3
            low = 0xA0 if byte == 0xE0 else 0x90 if byte == 0xF0 else 0x80
            high = 0x9F if byte == 0xED else 0x8F if byte == 0xF4 else 0xBF
    if need:
        raise DecodeError(107, "text is not UTF-8")


def _read_list(data: bytes, at: int, count: int, depth: int) -> tuple[object, int]:
    if count > len(data) - at:
        raise DecodeError(100, "list longer than the input")
    items = []
    for _ in range(count):
        item, at = _read(data, at, depth + 1)
        items.append(item)
    return items, at


def _read_map(data: bytes, at: int, count: int, depth: int) -> tuple[object, int]:
    if 2 * count > len(data) - at:
        raise DecodeError(100, "map longer than the input")
    entries = {}
    previous = b""
    for _ in range(count):
        start = at
        if data[at : at + 1] and data[at] >> 5 not in (0, 1, 3):
            raise DecodeError(103, "map keys are integers or text")
        key, at = _read(data, at, depth + 1)
        encoded = bytes(data[start:at])
        if encoded <= previous:
            raise DecodeError(104, "map keys out of order or twice")
        previous = encoded
        entries[key], at = _read(data, at, depth + 1)
    return entries, at


def check_map(value: object, required: tuple, optional: tuple = ()) -> dict:  # type: ignore[type-arg]
    """The map with exactly the required keys and perhaps optional ones. Raises DecodeError 108."""
    if not isinstance(value, dict):
        raise DecodeError(108, "not a map")
    for key in required:
        if key not in value:
            raise DecodeError(108, "field " + str(key) + " is missing")
    for key in value:
        if key not in required and key not in optional:
            raise DecodeError(108, "unknown field")
    return value


def check_int(value: object, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> int:
    """A true integer within [low, high]: `true` is none. Raises DecodeError 108."""
    if value is True or value is False or not isinstance(value, int) or not low <= value <= high:
        raise DecodeError(108, "not an integer in range")
    return value


def check_uint(value: object, maximum: int = (1 << 63) - 1) -> int:
    """An integer within [0, maximum]. Raises DecodeError 108."""
    return check_int(value, 0, maximum)


def check_bytes(value: object, low: int, high: int | None = None) -> bytes:
    """A byte string of exactly `low` bytes, or of low..high. Raises DecodeError 108."""
    if not isinstance(value, bytes) or not low <= len(value) <= (low if high is None else high):
        raise DecodeError(108, "not a byte string of the right length")
    return value


def check_text(value: object, most_bytes: int = 256) -> str:
    """Text of at most `most_bytes` in UTF-8. Raises DecodeError 108."""
    if not isinstance(value, str) or len(value.encode()) > most_bytes:
        raise DecodeError(108, "not a text of allowed length")
    return value


def check_list(value: object, most: int, least: int = 0) -> list:  # type: ignore[type-arg]
    """A list of least..most items. Raises DecodeError 108."""
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise DecodeError(108, "not a list of allowed length")
    return value
