"""A whole world in memory for the verifier's tests: keys, a device, a bundle, an evidence log, a ledger with state and log, a policy.

In: a `World`, whose attributes a test changes before it asks. Out: evidence files and policies. Made from shared/ primitives and a state
tree of its own; never uses server/.
"""

from hashlib import sha256

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from shared import bundle, channel, cose, ed25519, merkle, note, smt, state, statement
from shared.types import ChannelTable, Reading, Register, Statement
from shared.verify.evidence import EvidenceFile, encode_evidence_file
from shared.verify.policy import Policy

START_S = 1_790_000_000
ORIGIN = "example.org/world/evidence"


class Key:
    """An Ed25519 key from a name, so that worlds of different names share none."""

    alg = cose.EDDSA

    def __init__(self, name: str) -> None:
        self.seed = sha256(name.encode()).digest()
        self.raw = ed25519.public_key(self.seed)
        self.cose_key = cose.encode_key_ed25519(self.raw)
        self.kid = cose.kid_of(self.cose_key)

    def sign(self, message: bytes) -> bytes:
        return ed25519.sign(self.seed, message)


class SecureElement:
    """A P-256 key, as a secure element holds it; signing needs the package cryptography."""

    alg = cose.ES256
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

    def __init__(self, name: str) -> None:
        self.private = ec.derive_private_key(int.from_bytes(sha256(name.encode()).digest(), "big") % self.order, ec.SECP256R1())
        numbers = self.private.public_key().public_numbers()
        self.cose_key = cose.encode_key_p256(numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"))
        self.kid = cose.kid_of(self.cose_key)
        # ECDSA signs differently each time: one message, one signature, else a world would not agree with itself.
        self.signatures: dict[bytes, bytes] = {}

    def sign(self, message: bytes) -> bytes:
        if message not in self.signatures:
            r, s = utils.decode_dss_signature(self.private.sign(message, ec.ECDSA(hashes.SHA256())))
            self.signatures[message] = r.to_bytes(32, "big") + min(s, self.order - s).to_bytes(32, "big")
        return self.signatures[message]


def tree_root(leaves: dict[bytes, bytes], depth: int = 0) -> bytes:
    """Root of a state tree given as path → leaf hash."""
    if not leaves:
        return smt.EMPTY
    if len(leaves) == 1:
        return next(iter(leaves.values()))
    left = {path: leaf for path, leaf in leaves.items() if not smt.bit(path, depth)}
    right = {path: leaf for path, leaf in leaves.items() if smt.bit(path, depth)}
    return smt.node_hash(tree_root(left, depth + 1), tree_root(right, depth + 1))


def prove(values: dict[bytes, bytes], key: bytes) -> smt.StateProof:
    """Membership or absence of a key in the state."""
    path = smt.path_of(key)
    here = {smt.path_of(k): smt.leaf_hash(smt.path_of(k), sha256(v).digest()) for k, v in values.items()}
    siblings: list[bytes] = []
    depth = 0
    while len(here) > 1:
        side = smt.bit(path, depth)
        other = tree_root({p: leaf for p, leaf in here.items() if smt.bit(p, depth) != side}, depth + 1)
        siblings.insert(0, b"" if other == smt.EMPTY else other)
        here = {p: leaf for p, leaf in here.items() if smt.bit(p, depth) == side}
        depth += 1
    if path in here:
        return smt.StateProof(siblings, True)
    if not here:
        return smt.StateProof(siblings, None)
    other_key = next(k for k in values if smt.path_of(k) in here)
    return smt.StateProof(siblings, (smt.path_of(other_key), sha256(values[other_key]).digest()))


class World:
    """A consistent world; every attribute may be changed before `file` or `parts` is called."""

    def __init__(self, name: str = "world") -> None:
        self.chain_id = "world-chain"
        self.genesis = sha256(name.encode() + b" genesis").digest()
        self.device_signer: Key | SecureElement = Key(name + " device")
        self.nodes = [Key(name + " node")]
        self.validators = [Key(f"{name} validator {i}") for i in range(4)]
        self.device = b"\x01" + sha256(name.encode()).digest()[:16]
        self.point = sha256(name.encode() + b" point").digest()[:10]
        self.table = ChannelTable(
            "Acme",
            "Solar 3",
            "SN-0042",
            "1.7",
            [Register("1.8.0", "import", "Wh", 0, "cumulative"), Register("2.8.0", "export", "Wh", 1, "cumulative")],
        )
        self.readings = [Reading(100 + i, START_S + 60 * i, [5000 + i, 777_000 + 3 * i], 0) for i in range(5)]
        self.salt = sha256(name.encode() + b" salt").digest()[:16]
        self.statement_changes: dict[str, object] = {}
        self.origin = ORIGIN
        self.device_origin = ORIGIN
        self.enrolled = True
        self.key_range: tuple[int, int | None] = (2, None)
        self.tier = 1
        self.status = state.LIVE
        self.live: list[tuple[int, int | None]] = [(2, None)]
        self.assigned: tuple[int, int | None] = (START_S - 3600, None)
        self.assigned_serial = self.table.serial
        self.equivocations: list[tuple[bytes, bytes, int]] = []
        self.old_size, self.new_size, self.log_index = 3, 10, 6
        self.batch_height = 5
        self.votes = [state.Vote(key.kid, 6, []) for key in self.validators[:3]]
        self.block_height = 6
        self.note_text_extra = ""

    # --- the device's side

    def table_bytes(self) -> bytes:
        return channel.encode_table(self.table)

    def said(self) -> Statement:
        said = Statement(
            kind="readings",
            device=self.device,
            boot=3,
            previous=sha256(b"the one before").digest(),
            firmware=sha256(b"firmware").digest(),
            tier=self.tier,
            channel=0,
            first_seq=self.readings[0].seq,
            count=len(self.readings),
            start_s=self.readings[0].time_s,
            clock=2,
            channel_table=channel.table_hash(self.table_bytes()),
            root=bundle.readings_root(self.salt, self.readings),
            lost=None,
            repair=None,
        )
        return said._replace(**self.statement_changes)

    def statement(self) -> bytes:
        key = self.device_signer
        said = self.said()
        return cose.build_sign1(key.alg, statement.content_type_of(said.kind), key.kid, statement.encode_statement(said), key.sign)

    # --- the operator's side

    def log_leaves(self) -> list[bytes]:
        leaves = [merkle.leaf_hash(b"another statement %d" % i) for i in range(self.new_size)]
        leaves[self.log_index] = merkle.leaf_hash(self.statement())
        return leaves

    def batch_value(self) -> bytes:
        snapshot = [state.Power(key.kid, 1) for key in self.validators]
        return state.encode_batch_value(
            state.BatchValue(self.old_size, self.new_size, merkle.root(self.log_leaves()), self.batch_height, snapshot, self.votes)
        )

    def device_value(self) -> bytes:
        key = self.device_signer
        return state.encode_device_value(
            state.DeviceValue(
                org=bytes(10),
                origin=self.device_origin,
                keys=[state.DeviceKey(key.kid, key.cose_key, self.tier, *self.key_range)],
                status=self.status,
                live=self.live,
                assignments=[state.Assignment(0, self.point, self.assigned_serial, channel.table_hash(self.table_bytes()), *self.assigned)],
                firmware=sha256(b"firmware").digest(),
                evidence=sha256(b"evidence").digest(),
                equivocations=self.equivocations,
            )
        )

    def state(self) -> dict[bytes, bytes]:
        values = {state.org_key(bytes([i]) * 10): b"some organization" for i in range(6)}
        values[state.PARAMS_KEY] = self.params()
        values[state.batch_key(self.origin, 1)] = self.batch_value()
        if self.enrolled:
            values[state.device_key(self.device)] = self.device_value()
        return values

    def params(self) -> bytes:
        return state.encode_params(state.Params(self.genesis, 1))

    def block_leaf(self) -> bytes:
        root = tree_root({smt.path_of(k): smt.leaf_hash(smt.path_of(k), sha256(v).digest()) for k, v in self.state().items()})
        return state.encode_block_leaf(
            state.BlockLeaf(self.chain_id, self.block_height, START_S + 900, 8, root, sha256(self.params()).digest())
        )

    def ledger_leaves(self) -> list[bytes]:
        leaves = [merkle.leaf_hash(b"receipt %d" % i) for i in range(11)]
        leaves[8] = merkle.leaf_hash(self.block_leaf())
        return leaves

    def checkpoint(self) -> bytes:
        origin = "meterproof.ledger/" + self.chain_id
        leaves = self.ledger_leaves()
        text = note.encode_checkpoint(note.Checkpoint(origin, len(leaves), merkle.root(leaves)))
        return note.encode_note(note.Note(text, [(origin, note.key_id_of(origin, key.raw), key.sign(text.encode())) for key in self.nodes]))

    # --- the file and whom to trust

    def parts(self, place: int = 2) -> EvidenceFile:
        values = self.state()
        leaf = bundle.reading_leaf(bundle.reading_salt(self.salt, place), self.readings[place])
        device_key = state.device_key(self.device)
        return EvidenceFile(
            leaf=leaf,
            place=place,
            path=merkle.inclusion_path(place, bundle.leaf_hashes(self.salt, self.readings)),
            statement=self.statement(),
            log_index=self.log_index,
            log_path=merkle.inclusion_path(self.log_index, self.log_leaves()),
            origin=self.origin,
            batch_number=1,
            batch_value=self.batch_value(),
            batch_proof=prove(values, state.batch_key(self.origin, 1)),
            device_value=values.get(device_key),
            device_proof=prove(values, device_key),
            channel_table=self.table_bytes(),
            block_leaf=self.block_leaf(),
            block_path=merkle.inclusion_path(8, self.ledger_leaves()),
            params=self.params(),
            checkpoint=self.checkpoint(),
        )

    def file(self, place: int = 2) -> bytes:
        return encode_evidence_file(self.parts(place))

    def policy(self, need: int = 1) -> Policy:
        name = "meterproof.ledger/" + self.chain_id
        return Policy(self.chain_id, self.genesis, [note.decode_vkey(note.encode_vkey(name, key.raw)) for key in self.nodes], need)
