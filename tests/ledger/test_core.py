"""The ledger under any engine: app hash, check state, staging, replay; and a random run against a simpler model."""

from hashlib import sha256

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from server.ledger.blocks import decode_block, encode_block
from server.ledger.core import LedgerCore, stage_genesis
from server.ledger.genesis import decode_genesis, genesis_values
from server.ledger.replay import MemoryStore, replay_blocks, replay_steps
from server.ledger.transactions import build_tx, decode_tx
from shared import cbor, merkle, state
from shared.errors import DecodeError, MeterproofError, VerifyError
from tests.ledger.test_tree import naive_root
from tests.ledger.world import ADMIN, CHAIN, GENESIS, INSTALLER, NODE, OPERATOR, ORG, TIME_S, VALIDATORS, World, key_of, readings


def busy_world() -> World:
    """Some blocks of everything, failures among them."""
    world = World()
    world.enroll("d")
    world.refused(INSTALLER, "key.revoke", {1: ADMIN.kid})
    world.anchor(*(readings("d", 10 * i) for i in range(5)))
    world.do(VALIDATORS["v1"], "vote", world.vote_body(0))
    world.block(*(world.tx(ADMIN, "point.create", {1: f"p{i}", 2: None, 3: "UTC"}, nonce=world.nonce(ADMIN, i)) for i in range(30)))
    return world


def state_root_of(world: World) -> bytes:
    return naive_root({sha256(key).digest(): sha256(value).digest() for key, value in world.store.values.items()})


def test_app_hash_is_the_root_of_receipts_and_block_leaves() -> None:
    world = busy_world()
    entries, blocks = world.store.entries, [decode_block(data) for data in world.blocks]
    assert world.core.head.app_hash == merkle.root([merkle.leaf_hash(entry) for entry in entries])
    place = 0
    for block in blocks:
        for index, tx in enumerate(block.txs):
            receipt = state.decode_receipt(entries[place])
            assert (receipt.identity, receipt.height, receipt.index) == (tx.identity, block.height, index)
            place += 1
        leaf = state.decode_block_leaf(entries[place])
        assert (leaf.chain_id, leaf.height, leaf.time_s, leaf.index) == (CHAIN, block.height, block.time_s, place)
        assert leaf.params_hash == sha256(cbor.encode({1: sha256(GENESIS).digest(), 2: 1})).digest()
        place += 1
    assert place == len(entries) == world.core.head.log_size
    assert leaf.state_root == world.core.head.state_root == state_root_of(world)


def test_an_empty_block_changes_nothing() -> None:
    world = busy_world()
    head, entries = world.core.head, len(world.store.entries)
    staged = world.block()
    assert (staged.app_hash, staged.head.state_root, staged.head.log_size) == (head.app_hash, head.state_root, head.log_size)
    assert len(world.store.entries) == entries and staged.entries == () and staged.block is None
    assert world.core.head.height == head.height + 1, "only the engine's counting goes on"
    world.point()
    assert world.core.head.app_hash != head.app_hash


def test_nothing_changes_before_commit() -> None:
    world = busy_world()
    head, values = world.core.head, dict(world.store.values)
    tx = world.tx(ADMIN, "point.create", {1: "x", 2: None, 3: "UTC"})
    first = world.core.apply_block(head.height + 1, head.time_s, [tx])
    again = world.core.apply_block(head.height + 1, head.time_s, [tx])
    assert (world.core.head, world.store.values) == (head, values)
    assert (first.app_hash, first.entries, first.tree_pages) == (again.app_hash, again.entries, again.tree_pages)
    assert first.app_hash != head.app_hash
    assert world.core.apply_block(head.height + 1, head.time_s + 1, [tx]).app_hash != first.app_hash, "time is in the leaf"


def test_height_and_time_never_fall() -> None:
    world = busy_world()
    head, tx = world.core.head, world.tx(ADMIN, "point.create", {1: "x", 2: None, 3: "UTC"})
    for height, time_s in ((head.height, head.time_s), (head.height - 1, head.time_s), (head.height + 1, head.time_s - 1)):
        with pytest.raises(VerifyError) as caught:
            world.core.apply_block(height, time_s, [tx])
        assert caught.value.code == 271
    stale = world.core.apply_block(head.height + 1, head.time_s, [tx])
    world.block(tx)
    with pytest.raises(VerifyError):
        world.core.commit(stale)


