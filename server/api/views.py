"""JSON forms of what the ledger and the registry hold.

In: values. Out: dictionaries of text, numbers, lists; ids in text form, other bytes in hexadecimal. Never anything secret: there is none.
"""

from typing import Any

from server.ledger.values import FirmwareValue, KeyValue, OrgValue, PointValue
from server.registry.records import Attestation
from shared import cose, ids
from shared.state import DeviceValue, Receipt

STATUSES = {1: "live", 2: "suspended", 3: "revoked"}
ALGORITHMS = {cose.EDDSA: "EdDSA", cose.ES256: "ES256"}


def org_view(org: bytes, value: OrgValue) -> dict[str, Any]:
    return {"organization": ids.encode_id(ids.ORG, org), "name": value.name, "founding": value.founding, "from_height": value.from_height}


def key_view(kid: bytes, value: KeyValue, nonce: int) -> dict[str, Any]:
    return {
        "key": ids.encode_id(ids.KEY, kid),
        "organization": ids.encode_id(ids.ORG, value.org),
        "name": value.name,
        "roles": list(value.roles),
        "algorithm": ALGORITHMS[cose.decode_key(value.cose_key).alg],
        "cose_key": value.cose_key.hex(),
        "from_height": value.from_height,
        "to_height": value.to_height,
        "nonce": nonce,
    }


def point_view(point: bytes, value: PointValue) -> dict[str, Any]:
    return {
        "point": ids.encode_id(ids.POINT, point),
        "organization": ids.encode_id(ids.ORG, value.org),
        "name": value.name,
        "parent": None if value.parent is None else ids.encode_id(ids.POINT, value.parent),
        "zone": value.zone,
        "from_height": value.from_height,
    }


def firmware_view(firmware: bytes, value: FirmwareValue) -> dict[str, Any]:
    return {
        "firmware": firmware.hex(),
        "organization": ids.encode_id(ids.ORG, value.org),
        "name": value.name,
        "version": value.version,
        "from_height": value.from_height,
        "to_height": value.to_height,
    }


def device_view(device: bytes, value: DeviceValue) -> dict[str, Any]:
    return {
        "device": ids.encode_id(ids.DEVICE, device),
        "organization": ids.encode_id(ids.ORG, value.org),
        "status": STATUSES[value.status],
        "origin": value.origin,
        "keys": [
            {
                "key": ids.encode_id(ids.KEY, key.kid),
                "cose_key": key.cose_key.hex(),
                "tier": key.tier,
                "from_height": key.from_height,
                "to_height": key.to_height,
            }
            for key in value.keys
        ],
        "live": [list(span) for span in value.live],
        "assignments": [
            {
                "channel": item.channel,
                "point": ids.encode_id(ids.POINT, item.point),
                "serial": item.serial,
                "channel_table": item.table_hash.hex(),
                "from_s": item.from_s,
                "to_s": item.to_s,
            }
            for item in value.assignments
        ],
        "firmware": value.firmware.hex(),
        "evidence": value.evidence.hex(),
        "equivocations": [
            {"statements": [ids.encode_id(ids.STATEMENT, one), ids.encode_id(ids.STATEMENT, other)], "height": height}
            for one, other, height in value.equivocations
        ],
    }


def receipt_view(receipt: Receipt) -> dict[str, Any]:
    return {
        "transaction": ids.encode_id(ids.TX, receipt.identity),
        "height": receipt.height,
        "index": receipt.index,
        "code": receipt.code,
        "effects": [{"key": key.hex(), "value_hash": value.hex()} for key, value in receipt.effects],
    }


def attestation_view(row: Attestation) -> dict[str, Any]:
    return {
        "number": row.number,
        "organization": ids.encode_id(ids.ORG, row.org),
        "device": ids.encode_id(ids.DEVICE, row.device),
        "key": ids.encode_id(ids.KEY, row.kid),
        "boot": row.boot,
        "time_s": row.time_s,
        "verdict": row.verdict,
        "code": row.code,
        "evidence_hash": row.evidence_hash.hex(),
        "evidence": row.evidence.hex(),
    }
