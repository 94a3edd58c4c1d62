"""The MQTT codec: fed whole, byte by byte and with trailing data; what no broker may send is refused."""

import random

import pytest

from edge import mqtt, mqtt_opening
from shared.errors import DecodeError
from tests.edge.broker import frame


def publish(topic: str, payload: bytes, packet_id: int | None) -> bytes:
    body = len(topic).to_bytes(2, "big") + topic.encode()
    if packet_id is not None:
        body += packet_id.to_bytes(2, "big")
    return frame(0x30 if packet_id is None else 0x32, body + payload)


PACKETS = [
    (b"\x20\x02\x00\x00", mqtt.Packet(mqtt.CONNACK, 0, None, b"\x00\x00")),
    (b"\x20\x02\x00\x05", mqtt.Packet(mqtt.CONNACK, 0, None, b"\x00\x05")),
    (b"\x40\x02\x01\x02", mqtt.Packet(mqtt.PUBACK, 0x102, None, b"")),
    (b"\x90\x04\x00\x07\x01\x80", mqtt.Packet(mqtt.SUBACK, 7, None, b"\x01\x80")),
    (b"\xd0\x00", mqtt.Packet(mqtt.PINGRESP, 0, None, b"")),
    (publish("a/b", b"hello", 9), mqtt.Packet(mqtt.PUBLISH, 9, "a/b", b"hello")),
    (publish("a/b", b"", 65535), mqtt.Packet(mqtt.PUBLISH, 65535, "a/b", b"")),
    (publish("a/b", b"x", None), mqtt.Packet(mqtt.PUBLISH, 0, "a/b", b"x")),
    (publish("long", b"\x00" * 300, 1), mqtt.Packet(mqtt.PUBLISH, 1, "long", b"\x00" * 300)),
]


@pytest.mark.parametrize(("data", "packet"), PACKETS)
def test_whole_and_byte_by_byte(data: bytes, packet: mqtt.Packet) -> None:
    whole = mqtt.Reader()
    whole.feed(data)
    assert whole.next() == packet
    assert whole.next() is None
    slow = mqtt.Reader()
    for i in range(len(data)):
        assert slow.next() is None
        slow.feed(data[i : i + 1])
    assert slow.next() == packet


def test_packets_one_after_the_other_in_any_pieces() -> None:
    stream = b"".join(data for data, _ in PACKETS) * 3
    random.seed(1)
    for _ in range(50):
        reader, at, found = mqtt.Reader(), 0, []
        while at < len(stream):
            size = min(random.randrange(1, 400), reader.room())
            reader.feed(stream[at : at + size])
            at += size
            while (packet := reader.next()) is not None:
                found.append(packet)
        assert found == [packet for _, packet in PACKETS] * 3


@pytest.mark.parametrize(
    "data",
    [
        b"\x10\x00",  # a client's packet
        b"\x00\x00",
        b"\xf0\x00",
        b"\x21\x02\x00\x00",  # flags that must be 0
        b"\x20\x03\x00\x00\x00",
        b"\x20\x02\x02\x00",
        b"\x20\x02\x00\x06",
        b"\x20\x02\x01\x01",  # a session, but refused
        b"\x40\x02\x00\x00",  # packet id 0
        b"\x40\x03\x00\x01\x00",
        b"\x50\x02\x00\x01",  # QoS 2
        b"\x90\x02\x00\x01",  # no return code
        b"\x90\x03\x00\x01\x03",
        b"\xd0\x01\x00",
        b"\x20\x82\x00\x00\x00",  # length not in shortest form
        b"\x32\x80\x80\x80\x80\x01",  # length of five bytes
        b"\x32\xff\xff\xff\x7f",  # 256 MiB
        b"\x34\x06\x00\x01a\x00\x01x",  # QoS 2
        b"\x36\x06\x00\x01a\x00\x01x",
        b"\x38\x04\x00\x01ax",  # duplicate of QoS 0
        b"\x32\x05\x00\x00\x00\x01x",  # no topic
        b"\x32\x05\x00\x09a\x00\x01",  # topic longer than the packet
        b"\x32\x04\x00\x02ab",  # no room for the packet id
        b"\x32\x05\x00\x01a\x00\x00",  # packet id 0
        b"\x32\x05\x00\x01#\x00\x01",
        b"\x32\x05\x00\x01\x00\x00\x01",
        b"\x32\x05\x00\x01\xff\x00\x01",  # not UTF-8
    ],
)
def test_refused(data: bytes) -> None:
    for step in (len(data), 1):
        reader = mqtt.Reader()
        with pytest.raises(DecodeError) as raised:
            for i in range(0, len(data), step):
                reader.feed(data[i : i + step])
                reader.next()
        assert raised.value.code == 160


def test_refuses_before_it_holds_too_much() -> None:
    reader = mqtt.Reader(limit=100)
    reader.feed(b"\x32\x65")
    with pytest.raises(DecodeError):
        reader.next()
    with pytest.raises(DecodeError) as raised:
        mqtt.Reader(limit=100).feed(b"x" * 200)
    assert raised.value.code == 160


def test_random_bytes_raise_only_decode_errors() -> None:
    random.seed(2)
    for _ in range(3000):
        reader = mqtt.Reader(limit=200)
        data = bytes([random.choice(b"\x20\x30\x32\x40\x90\xd0\x01"), *random.randbytes(random.randrange(1, 40))])
        try:
            reader.feed(data)
            while reader.next():
                pass
        except DecodeError as error:
            assert error.code == 160


def test_what_we_send() -> None:
    """Byte for byte by the standard's own figures (3.1, 3.3, 3.8)."""
    assert mqtt_opening.build_connect("me", 60, None, None) == b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02me"
    assert mqtt_opening.build_connect("me", 60, "u", "p") == b"\x10\x14\x00\x04MQTT\x04\xc2\x00\x3c\x00\x02me\x00\x01u\x00\x01p"
    assert mqtt_opening.build_connect("me", 60, "u", None) == b"\x10\x11\x00\x04MQTT\x04\x82\x00\x3c\x00\x02me\x00\x01u"
    assert mqtt_opening.build_subscribe(1, ("a", "bc")) == b"\x82\x0b\x00\x01\x00\x01a\x01\x00\x02bc\x01"
    assert mqtt.build_publish_head("a", 300, 10) == b"\x32\xb1\x02\x00\x01a\x00\x0a"
    assert mqtt.build_puback(258) == b"\x40\x02\x01\x02"
    for length, encoded in ((0, "00"), (127, "7f"), (128, "8001"), (16383, "ff7f"), (16384, "808001")):
        assert mqtt.build_length(length).hex() == encoded
    with pytest.raises(DecodeError):
        mqtt.build_length(mqtt.SENT_BYTES_MAX + 1)
    with pytest.raises(DecodeError):
        mqtt.build_text("x" * 513)