def test_checks_stand_on_what_waits() -> None:
    world = World()
    core = world.core
    first, second = (build_tx(ADMIN, CHAIN, ORG, nonce, "point.create", {1: "x", 2: None, 3: "UTC"}) for nonce in (0, 1))
    with pytest.raises(MeterproofError) as caught:
        core.check_tx(second)
    assert caught.value.code == 300
    core.check_tx(first)
    core.check_tx(second)
    for again, code in ((first, 300), (b"junk", 180)):
        with pytest.raises(MeterproofError) as caught:
            core.check_tx(again)
        assert caught.value.code == code
    assert world.store.get(state.nonce_key(ADMIN.kid)) is None, "a check commits nothing"
    core.reset_check()
    core.check_tx(first)


def test_a_refused_check_uses_up_no_nonce() -> None:
    world = World()
    with pytest.raises(MeterproofError) as caught:
        world.core.check_tx(build_tx(INSTALLER, CHAIN, ORG, 0, "key.revoke", {1: ADMIN.kid}))
    assert caught.value.code == 301
    world.core.check_tx(build_tx(INSTALLER, CHAIN, ORG, 0, "point.create", {1: "x", 2: None, 3: "UTC"}))


def test_replay_gives_the_same_ledger() -> None:
    world = busy_world()
    replay = replay_blocks(GENESIS, world.blocks)
    assert replay.head == world.core.head
    assert replay.store.entries == world.store.entries
    assert replay.store.values == world.store.values
    assert replay.store.tree_pages == world.store.tree_pages
    assert replay.store.nodes == world.store.nodes
    assert [step.app_hash for step in replay_steps(GENESIS, [])] == [merkle.EMPTY_ROOT]


def test_replay_verifies_every_signature_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    world = busy_world()
    block = cbor.decode(world.blocks[-1])
    outer = cbor.decode(block[2][3])
    outer.value[3] = bytes(64)
    block[2][3] = cbor.encode(outer)
    replay = replay_blocks(GENESIS, [*world.blocks[:-1], cbor.encode(block)])
    assert replay.app_hash != world.core.head.app_hash
    assert state.decode_receipt(replay.store.entries[-28]).code == 201


def test_replay_of_another_history_gives_another_hash() -> None:
    world = busy_world()
    with pytest.raises(VerifyError):
        replay_blocks(GENESIS, [world.blocks[0], world.blocks[0]])
    assert replay_blocks(GENESIS, world.blocks[:-1]).app_hash != world.core.head.app_hash
    fields = cbor.decode(GENESIS)
    other = cbor.encode({**fields, 2: TIME_S - 5})
    assert replay_blocks(other, world.blocks).app_hash != world.core.head.app_hash, "the genesis is in every block leaf"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        cbor.encode([1, 2]),
        cbor.encode([0, TIME_S, [b"x"]]),
        cbor.encode([1, -1, [b"x"]]),
        cbor.encode([1, TIME_S, []]),
        cbor.encode([1, TIME_S, [b"not a transaction"]]),
        cbor.encode([True, TIME_S, [b"x"]]),
        encode_block(1, TIME_S, []),
    ],
)
def test_what_is_no_block(data: bytes) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_block(data)
    assert caught.value.code == 182


def test_a_ledger_of_another_genesis_is_refused() -> None:
    world = busy_world()
    fields = cbor.decode(GENESIS)
    with pytest.raises(VerifyError) as caught:
        LedgerCore(world.store, decode_genesis(cbor.encode({**fields, 2: 5})), world.core.head)
    assert caught.value.code == 242


def test_a_damaged_store_is_noticed_at_the_start() -> None:
    for damage in ("nodes", "tree_pages"):
        world = busy_world()
        table = getattr(world.store, damage)
        for place in list(table):
            table[place] = bytes(len(table[place]))
        with pytest.raises(VerifyError) as caught:
            LedgerCore(world.store, decode_genesis(GENESIS), world.core.head)
        assert caught.value.code == 271


def test_a_restart_goes_on_from_stored_nodes() -> None:
    world = busy_world()
    tx = world.tx(ADMIN, "point.create", {1: "x", 2: None, 3: "UTC"})
    head = world.core.head
    other = LedgerCore(world.store, decode_genesis(GENESIS), head)
    assert other.apply_block(head.height + 1, head.time_s + 1, [tx]).app_hash == world.block(tx).app_hash


# --- a random run against a model of roles, organizations and nonces

PEOPLE = [ADMIN, INSTALLER, OPERATOR, NODE, *(key_of(f"person {i}") for i in range(4))]
ROLES = ["admin", "installer", "node", "operator", "validator"]


