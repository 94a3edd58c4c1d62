"""What the node says, decoded. Loaded when something comes and forgotten before its signature is verified: code is memory.

In: messages. Out: acks, refusals, challenges for this device, and the signed object they stand in. They mean nothing before `uplink.py` has
verified its signature with the node's key.

Errors: DecodeError (not such a message), VerifyError 200 (signed by another key than the node's), 260 (of another origin or device).
"""

from shared import cose, messages
from shared.errors import VerifyError

MESSAGE_BYTES_MAX = 1024


def read_answer(uplink: object, payload: bytes) -> tuple[cose.Signed, bool, object]:
    """(signed object, whether it is a refusal, the Ack or Refusal)."""
    signed = open_message(uplink, payload, (cose.CT_ACK, cose.CT_REFUSAL))
    refused = signed.content_type == cose.CT_REFUSAL
    message = messages.decode_refusal(signed.payload) if refused else messages.decode_ack(signed.payload)
    check_addressee(uplink, message)
    return signed, refused, message


def read_challenge(uplink: object, payload: bytes) -> tuple[cose.Signed, bytes]:
    """(signed object, nonce)."""
    signed = open_message(uplink, payload, (cose.CT_CHALLENGE,))
    challenge = messages.decode_challenge(signed.payload)
    check_addressee(uplink, challenge)
    return signed, challenge.nonce


def open_message(uplink: object, payload: bytes, content_types: tuple[str, ...]) -> cose.Signed:
    signed = cose.decode_sign1(payload, content_types, MESSAGE_BYTES_MAX)
    if signed.kid != uplink.node_kid:
        raise VerifyError(200, "signed by another key than the node's")
    return signed


def check_addressee(uplink: object, message: object) -> None:
    if message.origin != uplink.config.origin or message.device != uplink.device:
        raise VerifyError(260, "the node says this of another origin or device")
