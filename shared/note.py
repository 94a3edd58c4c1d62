"""C2SP signed notes and the checkpoints of logs in them (signed-note, tlog-checkpoint; SPEC 5).

    example.org/demo/evidence            origin
    1042                                 size
    b64(root)=                           root
                                         an empty line
    — example.org/demo/evidence b64(key id ‖ signature)=

In: text and keys, or bytes of a note. Out: bytes, or what was signed and by whom. Never takes extension lines, a second way to write a
number or base64, signatures in another order or two of one key; signatures of keys that the caller does not know say nothing.

Errors: DecodeError 130 (note, key), 131 (checkpoint); VerifyError 201 (a known key's signature is wrong), 240 (nobody known signed).
"""

import binascii
from collections import namedtuple
from hashlib import sha256

from . import cbor, cose, ids, sign
from .errors import DecodeError, VerifyError

TYPE_CHECKING = False  # there is no typing on MicroPython
if TYPE_CHECKING:
    from collections.abc import Callable

NOTE_BYTES_MAX = 4096
SIGNATURES_MAX = 16
NAME_BYTES_MAX = ids.ORIGIN_BYTES_MAX
VKEY_CHARS_MAX = NAME_BYTES_MAX + 54  # two plus signs, 8 digits, 44 of base64
SIGNATURE_BYTES_MAX = 3000  # ML-DSA-44 of a witness; ours are of 64
ED25519_TYPE = b"\x01"
KEY_ID_BYTES = 4
ROOT_BYTES = 32
SIZE_MAX = (1 << 63) - 1

Vkey = namedtuple("Vkey", ("name", "key_id", "raw"))
Note = namedtuple("Note", ("text", "signatures"))
"""text ends in a newline; signatures: list of (name, key id, signature)."""
Checkpoint = namedtuple("Checkpoint", ("origin", "size", "root"))


def key_id_of(name: str, raw: bytes) -> bytes:
    """SHA-256(name ‖ newline ‖ 0x01 ‖ public key)[:4]."""
    return sha256(name.encode() + b"\n" + ED25519_TYPE + raw).digest()[:KEY_ID_BYTES]


def encode_vkey(name: str, raw: bytes) -> str:
    """Text of a note's Ed25519 verification key."""
    _check_name(name)
    if len(raw) != 32:
        raise DecodeError(130, "an Ed25519 key has 32 bytes")
    return name + "+" + str(binascii.hexlify(key_id_of(name, raw)), "utf-8") + "+" + encode_base64(ED25519_TYPE + raw)


def decode_vkey(text: str) -> Vkey:
    """The key that a text is. Raises DecodeError 130."""
    parts = text.split("+", 2) if len(text) <= VKEY_CHARS_MAX else ()
    if len(parts) != 3:
        raise DecodeError(130, "not a verification key")
    _check_name(parts[0])
    data = decode_base64(parts[2])
    if len(data) != 33 or data[:1] != ED25519_TYPE:
        raise DecodeError(130, "not an Ed25519 verification key")
    key = Vkey(parts[0], key_id_of(parts[0], data[1:]), data[1:])
    if encode_vkey(key.name, key.raw) != text:
        raise DecodeError(130, "the key id is wrong")
    return key


def sign_note(text: str, name: str, raw: bytes, signing: "Callable[[bytes], bytes]") -> bytes:
    """The whole note with one signature; `signing(message)` by the key whose public part is `raw`. Raises DecodeError 130."""
    _check_name(name)
    data = encode_note(Note(text, [(name, key_id_of(name, raw), signing(text.encode()))]))
    decode_note(data)
    return data


def encode_note(note: Note) -> bytes:
    """The bytes of a note, its signature lines in their one order; nothing is checked but by `decode_note`."""
    lines = ["\u2014 " + name + " " + encode_base64(key_id + signature) + "\n" for name, key_id, signature in _ordered(note)]
    return (note.text + "\n" + "".join(lines)).encode()  # type: ignore[no-any-return]


def _ordered(note: Note) -> list[tuple[str, bytes, bytes]]:
    return sorted(note.signatures, key=lambda signature: _place(note.text, signature))


def _place(text: str, signature: tuple[str, bytes, bytes]) -> tuple[bool, bytes, bytes]:
    """What signature lines ascend by: those under the name in the text's first line before all others, then name, then key id."""
    return signature[0] != text.split("\n", 1)[0], signature[0].encode(), signature[1]


