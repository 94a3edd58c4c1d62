"""Channel tables on the device: made when a meter tells who it is, read when one comes from a file. Forgotten meanwhile: code is memory.

In: words of a SunSpec common model, points and their scale factors; or a table's bytes. Out: bytes; how many registers.
"""

from shared.channel import decode_table, encode_table
from shared.types import ChannelTable, Register

MAKE, MODEL, VERSION, SERIAL = (2, 16), (18, 16), (42, 8), (50, 16)  # (offset from the common model, words)


def text_at(data: bytes, place: tuple[int, int]) -> str:
    """A SunSpec string: what is no printable ASCII becomes a question mark, padding goes."""
    raw = data[2 * place[0] : 2 * (place[0] + place[1])]
    end = raw.find(b"\x00")
    raw = raw if end < 0 else raw[:end]
    return "".join(chr(byte) if 32 <= byte < 127 else "?" for byte in raw).strip()


def build_table(common: bytes, points: tuple, scales: tuple[int, ...]) -> bytes:
    """The channel table: who the meter says it is, and what its registers mean at these scale factors."""
    registers = [Register(points[i].obis, points[i].direction, points[i].unit, scales[i], points[i].kind) for i in range(len(points))]
    texts = [text_at(common, place) for place in (MAKE, MODEL, SERIAL, VERSION)]
    return encode_table(ChannelTable(texts[0], texts[1], texts[2], texts[3], registers))


def count_registers(table: bytes) -> int:
    """Raises DecodeError for what is no channel table."""
    return len(decode_table(table).registers)
