"""MQTT 3.1.1, the part a device needs: packets to bytes, bytes to packets. Sans-I/O.

In: fields, and received bytes in pieces of any size. Out: packet bytes, and packets. QoS 0 and 1, clean session, no retained state. Every
length is bounded before it is believed; nothing beyond one packet of `limit` bytes is ever held.

Errors: DecodeError 160 (not what a broker may send to this client), 109 (cannot be encoded).
"""

from collections import namedtuple

from shared.errors import DecodeError

CONNACK = 2
PUBLISH = 3
PUBACK = 4
SUBACK = 9
PINGRESP = 13

PING = b"\xc0\x00"
DISCONNECT = b"\xe0\x00"

PACKET_BYTES_MAX = 1024  # received; the longest ack or refusal with its topic takes 850
SENT_BYTES_MAX = 66_000  # an envelope of 65,535 bytes and its topic
TEXT_BYTES_MAX = 512
HEAD_BYTES_MAX = 5

# First byte of what a broker may send, but for PUBLISH whose low bits are flags: (type, shortest, longest body).
FIXED = {0x20: (CONNACK, 2, 2), 0x40: (PUBACK, 2, 2), 0x90: (SUBACK, 3, 10), 0xD0: (PINGRESP, 0, 0)}

Packet = namedtuple("Packet", ("type", "packet_id", "topic", "payload"))
"""`payload`: of a PUBLISH its message, of a CONNACK [session present, return code], of a SUBACK the return codes. packet_id 0: none."""


def build_text(text: str) -> bytes:
    data = text.encode()
    if len(data) > TEXT_BYTES_MAX:
        raise DecodeError(109, "text too long for MQTT")
    return len(data).to_bytes(2, "big") + data


def build_length(length: int) -> bytes:
    """Remaining length, in as few bytes as it takes."""
    if not 0 <= length <= SENT_BYTES_MAX:
        raise DecodeError(109, "packet too long for MQTT")
    out = bytearray()
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)


def build_publish_head(topic: str, payload_bytes: int, packet_id: int) -> bytes:
    """All of a QoS 1 PUBLISH but its payload, which need not be copied to be sent."""
    head = build_text(topic) + packet_id.to_bytes(2, "big")
    return b"\x32" + build_length(len(head) + payload_bytes) + head


def build_puback(packet_id: int) -> bytes:
    return b"\x40\x02" + packet_id.to_bytes(2, "big")


class Reader:
    """`feed` what came (at most `room` bytes), then take packets with `next` until it gives None."""

    def __init__(self, limit: int = PACKET_BYTES_MAX) -> None:
        self._limit = limit
        self._buffer = bytearray(limit + HEAD_BYTES_MAX)
        self._held = 0

    def reset(self) -> None:
        """For a new connection."""
        self._held = 0

    def room(self) -> int:
        return len(self._buffer) - self._held

    def feed(self, data: bytes) -> None:
        if len(data) > self.room():
            raise DecodeError(160, "more MQTT bytes than were asked for")
        self._buffer[self._held : self._held + len(data)] = data
        self._held += len(data)

    def next(self) -> Packet | None:
        """The next whole packet, or None. Raises DecodeError 160; the connection is of no use after that."""
        if self._held == 0:
            return None
        first = self._buffer[0]
        length, start = self._length(first)
        if start < 0 or self._held < start + length:
            return None
        packet = read_packet(first, bytes(self._buffer[start : start + length]))
        end = start + length
        rest = self._held - end
        self._buffer[:rest] = self._buffer[end : self._held]
        self._held = rest
        return packet

    def _length(self, first: int) -> tuple[int, int]:
        """(length of the body, where it starts; −1 while that is not known)."""
        length = 0
        for i in range(1, HEAD_BYTES_MAX):
            if i >= self._held:
                check_head(first, None, self._limit)
                return 0, -1
            byte = self._buffer[i]
            length |= (byte & 0x7F) << 7 * (i - 1)
            if not byte & 0x80:
                if byte == 0 and i > 1:
                    raise DecodeError(160, "MQTT length not in shortest form")
                check_head(first, length, self._limit)
                return length, i + 1
        raise DecodeError(160, "MQTT length of more than four bytes")


def check_head(first: int, length: int | None, limit: int) -> None:
    if first >> 4 == PUBLISH:
        if first & 0x06 >= 0x04:
            raise DecodeError(160, "MQTT quality of service was not asked for")
        if first & 0x0E == 0x08:
            raise DecodeError(160, "a duplicate of what is sent at most once")
        lowest, highest = 3, limit
    elif first in FIXED:
        _, lowest, highest = FIXED[first]
    else:
        raise DecodeError(160, "not an MQTT packet for a client")
    if length is not None and not lowest <= length <= highest:
        raise DecodeError(160, "MQTT packet of the wrong length")


def read_packet(first: int, body: bytes) -> Packet:
    if first >> 4 == PUBLISH:
        return read_publish(first, body)
    kind = FIXED[first][0]
    if kind == PINGRESP:
        return Packet(kind, 0, None, b"")
    if kind == CONNACK:
        if body[0] > 1 or body[1] > 5 or (body[0] and body[1]):
            raise DecodeError(160, "not an answer to a connect")
        return Packet(kind, 0, None, body)
    if kind == SUBACK and any(code not in (0, 1, 2, 0x80) for code in body[2:]):
        raise DecodeError(160, "not an answer to a subscribe")
    return Packet(kind, read_id(body, 0), None, body[2:])


def read_id(body: bytes, at: int) -> int:
    packet_id = body[at] << 8 | body[at + 1]
    if packet_id == 0:
        raise DecodeError(160, "packet id 0")
    return packet_id


def read_publish(first: int, body: bytes) -> Packet:
    end = 2 + (body[0] << 8 | body[1])
    start = end + (2 if first & 0x06 else 0)
    if end == 2 or end > 2 + TEXT_BYTES_MAX or start > len(body):
        raise DecodeError(160, "MQTT topic of impossible length")
    try:
        topic = str(body[2:end], "utf-8")
    except (UnicodeError, ValueError):
        raise DecodeError(160, "MQTT topic is not UTF-8")
    if any(char in "\x00+#" for char in topic):
        raise DecodeError(160, "MQTT topic with a wildcard")
    return Packet(PUBLISH, read_id(body, end) if start > end else 0, topic, body[start:])
