"""A whole evidence file of SPEC.md section 12 and the policy it is verified under, from one small ledger.

In: a `World`, whose attributes a case changes before it asks. Out: the file's fields, the file, the policy. Never verifies anything.
"""

from hashlib import sha256

from tests.independent import device, ledger, text, trees
from tests.independent import samples as s
from tests.independent.cbor_out import cbor
from tests.independent.signing import EdKey, sign1
from tests.independent.values import Named, fill

GENESIS_HASH = fill("genesis of the world", 32)
NODE_VKEY = text.vkey(s.LEDGER_ORIGIN, s.NODE_KEY.raw)


def policy(
    chain_id: str = s.CHAIN_ID, genesis: bytes = GENESIS_HASH, vkeys: tuple[str, ...] = (NODE_VKEY,), need: int | None = None
) -> str:
    """TOML of a policy."""
    lines = ['format = "meterproof/policy/1"', f'chain_id = "{chain_id}"', f'genesis = "{genesis.hex()}"']
    lines += [] if need is None else [f"need = {need}"]
    return "\n".join(lines + [f'\n[[node]]\nvkey = "{vkey}"' for vkey in vkeys]) + "\n"


class World:
    """One device, one batch, one block; everything fits together unless an attribute is changed."""

    def __init__(self) -> None:
        self.place = 1
        self.readings = s.READINGS
        self.clock = 2
        self.table = s.TABLE
        self.key: EdKey = s.DEVICE_KEY
        self.enrolled = Named("Enrolled", from_height=5, to_height=None, live=[[5, None]], status=1, key=s.DEVICE_KEY, origin=s.ORIGIN)
        self.known_device = True
        self.assigned = [[0, s.POINT, self.table.serial, s.TABLE_HASH, s.START_S - 3600, None]]
        self.log_index = 3
        self.sizes = (2, 5)
        self.snapshot = [[s.VALIDATOR_KEY.kid, 1]]
        self.votes: list[list[object]] = [[s.VALIDATOR_KEY.kid, 8, []]]
        self.batch_height = 7
        self.chain_id = s.CHAIN_ID
        self.origin = s.LEDGER_ORIGIN
        self.genesis = GENESIS_HASH
        self.signers = [(s.LEDGER_ORIGIN, s.NODE_KEY)]
        self.block_index = 4
        self.ledger_size = 7

    def statement(self) -> bytes:
        table_hash = sha256(device.channel_table(self.table)).digest()
        record = s.readings_statement(self.readings, clock=self.clock, channel_table=table_hash)
        return sign1(self.key, "readings", device.statement_payload(record))

    def device_value(self) -> bytes:
        e = self.enrolled
        keys = [[e.key.kid, e.key.cose_key, 1, e.from_height, e.to_height]]
        return cbor(ledger.numbered(s.ORG, e.origin, keys, e.status, e.live, self.assigned, s.FIRMWARE, fill("evidence hash", 32), []))

    def log_hashes(self) -> list[bytes]:
        entries = [fill(f"another statement {i}", 300) for i in range(self.sizes[1])]
        entries[self.log_index] = self.statement()
        return [trees.leaf(entry) for entry in entries]

    def batch_value(self) -> bytes:
        root = trees.root(self.log_hashes())
        return cbor(ledger.numbered(*self.sizes, root, self.batch_height, self.snapshot, self.votes))

    def state(self) -> dict[bytes, bytes]:
        """Only as much of a ledger's state as gives every proof some siblings."""
        found = {
            cbor(["params"]): ledger.params_value(self.genesis),
            cbor(["org", s.ORG]): cbor({1: "Wind & Wetter", 2: 0}),
            cbor(["batch", s.ORIGIN, 1]): self.batch_value(),
            cbor(["device", s.OTHER_UEID]): cbor({}),
            **{cbor(["nonce", fill(f"key {i}", 16)]): cbor(i) for i in range(8)},
        }
        if self.known_device:
            found[cbor(["device", s.UEID])] = self.device_value()
        return found

    def fields(self) -> dict[int, object]:
        """The file's map."""
        leaves = device.leaves(s.BUNDLE_SALT, self.readings)
        tree = trees.StateTree(self.state())
        params = ledger.params_value(self.genesis)
        leaf_fields = [self.chain_id, 9, s.START_S + 900, self.block_index, tree.root(), sha256(params).digest()]
        block_leaf = cbor(ledger.numbered(0, *leaf_fields, start=0))
        entries = [fill(f"receipt {i}", 80) for i in range(self.ledger_size)]
        entries[self.block_index] = block_leaf
        hashes = [trees.leaf(entry) for entry in entries]
        point = text.checkpoint_text(self.origin, self.ledger_size, trees.root(hashes))
        signed = [(name, text.note_key_id(name, key.raw), key.sign(point.encode())) for name, key in self.signers]
        return {
            0: "meterproof/evidence/1",
            1: leaves[self.place],
            2: [self.place, trees.path(self.place, [trees.leaf(leaf) for leaf in leaves])],
            3: self.statement(),
            4: [self.log_index, trees.path(self.log_index, self.log_hashes())],
            5: [s.ORIGIN, 1, self.batch_value(), tree.prove(cbor(["batch", s.ORIGIN, 1]))],
            6: [self.device_value() if self.known_device else None, tree.prove(cbor(["device", s.UEID]))],
            7: device.channel_table(self.table),
            8: [block_leaf, trees.path(self.block_index, hashes)],
            9: params,
            10: text.ordered_note(point, signed).decode(),
        }

    def file(self) -> bytes:
        return cbor(self.fields())
