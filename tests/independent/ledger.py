"""The ledger of SPEC.md sections 9 to 11: transactions, genesis, state keys and values, receipts, blocks, app hash, access tokens.

In: plain values and `Named` records. Out: CBOR and hashes. Never applies a rule.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256

from tests.independent import trees
from tests.independent.cbor_out import cbor
from tests.independent.values import Named


def numbered(*values: object, start: int = 1) -> dict[int, object]:
    """`{1: …, 2: …}`."""
    return dict(enumerate(values, start))


def tx_payload(chain_id: str, org: bytes, nonce: int, kind: str, body: object) -> bytes:
    return cbor(numbered(chain_id, org, nonce, kind, body))


def genesis(chain_id: str, time_s: int, org: list[object], keys: list[object], validators: list[object], logs: list[object]) -> bytes:
    """Keys are given as COSE_Key bytes and stand in the genesis as such byte strings."""
    return cbor(numbered("meterproof/genesis/1", chain_id, time_s, org, keys, validators, logs, start=0))


def params_value(genesis_hash: bytes) -> bytes:
    return cbor({1: genesis_hash, 2: 1})


def device_value(value: Named) -> bytes:
    fields = {
        1: value.org,
        2: value.origin,
        3: [list(key.fields.values()) for key in value.keys],
        4: value.status,
        5: value.live,
        6: [list(assignment.fields.values()) for assignment in value.assignments],
        7: value.firmware,
        8: value.evidence,
        9: value.equivocations,
    }
    return cbor(fields)


def batch_value(value: Named) -> bytes:
    return cbor(numbered(*value.fields.values()))


def receipt(value: Named) -> bytes:
    effects = sorted(value.effects, key=lambda effect: effect[0])
    return cbor(numbered(1, value.identity, value.height, value.index, value.code, effects, start=0))


def block_leaf(value: Named) -> bytes:
    return cbor(numbered(0, *value.fields.values(), start=0))


def block(height: int, time_s: int, transactions: list[bytes]) -> bytes:
    return cbor([height, time_s, transactions])


def app_hash(entries: list[bytes]) -> bytes:
    """Root of the ledger log over all its entries."""
    return trees.root([trees.leaf(entry) for entry in entries])


def object_id(kind: str, identity: bytes, length: int = 10) -> bytes:
    """Id of an organization ("org") or a metering point ("point") from the transaction that makes it."""
    return sha256(kind.encode() + identity).digest()[:length]


def access_payload(chain_id: str, org: bytes, method: str, path: str, expires_s: int, random: bytes, body: bytes) -> bytes:
    return cbor(numbered(chain_id, org, method, path, expires_s, random, sha256(body).digest()))


def authorization(token: bytes) -> str:
    return "Meterproof " + urlsafe_b64encode(token).decode().rstrip("=")
