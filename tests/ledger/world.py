"""A ledger in memory with people, a node and three validators, for rule tests. Contains no test itself."""

from hashlib import sha256
from typing import Any

from server.keystore import SigningKey, sign_object
from server.ledger.core import LedgerCore, Staged, stage_genesis
from server.ledger.genesis import build_genesis, decode_genesis
from server.ledger.replay import MemoryStore
from server.ledger.transactions import Tx, build_tx, decode_tx
from shared import cose, merkle, state, statement
from shared.state import BatchValue, DeviceValue, Receipt
from shared.types import Statement

CHAIN = "test-chain"
ORG = b"O" * 10
ORIGIN = "example.org/test/evidence"
TIME_S = 1_800_000_000
FIRMWARE = sha256(b"firmware").digest()
TABLE_HASH = sha256(b"table").digest()
EVIDENCE = sha256(b"evidence").digest()
POWERS = {"v1": 5, "v2": 3, "v3": 2}


def key_of(name: str, alg: int = cose.EDDSA) -> SigningKey:
    return SigningKey.from_seed(sha256(b"ledger test " + name.encode()).digest(), alg)


ADMIN, INSTALLER, OPERATOR, NODE = (key_of(name) for name in ("admin", "installer", "operator", "node"))
VALIDATORS = {name: key_of(name) for name in POWERS}
GENESIS = build_genesis(
    CHAIN,
    TIME_S,
    ORG,
    "Founders",
    [
        (ADMIN.cose_key, ["admin"], "admin"),
        (INSTALLER.cose_key, ["installer"], "installer"),
        (OPERATOR.cose_key, ["operator"], "operator"),
        (NODE.cose_key, ["node"], "node"),
        *((key.cose_key, ["validator"], name) for name, key in VALIDATORS.items()),
    ],
    [(VALIDATORS[name].cose_key, power) for name, power in POWERS.items()],
    [(ORIGIN, NODE.kid)],
)


def ueid(name: str) -> bytes:
    return b"\x01" + sha256(name.encode()).digest()[:16]


def readings(
    name: str,
    first_seq: int = 0,
    count: int = 10,
    *,
    key: SigningKey | None = None,
    device: bytes | None = None,
    root: bytes = b"r" * 32,
    kind: str = "readings",
) -> bytes:
    """A signed statement of a device."""
    device, key = device or ueid(name), key or key_of(name)
    fields: list[Any] = [kind, device, 1, None, FIRMWARE, 1, 0, first_seq, count, TIME_S, 2, TABLE_HASH, root, None, None]
    if kind == "gap":
        fields[6:14] = [None] * 7 + [[(first_seq, count, None, 1)]]
    return sign_object(key, statement.content_type_of(kind), statement.encode_statement(Statement(*fields)))


def assignment(point: bytes, channel: int = 0, from_s: int = TIME_S, serial: str = "SN-1") -> list[Any]:
    return [channel, point, serial, TABLE_HASH, from_s]


