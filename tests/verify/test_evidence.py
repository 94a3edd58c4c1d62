"""The evidence file's format: one encoding, every field there, nothing else."""

import pytest

from shared import cbor
from shared.errors import DecodeError
from shared.verify.evidence import FORMAT, decode_evidence_file, encode_evidence_file
from tests.verify.world import World


@pytest.fixture(scope="module")
def parts():
    return World().parts()


@pytest.fixture(scope="module")
def fields(parts):
    return cbor.decode(encode_evidence_file(parts))


def changed(fields, key, value):
    return cbor.encode({**fields, key: value})


def test_round_trip(parts):
    assert decode_evidence_file(encode_evidence_file(parts)) == parts


def test_absent_device_round_trip():
    world = World()
    world.enrolled = False
    parts = world.parts()
    assert parts.device_value is None
    assert decode_evidence_file(encode_evidence_file(parts)) == parts


def test_size_of_one_reading(parts):
    assert len(encode_evidence_file(parts)) <= 4096


@pytest.mark.parametrize("key", range(1, 11))
def test_missing_field(fields, key):
    with pytest.raises(DecodeError) as caught:
        decode_evidence_file(cbor.encode({k: v for k, v in fields.items() if k != key}))
    assert caught.value.code == 140


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (11, b"more"),
        ("note", "more"),
        (1, "text"),
        (1, b""),
        (2, [0, [], 1]),
        (2, [-1, []]),
        (2, [True, []]),
        (2, [1024, []]),
        (2, [0, [bytes(31)]]),
        (2, [0, [bytes(32)] * 65]),
        (4, [2**63, []]),
        (5, ["o" * 300, 0, b"v", [[], True]]),
        (5, ["o", 0, b"v", [[], False]]),
        (5, ["o", 0, b"v", [[bytes(32)], True]]),
        (6, [b"", [[], None]]),
        (6, [None, [[], [bytes(32)]]]),
        (8, [b"leaf"]),
        (10, b"bytes, not text"),
        (10, "x" * 4097),
    ],
)
def test_wrong_field(fields, key, value):
    with pytest.raises(DecodeError) as caught:
        decode_evidence_file(changed(fields, key, value))
    assert caught.value.code == 140


@pytest.mark.parametrize("data", [b"", b"\x80", cbor.encode({0: "meterproof/evidence/2"}), cbor.encode([FORMAT])])
def test_not_an_evidence_file(data):
    with pytest.raises(DecodeError) as caught:
        decode_evidence_file(data)
    assert caught.value.code in (100, 140)


def test_trailing_byte_truncation_and_length(parts):
    data = encode_evidence_file(parts)
    for wrong, code in ((data + b"\x00", 101), (data[:-1], 100), (data + bytes(65536), 106)):
        with pytest.raises(DecodeError) as caught:
            decode_evidence_file(wrong)
        assert caught.value.code == code


def test_second_encodings_are_refused(parts):
    data = encode_evidence_file(parts)
    assert data[0] == 0xAB
    longer_head = b"\xb8\x0b" + data[1:]
    indefinite = b"\xbf" + data[1:] + b"\xff"
    tagged = b"\xd9\xd9\xf7" + data
    for wrong in (longer_head, indefinite, tagged):
        with pytest.raises(DecodeError):
            decode_evidence_file(wrong)


def test_too_long_to_write(parts):
    with pytest.raises(DecodeError) as caught:
        encode_evidence_file(parts._replace(device_value=bytes(65536)))
    assert caught.value.code == 140
