"""The two packets that open an MQTT connection. Forgotten once it is open: code is memory.

In: fields. Out: packet bytes. Raises DecodeError 109 for what cannot be encoded.
"""

from edge.mqtt import build_length, build_text


def build_connect(client_id: str, keepalive_s: int, user: str | None, password: str | None) -> bytes:
    flags = 0x02 | (0x80 if user is not None else 0) | (0x40 if user is not None and password is not None else 0)
    body = b"\x00\x04MQTT\x04" + bytes([flags]) + keepalive_s.to_bytes(2, "big") + build_text(client_id)
    if user is not None:
        body += build_text(user)
        if password is not None:
            body += build_text(password)
    return b"\x10" + build_length(len(body)) + body


def build_subscribe(packet_id: int, topics: tuple[str, ...]) -> bytes:
    body = packet_id.to_bytes(2, "big") + b"".join(build_text(topic) + b"\x01" for topic in topics)
    return b"\x82" + build_length(len(body)) + body