class World:
    """Makes a block of every call and remembers what it did."""

    def __init__(self) -> None:
        genesis = decode_genesis(GENESIS)
        self.store = MemoryStore()
        staged = stage_genesis(genesis)
        self.store.write(staged)
        self.core = LedgerCore(self.store, genesis, staged.head)
        self.blocks: list[bytes] = []
        self.log: list[bytes] = []
        self.anchored = 0

    # --- blocks

    def nonce(self, key: SigningKey, waiting: int = 0) -> int:
        data = self.store.get(state.nonce_key(key.kid))
        return (data[0] if data is not None and data[0] < 24 else 0 if data is None else int.from_bytes(data[1:], "big")) + waiting

    def tx(self, key: SigningKey, kind: str, body: dict[int, Any], org: bytes = ORG, nonce: int | None = None) -> Tx:
        return decode_tx(build_tx(key, CHAIN, org, self.nonce(key) if nonce is None else nonce, kind, body))

    def block(self, *txs: Tx, time_s: int | None = None) -> Staged:
        head = self.core.head
        staged = self.core.apply_block(head.height + 1, head.time_s + 1 if time_s is None else time_s, txs)
        self.store.write(staged)
        self.core.commit(staged)
        if staged.block is not None:
            self.blocks.append(staged.block)
        return staged

    def do(self, key: SigningKey, kind: str, body: dict[int, Any], org: bytes = ORG) -> Receipt:
        """One transaction that must succeed."""
        (receipt,) = self.block(self.tx(key, kind, body, org)).receipts
        assert receipt.code == 0, receipt.code
        return receipt

    def refused(self, key: SigningKey, kind: str, body: dict[int, Any], org: bytes = ORG) -> int:
        """The code of one transaction that must fail and change nothing but, perhaps, its nonce."""
        before, own = dict(self.store.values), state.nonce_key(key.kid)
        staged = self.block(self.tx(key, kind, body, org))
        (receipt,) = staged.receipts
        assert receipt.code != 0 and receipt.effects == []
        assert {k: v for k, v in self.store.values.items() if k != own} == {k: v for k, v in before.items() if k != own}
        assert staged.outcomes[0].final == (self.store.get(own) != before.get(own))
        return int(receipt.code)

    # --- things on the ledger

    def org(self, name: str, admin: SigningKey) -> bytes:
        receipt = self.do(ADMIN, "org.create", {1: name, 2: admin.cose_key, 3: name + " admin"})
        return sha256(b"org" + receipt.identity).digest()[:10]

    def point(self, key: SigningKey = ADMIN, org: bytes = ORG, parent: bytes | None = None) -> bytes:
        receipt = self.do(key, "point.create", {1: "roof", 2: parent, 3: "Europe/Prague"}, org)
        return sha256(b"point" + receipt.identity).digest()[:10]

    def firmware(self, firmware: bytes = FIRMWARE) -> bytes:
        if self.store.get(state.firmware_key(firmware)) is None:
            self.do(ADMIN, "firmware.add", {1: firmware, 2: "meterproof-edge", 3: "0.1"})
        return firmware

    def enroll_body(self, name: str, point: bytes, **changes: Any) -> dict[int, Any]:
        body = {
            1: ueid(name),
            2: key_of(name).cose_key,
            3: 1,
            4: FIRMWARE,
            5: ORIGIN,
            6: [assignment(point)],
            7: EVIDENCE,
        }
        return body | {int(key[1:]): value for key, value in changes.items()}

    def enroll(self, name: str) -> bytes:
        self.firmware()
        self.do(INSTALLER, "device.enroll", self.enroll_body(name, self.point()))
        return ueid(name)

    def device(self, name: str) -> DeviceValue:
        data = self.store.get(state.device_key(ueid(name)))
        assert data is not None
        return state.decode_device_value(data)

    # --- the evidence log

    def batch_body(self, entries: list[bytes]) -> dict[int, Any]:
        """Body of the batch that would add these entries."""
        leaves = [merkle.leaf_hash(entry) for entry in [*self.log, *entries]]
        proof = consistency(self.anchored, leaves)
        return {1: ORIGIN, 2: self.anchored, 3: len(leaves), 4: merkle.root(leaves), 5: proof}

    def anchor(self, *entries: bytes) -> int:
        """Puts entries on the ledger as one batch and gives its number."""
        self.do(NODE, "batch", self.batch_body(list(entries)))
        self.log.extend(entries)
        self.anchored = len(self.log)
        self.batches = getattr(self, "batches", -1) + 1
        return self.batches

    def batch(self, number: int) -> BatchValue:
        data = self.store.get(state.batch_key(ORIGIN, number))
        assert data is not None
        return state.decode_batch_value(data)

    def objection(self, index: int, code: int, size: int | None = None) -> list[Any]:
        """An objection to a logged entry, its path right."""
        leaves = [merkle.leaf_hash(entry) for entry in self.log[: size or self.anchored]]
        return [index, code, self.log[index], merkle.inclusion_path(index, leaves)]

    def vote_body(self, number: int, *objections: list[Any]) -> dict[int, Any]:
        return {1: ORIGIN, 2: number, 3: self.batch(number).root, 4: list(objections)}


def consistency(old_size: int, leaves: list[bytes]) -> list[bytes]:
    """Proof from the first old_size leaves to all, from a frontier's nodes."""
    nodes = {}
    frontier = merkle.Frontier()
    for leaf in leaves:
        nodes.update({(level, index): node for level, index, node in frontier.append(leaf)})
    return merkle.stored_consistency_path(old_size, len(leaves), lambda level, index: nodes[level, index])
