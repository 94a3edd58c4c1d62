"""The four error families, each with stable integer codes that are never reused.

In: a code and a text for people. Out: an exception whose `code` programs may rely on. Never carries secrets or whole inputs.
"""

CODES = {
    # 1xx malformed bytes
    100: "cbor-truncated",
    101: "cbor-trailing",
    102: "cbor-not-shortest",
    103: "cbor-type-refused",
    104: "cbor-map-order",
    105: "cbor-too-deep",
    106: "cbor-too-long",
    107: "cbor-not-utf8",
    108: "field-wrong",
    109: "cannot-encode",
    110: "cose-malformed",
    111: "content-type-unexpected",
    112: "key-malformed",
    120: "statement-malformed",
    121: "envelope-malformed",
    122: "rows-malformed",
    123: "channel-table-malformed",
    130: "note-malformed",
    131: "checkpoint-malformed",
    132: "tile-malformed",
    140: "evidence-malformed",
    141: "policy-malformed",
    150: "attestation-malformed",
    160: "mqtt-malformed",
    170: "id-malformed",
    175: "modbus-malformed",
    180: "transaction-malformed",
    181: "genesis-malformed",
    182: "block-malformed",
    190: "request-malformed",
    195: "config-malformed",
    # 2xx not trusted
    200: "key-unknown",
    201: "signature-wrong",
    202: "signature-unsupported",
    210: "inclusion-wrong",
    211: "consistency-wrong",
    220: "state-proof-wrong",
    231: "payload-wrong",
    232: "rows-missing",
    233: "rows-not-signed",
    240: "checkpoint-untrusted",
    241: "chain-wrong",
    242: "genesis-wrong",
    243: "votes-insufficient",
    244: "statement-objected",
    245: "batch-wrong",
    246: "device-mismatch",
    247: "channel-table-wrong",
    248: "reading-wrong",
    250: "nonce-stale",
    251: "evidence-key-wrong",
    252: "firmware-unknown",
    260: "ack-untrusted",
    270: "log-corrupt",
    271: "ledger-corrupt",
    272: "rows-corrupt",
    # 3xx breaks a rule
    300: "nonce-used",
    301: "role-missing",
    302: "already-exists",
    303: "not-found",
    304: "last-admin",
    305: "organization-wrong",
    306: "value-refused",
    307: "key-not-live",
    320: "device-never-enrolled",
    321: "device-not-live",
    322: "device-revoked",
    323: "device-suspended",
    324: "origin-wrong",
    325: "not-assigned-then",
    326: "no-equivocation",
    340: "batch-not-next",
    341: "vote-not-due",
    342: "objection-false",
    350: "access-refused",
    351: "default-key-refused",
    # 4xx not now
    400: "store-unavailable",
    410: "network-unavailable",
    420: "queue-full",
    421: "flash-full",
    430: "signer-unfit",
}


class MeterproofError(Exception):
    """Base of all families; `code` is stable, `text` is for people."""

    hundred = 0

    def __init__(self, code: int, text: str) -> None:
        if self.hundred and code // 100 != self.hundred:
            raise ValueError("error code of another family")
        super().__init__(code, text)
        self.code = code
        self.text = text

    def __str__(self) -> str:
        return self.text + " (" + CODES.get(self.code, "error") + ", " + str(self.code) + ")"


class DecodeError(MeterproofError):
    """Malformed bytes: drop, count, keep a sample."""

    hundred = 1


class VerifyError(MeterproofError):
    """Well-formed, but not trusted."""

    hundred = 2


class RuleError(MeterproofError):
    """Trusted, but breaks a rule."""

    hundred = 3


class Unavailable(MeterproofError):
    """Cannot be done now: retry with back-off."""

    hundred = 4


FAMILIES = {1: DecodeError, 2: VerifyError, 3: RuleError, 4: Unavailable}
