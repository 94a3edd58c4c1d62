"""Text forms of ids: bech32m (BIP 350), lower case, the type as human-readable part (SPEC 8); and what a device id and an origin are.

In: bytes of the fixed length of their type, or text. Out: text, or bytes. Never accepts another type, another length or upper case.

Errors: DecodeError 170; 108 from the two checks of values.
"""

from .errors import DecodeError

ORG = "mporg"
POINT = "mppoint"
DEVICE = "mpdev"
KEY = "mpkey"
STATEMENT = "mpstmt"
TX = "mptx"
BYTES = {ORG: 10, POINT: 10, DEVICE: 17, KEY: 16, STATEMENT: 32, TX: 32}

UEID_BYTES = 17
UEID_RAND = 1  # RFC 9711: type RAND
IDENTITY_BYTES = 32
ORIGIN_BYTES_MAX = 128

_CHARSET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_BECH32M = 0x2BC830A3
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECKSUM_CHARS = 6
_TEXT_CHARS_MAX = 90


def encode_id(prefix: str, data: bytes) -> str:
    """Text form of an id. Raises DecodeError 170 for a wrong length."""
    _check_length(prefix, data)
    values = _to_fives(data)
    check = _polymod(_expand(prefix) + values + bytes(_CHECKSUM_CHARS)) ^ _BECH32M
    for i in range(_CHECKSUM_CHARS):
        values.append(check >> 5 * (_CHECKSUM_CHARS - 1 - i) & 31)
    return prefix + "1" + "".join([_CHARSET[value] for value in values])


def decode_id(prefix: str, text: str) -> bytes:
    """Bytes of an id of this type. Raises DecodeError 170."""
    start = prefix + "1"
    if len(text) > _TEXT_CHARS_MAX or not text.startswith(start) or len(text) < len(start) + _CHECKSUM_CHARS:
        raise DecodeError(170, "not an id that begins with " + start)
    values = bytearray()
    for char in text[len(start) :]:
        value = _CHARSET.find(char)
        if value < 0:
            raise DecodeError(170, "a character that no id has")
        values.append(value)
    if _polymod(_expand(prefix) + values) != _BECH32M:
        raise DecodeError(170, "the checksum is wrong: a typing error")
    data = _from_fives(values[:-_CHECKSUM_CHARS])
    _check_length(prefix, data)
    return data


def _check_length(prefix: str, data: bytes) -> None:
    if len(data) != BYTES.get(prefix, -1):
        raise DecodeError(170, "not the length of this type of id")


def _expand(prefix: str) -> bytearray:
    """The human-readable part as the checksum sees it."""
    data = prefix.encode()
    out = bytearray([byte >> 5 for byte in data])
    out.append(0)
    out.extend(bytes([byte & 31 for byte in data]))
    return out


def _polymod(values: bytearray) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i in range(5):
            if top >> i & 1:
                check ^= _GENERATOR[i]
    return check


def _to_fives(data: bytes) -> bytearray:
    out = bytearray()
    held = bits = 0
    for byte in data:
        held = held << 8 | byte
        bits += 8
        while bits >= 5:
            bits -= 5
            out.append(held >> bits & 31)
        held &= (1 << bits) - 1
    if bits:
        out.append(held << 5 - bits & 31)
    return out


def _from_fives(values: bytearray) -> bytes:
    """Whole bytes; what is left over must be fewer than five zero bits, or the text would have a second form."""
    out = bytearray()
    held = bits = 0
    for value in values:
        held = held << 5 | value
        bits += 5
        if bits >= 8:
            bits -= 8
            out.append(held >> bits & 255)
        held &= (1 << bits) - 1
    if bits >= 5 or held:
        raise DecodeError(170, "padding is not zero")
    return bytes(out)


def check_device(value: object) -> bytes:
    """A UEID: 0x01 and 16 random bytes. Raises DecodeError 108."""
    if not isinstance(value, bytes) or len(value) != UEID_BYTES or value[0] != UEID_RAND:
        raise DecodeError(108, "not a device id of 0x01 and 16 bytes")
    return value


def check_origin(value: object) -> str:
    """The name of a log, also of its note key: no blank, control character or plus. Raises DecodeError 108."""
    if not isinstance(value, str) or not is_note_name(value) or len(value.encode()) > ORIGIN_BYTES_MAX:
        raise DecodeError(108, "not a name of a log")
    return value


def is_note_name(text: str) -> bool:
    """Whether a C2SP note key may have this name."""
    for char in text:
        code = ord(char)
        if code <= 0x20 or char == "+" or 0x7F <= code <= 0xA0 or code == 0x1680 or 0x2000 <= code <= 0x200A:
            return False
        if code in (0x2028, 0x2029, 0x202F, 0x205F, 0x3000) or 0xD800 <= code <= 0xDFFF:
            return False
    return len(text) > 0