def decode_note(data: bytes) -> Note:
    """Text and signatures, none verified. Raises DecodeError 107, 130."""
    if len(data) > NOTE_BYTES_MAX:
        raise DecodeError(130, "note longer than " + str(NOTE_BYTES_MAX) + " bytes")
    whole = cbor.decode_text(data)
    # The text may hold empty lines itself: the last one divides.
    text, divider, lines = whole.rpartition("\n\n")
    if not divider or not text or not lines.endswith("\n"):
        raise DecodeError(130, "not a text, an empty line and signatures")
    for char in whole:
        if ord(char) < 0x20 and char != "\n" or ord(char) == 0x7F:
            raise DecodeError(130, "control character in a note")
    signatures = [_read_signature(line) for line in lines[:-1].split("\n", SIGNATURES_MAX)]
    if len(signatures) > SIGNATURES_MAX:
        raise DecodeError(130, "more than " + str(SIGNATURES_MAX) + " signatures")
    # Every signature covers the text alone: without one order, lines could change places and nobody would notice.
    places = [_place(text, signature) for signature in signatures]
    for i in range(1, len(places)):
        if places[i] <= places[i - 1]:
            raise DecodeError(130, "two signatures of one key" if places[i] in places[:i] else "signature lines out of order")
    return Note(text + "\n", signatures)


def _read_signature(line: str) -> tuple[str, bytes, bytes]:
    parts = line.split(" ")
    if len(parts) != 3 or parts[0] != "\u2014":
        raise DecodeError(130, "not a signature line")
    _check_name(parts[1])
    data = decode_base64(parts[2])
    if not KEY_ID_BYTES < len(data) <= KEY_ID_BYTES + SIGNATURE_BYTES_MAX:
        raise DecodeError(130, "signature of wrong length")
    return parts[1], data[:KEY_ID_BYTES], data[KEY_ID_BYTES:]


def verify_note(note: Note, vkeys: list[Vkey]) -> list[Vkey]:
    """Those of the keys that signed, in their order; others are passed over. Raises VerifyError 201 when one of these keys is named and its
    signature is wrong."""
    signers = []
    for key in vkeys:
        for name, key_id, signature in note.signatures:
            if name == key.name and key_id == key.key_id and key not in signers:
                if len(signature) != 64:
                    raise VerifyError(201, "signature of " + name + " has a wrong length")
                sign.verify(cose.EDDSA, key.raw, note.text.encode(), signature)
                signers.append(key)
    return signers


def encode_checkpoint(checkpoint: Checkpoint) -> str:
    """Text of a checkpoint, to be signed as a note. Raises DecodeError 131."""
    size = checkpoint.size
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size <= SIZE_MAX:
        raise DecodeError(131, "size of a checkpoint is no count")
    text = checkpoint.origin + "\n" + str(size) + "\n" + encode_base64(checkpoint.root) + "\n"
    decode_checkpoint(text)
    return text  # type: ignore[no-any-return]


def decode_checkpoint(text: str) -> Checkpoint:
    """(origin, size, root) of a note's text. Raises DecodeError 131."""
    lines = text.split("\n", 4) if len(text) <= NOTE_BYTES_MAX else ()
    if len(lines) != 4 or lines[3]:
        raise DecodeError(131, "not the three lines of a checkpoint")
    origin, digits, root_text = lines[:3]
    if not 1 <= len(digits) <= 19 or not all(char in "0123456789" for char in digits):
        raise DecodeError(131, "size is not a decimal number")
    size = int(digits)
    if size > SIZE_MAX or str(size) != digits:
        raise DecodeError(131, "size out of range or with leading zeros")
    try:
        ids.check_origin(origin)
        root = cbor.check_bytes(decode_base64(root_text), ROOT_BYTES)
    except DecodeError as error:
        raise DecodeError(131, "checkpoint: " + error.text)
    return Checkpoint(origin, size, root)


def open_checkpoint(data: bytes, vkeys: list[Vkey]) -> tuple[Checkpoint, list[Vkey]]:
    """(checkpoint, those of the keys that signed it), at least one. Raises DecodeError 107, 130, 131, VerifyError 201, 240."""
    note = decode_note(data)
    checkpoint = decode_checkpoint(note.text)
    signers = verify_note(note, vkeys)
    if not signers:
        raise VerifyError(240, "signed by none of the known keys")
    return checkpoint, signers


def encode_base64(data: bytes) -> str:
    """Standard base64 with padding, on one line."""
    return str(binascii.b2a_base64(data)[:-1], "utf-8")


def decode_base64(text: str) -> bytes:
    """The bytes of base64 in its one form: both interpreters pass over characters that do not belong there. Raises DecodeError 130."""
    try:
        data = binascii.a2b_base64(text.encode())
    except ValueError:
        raise DecodeError(130, "not base64")
    if encode_base64(data) != text:
        raise DecodeError(130, "not base64 in its one form")
    return data


def _check_name(name: str) -> None:
    if not ids.is_note_name(name) or len(name.encode()) > NAME_BYTES_MAX:
        raise DecodeError(130, "not a name of a note's key")
