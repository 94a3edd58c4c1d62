"""Operations of the golden files whose code is in server/ or shared/verify/: they run under CPython only.

In: values of a vector. Out: what the code makes of them, as plain values. Never a rule of its own.
"""

from dataclasses import fields, is_dataclass

from server.evidence import tiles
from server.keystore import SigningKey
from server.ledger import blocks, genesis, rules_registry, transactions, values
from server.registry import access
from shared import note
from shared.verify import evidence, policy, verifier
from tests.micropython import checks_golden


def plain(value: object) -> object:
    """Records as lists of their fields."""
    if is_dataclass(value):
        return [plain(getattr(value, field.name)) for field in fields(value)]
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def decode_tx(data: bytes) -> dict[str, object]:
    tx = transactions.decode_tx(data)
    named = {"chain_id": tx.chain_id, "org": tx.org, "nonce": tx.nonce, "type": tx.type, "body": plain(tx.body)}
    return {**named, "kid": tx.kid, "identity": tx.identity}


def build_tx(parts: dict) -> bytes:
    key = SigningKey.from_seed(parts["seed"])
    return transactions.build_tx(key, parts["chain_id"], parts["org"], parts["nonce"], parts["type"], parts["body"])


def object_id(parts: list) -> bytes:
    return {"org": rules_registry.org_id, "point": rules_registry.point_id}[parts[0]](parts[1])


def decode_genesis(data: bytes) -> dict[str, object]:
    found = genesis.decode_genesis(data)
    named = {"chain_id": found.chain_id, "time_s": found.time_s, "org": found.org, "name": found.name, "keys": plain(found.keys)}
    return {**named, "validators": plain(found.validators), "logs": plain(found.logs), "hash": found.hash}


def decode_block(data: bytes) -> dict[str, object]:
    block = blocks.decode_block(data)
    assert blocks.encode_block(block.height, block.time_s, block.txs) == data
    return {"height": block.height, "time_s": block.time_s, "transactions": [tx.identity for tx in block.txs]}


def decode_access(header: str) -> dict[str, object]:
    token = access.decode_token(header)
    names = ("chain_id", "org", "method", "path", "expires_s", "random", "body_hash")
    return {**{name: getattr(token, name) for name in names}, "kid": token.signed.kid}


def decoded_value(name: str):
    """A codec of one kind of state value, over the list of its fields."""
    decode, encode = getattr(values, "decode_" + name), getattr(values, "encode_" + name)
    record = getattr(values, name.capitalize() + "Value")
    return lambda data: plain(decode(data)), lambda want: encode(record(*[tuple(i) if isinstance(i, list) else i for i in want]))


def verify_evidence(given: dict) -> dict[str, object]:
    trusted = None if given["policy"] is None else policy.decode_policy(given["policy"].encode())
    report = verifier.verify_evidence(given["file"], trusted)
    signers = [note.encode_vkey(key.name, key.raw) for key in report.signers]
    named = {"trusted": report.trusted, "reading": report.opened.reading, "kid": report.key.kid}
    return {**named, "point": report.assignment.point, "serial": report.assignment.serial, "signers": signers}


def decode_policy(data: bytes) -> dict[str, object]:
    found = policy.decode_policy(data)
    assert policy.decode_policy(policy.encode_policy(found).encode()) == found
    nodes = [note.encode_vkey(key.name, key.raw) for key in found.nodes]
    return {"chain_id": found.chain_id, "genesis": found.genesis, "nodes": nodes, "need": found.need}


def install() -> None:
    """Adds all of them to the table of checks_golden."""
    checks_golden.RECORDS["EvidenceFile"] = evidence.EvidenceFile
    checks_golden.add("evidence.file", evidence.decode_evidence_file, evidence.encode_evidence_file)
    checks_golden.add("evidence.verify", verify_evidence)
    checks_golden.add("policy", decode_policy)
    checks_golden.add("tx", decode_tx)
    checks_golden.add("tx.build", build_tx)
    checks_golden.add("object.id", object_id)
    checks_golden.add("genesis", decode_genesis)
    checks_golden.add("block", decode_block)
    checks_golden.add("access", decode_access)
    for name in ("org", "key", "point", "firmware", "log"):
        checks_golden.add("value." + name, *decoded_value(name))
    checks_golden.add("value.nonce", values.encode_nonce)
    checks_golden.add("value.validators", lambda pairs: values.encode_validators([tuple(pair) for pair in pairs]))
    checks_golden.add("tile.path", lambda given: tiles.tile_path(*given))
    checks_golden.add("tile.entries", lambda given: tiles.decode_entries(given["data"], given["count"]))
