"""What a device and its node say to each other beside statements: hello, challenge, ack, refusal; and the MQTT topics (SPEC 6, 7, 8).

In: named tuples, or the payloads of signed objects. Out: payloads, or named tuples. Never signs; a payload means nothing before the
signature of the node over it is verified.

Errors: DecodeError 100..107 for what is not our CBOR, 108 for wrong fields, 160 for a topic, 170 for an id in it.
"""

from . import cbor, ids
from .errors import DecodeError
from .statement import SEQ_END_MAX, check_range
from .types import Ack, Challenge, Refusal

PAYLOAD_BYTES_MAX = 2048
MISSING_MAX = 16
NONCE_BYTES = 32
REFUSAL_TEXT_BYTES_MAX = 256
CODE_MIN = 100
CODE_MAX = 499

TOPIC_ROOT = "meterproof/v1/"
TOPIC_BYTES_MAX = 128
TO_NODE = ("hello", "attest", "bundle")
TO_DEVICE = ("challenge", "ack")


def encode_ack(ack: Ack) -> bytes:
    """Payload of an ack. Raises DecodeError 108 for anything that a device would refuse."""
    missing = [list(item) for item in ack.missing]
    fields = {1: ack.origin, 2: ack.device, 3: ack.next_seq, 4: ack.identity, 5: missing, 6: ack.log_size}
    _read_ack(fields)
    return cbor.encode(fields)


def decode_ack(payload: bytes) -> Ack:
    """The ack that a payload is."""
    return _read_ack(cbor.decode(payload, PAYLOAD_BYTES_MAX))


def _read_ack(value: object) -> Ack:
    fields = cbor.check_map(value, (1, 2, 3, 4, 5, 6))
    next_seq = cbor.check_uint(fields[3], SEQ_END_MAX)
    if fields[4] is not None:
        cbor.check_bytes(fields[4], ids.IDENTITY_BYTES)
    missing = []
    end = next_seq
    for item in cbor.check_list(fields[5], MISSING_MAX):
        first_seq, count = cbor.check_list(item, 2, 2)
        # Every sequence below next_seq is logged or lost, so nothing can be missing there.
        if cbor.check_uint(first_seq) < end:
            raise DecodeError(108, "missing ranges out of order, overlapping or below next_seq")
        end = check_range(first_seq, count)
        missing.append((first_seq, count))
    return Ack(ids.check_origin(fields[1]), ids.check_device(fields[2]), next_seq, fields[4], missing, cbor.check_uint(fields[6]))


def encode_refusal(refusal: Refusal) -> bytes:
    """Payload of a refusal. Raises DecodeError 108."""
    fields = {1: refusal.origin, 2: refusal.device, 3: refusal.identity, 4: refusal.code, 5: refusal.text}
    _read_refusal(fields)
    return cbor.encode(fields)


def decode_refusal(payload: bytes) -> Refusal:
    """The refusal that a payload is."""
    return _read_refusal(cbor.decode(payload, PAYLOAD_BYTES_MAX))


def _read_refusal(value: object) -> Refusal:
    fields = cbor.check_map(value, (1, 2, 3, 4, 5))
    return Refusal(
        ids.check_origin(fields[1]),
        ids.check_device(fields[2]),
        cbor.check_bytes(fields[3], ids.IDENTITY_BYTES),
        cbor.check_int(fields[4], CODE_MIN, CODE_MAX),
        cbor.check_text(fields[5], REFUSAL_TEXT_BYTES_MAX),
    )


def encode_challenge(challenge: Challenge) -> bytes:
    """Payload of a challenge. Raises DecodeError 108."""
    fields = {1: challenge.origin, 2: challenge.device, 3: challenge.nonce, 4: challenge.time_s}
    _read_challenge(fields)
    return cbor.encode(fields)


def decode_challenge(payload: bytes) -> Challenge:
    """The challenge that a payload is."""
    return _read_challenge(cbor.decode(payload, PAYLOAD_BYTES_MAX))


def _read_challenge(value: object) -> Challenge:
    fields = cbor.check_map(value, (1, 2, 3, 4))
    return Challenge(
        ids.check_origin(fields[1]), ids.check_device(fields[2]), cbor.check_bytes(fields[3], NONCE_BYTES), cbor.check_uint(fields[4])
    )


def encode_hello(device: bytes, boot: int) -> bytes:
    """A hello: unsigned, it only asks for a challenge. Raises DecodeError 108."""
    return cbor.encode([ids.check_device(device), cbor.check_int(boot, 1)])


def decode_hello(data: bytes) -> tuple[bytes, int]:
    """(device, boot)."""
    device, boot = cbor.check_list(cbor.decode(data, PAYLOAD_BYTES_MAX), 2, 2)
    return ids.check_device(device), cbor.check_int(boot, 1)


def topic(org: str, device: str, what: str) -> str:
    """The topic for text ids of organization and device. Raises DecodeError 160, 170."""
    text = TOPIC_ROOT + org + "/" + device + "/" + what
    parse_topic(text)
    return text


def parse_topic(text: str) -> tuple[bytes, bytes, str]:
    """(organization, device, what) of a topic. Raises DecodeError 160, 170."""
    parts = text.split("/", 5) if len(text) <= TOPIC_BYTES_MAX else ()
    if len(parts) != 5 or not text.startswith(TOPIC_ROOT) or parts[4] not in TO_NODE + TO_DEVICE:
        raise DecodeError(160, "not a topic of ours")
    return ids.decode_id(ids.ORG, parts[2]), ids.decode_id(ids.DEVICE, parts[3]), parts[4]