class Ledger(RuleBasedStateMachine):
    """Everybody tries everything; the model knows keys, roles, nonces and counts points, nothing else."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.roles = {ADMIN.kid: {"admin"}, INSTALLER.kid: {"installer"}, OPERATOR.kid: {"operator"}, NODE.kid: {"node"}}
        self.revoked: set[bytes] = set()
        self.nonces: dict[bytes, int] = {}
        self.points = 0

    def send(self, key, kind: str, body: dict, skew: int, broken: int) -> int:
        nonce = self.nonces.get(key.kid, 0) + skew
        if nonce < 0:
            return -1
        code = self.world.block(decode_tx(build_tx(key, CHAIN, ORG, nonce, kind, body))).receipts[0].code
        expected = self.expected(key, skew, broken)
        assert code == expected, (kind, code, expected)
        if expected not in (200, 300, 307) or (expected == 307 and key.kid not in self.revoked):
            self.nonces[key.kid] = nonce + 1
        return int(code)

    def expected(self, key, skew: int, broken: int) -> int:
        if key.kid not in self.roles:
            return 200
        if key.kid in self.revoked:
            return 307
        return 300 if skew else broken

    def may(self, key, *roles: str) -> bool:
        return bool(self.roles.get(key.kid, set()) & set(roles))

    @rule(key=st.sampled_from(PEOPLE), skew=st.sampled_from([0, 0, 0, 1, -1]))
    def point(self, key, skew: int) -> None:
        code = self.send(key, "point.create", {1: "x", 2: None, 3: "UTC"}, skew, 0 if self.may(key, "admin", "installer") else 301)
        self.points += code == 0

    @rule(
        key=st.sampled_from(PEOPLE),
        other=st.sampled_from(PEOPLE),
        roles=st.sets(st.sampled_from(ROLES), min_size=1),
        skew=st.sampled_from([0, 0, 0, 1]),
    )
    def add(self, key, other, roles: set[str], skew: int) -> None:
        broken = 301 if not self.may(key, "admin") else 302 if other.kid in self.roles else 0
        if self.send(key, "key.add", {1: other.cose_key, 2: sorted(roles), 3: "x"}, skew, broken) == 0:
            self.roles[other.kid] = roles

    @rule(key=st.sampled_from(PEOPLE), other=st.sampled_from(PEOPLE))
    def revoke(self, key, other) -> None:
        admins = {kid for kid, roles in self.roles.items() if "admin" in roles} - self.revoked
        if not self.may(key, "admin"):
            broken = 301
        elif other.kid not in self.roles:
            broken = 303
        elif other.kid in self.revoked:
            broken = 307
        else:
            broken = 304 if admins == {other.kid} else 0
        if self.send(key, "key.revoke", {1: other.kid}, 0, broken) == 0:
            self.revoked.add(other.kid)

    @precondition(lambda self: hasattr(self, "world"))
    @invariant()
    def the_state_agrees(self) -> None:
        values = self.world.store.values
        assert sum(cbor.decode(key)[0] == "point" for key in values) == self.points
        assert {kid: self.world.nonce(key) for key in PEOPLE if (kid := key.kid) in self.nonces} == self.nonces
        assert self.world.core.head.state_root == state_root_of(self.world)
        assert any("admin" in self.roles[kid] for kid in self.roles.keys() - self.revoked)


TestLedger = Ledger.TestCase
TestLedger.settings = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 29), max_size=5, unique=True))
def test_cutting_blocks_elsewhere_gives_the_same_state(cuts: list[int]) -> None:
    """The same transactions in other blocks: other heights and app hash, the same nonces and points."""
    world, one = World(), World()
    txs = [world.tx(ADMIN, "point.create", {1: f"p{i}", 2: None, 3: "UTC"}, nonce=i) for i in range(30)]
    edges = [0, *sorted(cuts), 30]
    for low, high in zip(edges, edges[1:], strict=False):
        if low < high:
            world.block(*txs[low:high])
    one.block(*txs)
    assert world.store.values.keys() == one.store.values.keys()
    assert world.nonce(ADMIN) == one.nonce(ADMIN) == 30


def test_the_genesis_state_is_in_the_tree() -> None:
    staged = stage_genesis(decode_genesis(GENESIS))
    store = MemoryStore()
    store.write(staged)
    assert store.values == genesis_values(decode_genesis(GENESIS))
    leaves = {sha256(key).digest(): sha256(value).digest() for key, value in store.values.items()}
    assert staged.head.state_root == naive_root(leaves)
    assert (staged.head.height, staged.head.log_size, staged.app_hash) == (0, 0, merkle.EMPTY_ROOT)
