"""Text forms of SPEC.md sections 5 and 8: bech32m ids, verifier keys, signed notes, checkpoints, tile paths.

In: bytes and names. Out: text. Never decodes.
"""

from base64 import b64encode
from hashlib import sha256

from tests.independent.signing import EdKey

PREFIX = {"org": "mporg", "point": "mppoint", "device": "mpdev", "key": "mpkey", "statement": "mpstmt", "tx": "mptx"}
ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
BECH32M = 0x2BC830A3
BECH32 = 1


def polymod(values: list[int]) -> int:
    check = 1
    for value in values:
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ value
        for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> i & 1 else 0
    return check


def bech32_of_groups(prefix: str, groups: list[int], constant: int = BECH32M) -> str:
    """Prefix, separator, the 5-bit groups and their checksum."""
    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + groups + [0] * 6) ^ constant
    return prefix + "1" + "".join(ALPHABET[g] for g in groups + [check >> 5 * (5 - i) & 31 for i in range(6)])


def groups_of(data: bytes, padding: int = 0) -> list[int]:
    """8-bit to 5-bit groups; `padding` is what stands in the bits left over (0 is right)."""
    bits = "".join(f"{byte:08b}" for byte in data)
    missing = -len(bits) % 5
    bits += f"{padding:0{missing}b}" if missing else ""
    return [int(bits[i : i + 5], 2) for i in range(0, len(bits), 5)]


def id_text(kind: str, data: bytes) -> str:
    return bech32_of_groups(PREFIX[kind], groups_of(data))


def note_key_id(name: str, raw: bytes, kind: int = 1) -> bytes:
    return sha256(name.encode() + b"\n" + bytes([kind]) + raw).digest()[:4]


def vkey(name: str, raw: bytes) -> str:
    public = b64encode(b"\x01" + raw).decode()
    return f"{name}+{note_key_id(name, raw).hex()}+{public}"


def signature_line(name: str, key: EdKey, text: str) -> str:
    return note_line(name, note_key_id(name, key.raw), key.sign(text.encode()))


def note_line(name: str, key_id: bytes, signature: bytes) -> str:
    return f"\u2014 {name} {b64encode(key_id + signature).decode()}\n"


def note(text: str, *lines: str) -> bytes:
    """A signed note: text, blank line, signature lines."""
    return (text + "\n" + "".join(lines)).encode()


def ordered_note(text: str, signed: list[tuple[str, bytes, bytes]]) -> bytes:
    """A signed note of (name, key id, signature), lines in the order of SPEC.md section 5."""
    own = sorted((item for item in signed if item[0] == text.split("\n")[0]), key=lambda item: item[1])
    others = sorted((item for item in signed if item[0] != text.split("\n")[0]), key=lambda item: (item[0].encode(), item[1]))
    return note(text, *[note_line(*item) for item in own + others])


def checkpoint_text(origin: str, size: int, root: bytes) -> str:
    return f"{origin}\n{size}\n{b64encode(root).decode()}\n"


def tile_number(number: int) -> str:
    """1234067 → x001/x234/067."""
    digits = f"{number:03d}"
    digits = "0" * (-len(digits) % 3) + digits
    groups = [digits[i : i + 3] for i in range(0, len(digits), 3)]
    return "/".join(["x" + group for group in groups[:-1]] + groups[-1:])


def tile_path(level: int, number: int, width: int = 256) -> str:
    return f"tile/{level}/{tile_number(number)}" + (f".p/{width}" if width < 256 else "")


def entries_path(number: int, width: int = 256) -> str:
    return f"tile/entries/{tile_number(number)}" + (f".p/{width}" if width < 256 else "")
