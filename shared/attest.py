"""Attestation evidence: an EAT (RFC 9711) in which a device says, signed by its own key, what it is and what it runs (SPEC 7).

In: Evidence, or the bytes of a signed one. Out: the payload to sign, or the evidence. Never decides whether it is good enough: freshness of
the nonce, the enrolled key and the reference firmware are the verifier's business, and a signature by the key inside proves only that key.

Errors: DecodeError 100..107, 110..112, 150; VerifyError 251 (signed by another key than it names), 200, 201.
"""

from . import cbor, cose
from .channel import decode_table
from .errors import DecodeError, VerifyError
from .ids import check_device
from .messages import NONCE_BYTES
from .statement import CHANNEL_MAX, TIER_MAX
from .types import Evidence

EVIDENCE_BYTES_MAX = 8192
SWNAME = "meterproof-edge"
BOOTSEED_BYTES = 16
HWMODEL_BYTES_MAX = 32
TEXT_BYTES_MAX = 64
DBGSTAT_MAX = 4

CNF = 8
NONCE = 10
UEID = 256
HWMODEL = 259
UPTIME = 261
DBGSTAT = 263
BOOTCOUNT = 267
BOOTSEED = 268
SWNAME_LABEL = 270
SWVERSION = 271
TIER = -70000
FIRMWARE = -70001
INTERPRETER = -70002
CHANNELS = -70003
_LABELS = (CNF, NONCE, UEID, HWMODEL, UPTIME, DBGSTAT, BOOTCOUNT, BOOTSEED, SWNAME_LABEL, SWVERSION, TIER, FIRMWARE, INTERPRETER, CHANNELS)


def encode_evidence(evidence: Evidence) -> bytes:
    """The payload to sign. Raises DecodeError 112, 150 for anything that a reader would refuse."""
    fields = {
        CNF: {1: cbor.decode(cose.decode_key(evidence.cose_key).data)},
        NONCE: evidence.nonce,
        UEID: evidence.device,
        HWMODEL: evidence.hwmodel,
        UPTIME: evidence.uptime_s,
        DBGSTAT: evidence.dbgstat,
        BOOTCOUNT: evidence.boot,
        BOOTSEED: evidence.bootseed,
        SWNAME_LABEL: evidence.swname,
        SWVERSION: [evidence.swversion],
        TIER: evidence.tier,
        FIRMWARE: evidence.firmware,
        INTERPRETER: evidence.interpreter,
        CHANNELS: evidence.channels,
    }
    _read(fields)
    payload = cbor.encode(fields)
    key = cose.decode_key(evidence.cose_key)
    protected = cose.build_protected(key.alg, cose.CT_EAT, cose.kid_of(evidence.cose_key))
    if len(cose.assemble_sign1(protected, payload, bytes(64))) > EVIDENCE_BYTES_MAX:
        raise DecodeError(150, "evidence longer than " + str(EVIDENCE_BYTES_MAX) + " bytes when signed")
    return payload


def decode_evidence(payload: bytes) -> Evidence:
    """The evidence that a payload is."""
    return _read(cbor.decode(payload, EVIDENCE_BYTES_MAX))


def open_evidence(data: bytes) -> tuple[cose.Signed, Evidence]:
    """(signed object, evidence), its signature verified with the key that it names itself."""
    signed = cose.decode_sign1(data, (cose.CT_EAT,), EVIDENCE_BYTES_MAX)
    evidence = decode_evidence(signed.payload)
    if signed.kid != cose.kid_of(evidence.cose_key):
        raise VerifyError(251, "the evidence names another key than it is signed with")
    cose.verify_sign1(signed, evidence.cose_key)
    return signed, evidence


def _read(value: object) -> Evidence:
    try:
        fields = cbor.check_map(value, _LABELS)
        if cbor.check_text(fields[SWNAME_LABEL]) != SWNAME:
            raise DecodeError(150, "not the evidence of our firmware")
        return Evidence(
            read_key(cbor.check_map(fields[CNF], (1,))[1]),
            cbor.check_bytes(fields[NONCE], NONCE_BYTES),
            check_device(fields[UEID]),
            cbor.check_bytes(fields[HWMODEL], 1, HWMODEL_BYTES_MAX),
            cbor.check_uint(fields[UPTIME]),
            cbor.check_uint(fields[DBGSTAT], DBGSTAT_MAX),
            cbor.check_int(fields[BOOTCOUNT], 1),
            cbor.check_bytes(fields[BOOTSEED], BOOTSEED_BYTES),
            fields[SWNAME_LABEL],
            cbor.check_text(cbor.check_list(fields[SWVERSION], 1, 1)[0], TEXT_BYTES_MAX),
            cbor.check_int(fields[TIER], 1, TIER_MAX),
            cbor.check_bytes(fields[FIRMWARE], 32),
            cbor.check_text(fields[INTERPRETER], TEXT_BYTES_MAX),
            _read_channels(fields[CHANNELS]),
        )
    except DecodeError as error:
        raise DecodeError(150, "attestation: " + error.text)


def _read_channels(value: object) -> dict[int, bytes]:
    if not isinstance(value, dict):
        raise DecodeError(150, "channels are not a map")
    for channel in value:
        cbor.check_uint(channel, CHANNEL_MAX)
        if not isinstance(value[channel], bytes):
            raise DecodeError(150, "a channel table is not a byte string")
        decode_table(value[channel])
    return value


def read_key(value: object) -> bytes:
    """COSE_Key bytes of a key that stands as a map in a record. Raises DecodeError 108, 109, 112."""
    if not isinstance(value, dict):
        raise DecodeError(112, "not a public key")
    return cose.decode_key(cbor.encode(value)).data  # type: ignore[no-any-return]
