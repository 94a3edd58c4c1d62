"""Who may send a transaction, what a failed one leaves behind, and which errors must stop a node."""

import pytest

from server.ledger import rules
from server.ledger.rules import SignatureCache, apply_tx
from server.ledger.state import MapState, Overlay
from server.ledger.transactions import Tx, build_tx, decode_tx
from shared import cbor, cose, state
from shared.errors import VerifyError
from tests.ledger.world import ADMIN, CHAIN, INSTALLER, ORG, World, key_of

POINT = {1: "roof", 2: None, 3: "UTC"}


def point_tx(nonce: int = 0, key=ADMIN, chain: str = CHAIN, org: bytes = ORG, name: str = "roof") -> Tx:
    return decode_tx(build_tx(key, chain, org, nonce, "point.create", {**POINT, 1: name}))


def with_signature(tx: Tx, signature: bytes) -> Tx:
    outer = cbor.decode(tx.data)
    outer.value[3] = signature
    return decode_tx(cbor.encode(outer))


def test_every_type_has_a_rule() -> None:
    from server.ledger.bodies import DECODERS

    assert rules.RULES.keys() == DECODERS.keys()


@pytest.mark.parametrize(
    ("tx", "code"),
    [
        (point_tx(chain="other-chain"), 241),
        (point_tx(key=key_of("stranger")), 200),
        (point_tx(org=b"X" * 10), 305),
        (point_tx(nonce=1), 300),
        (with_signature(point_tx(), bytes(64)), 201),
        (with_signature(point_tx(), point_tx(name="other").signed.signature), 201),
    ],
)
def test_what_is_not_the_signers_next_changes_nothing_at_all(tx: Tx, code: int) -> None:
    world = World()
    before, root = dict(world.store.values), world.core.head.state_root
    staged = world.block(tx)
    assert [receipt.code for receipt in staged.receipts] == [code]
    assert not staged.outcomes[0].final
    assert world.store.values == before and world.core.head.state_root == root
    assert world.block(point_tx()).receipts[0].code == 0


def test_a_nonce_is_used_once() -> None:
    world = World()
    first = point_tx()
    assert [receipt.code for receipt in world.block(first, first).receipts] == [0, 300]
    assert world.block(first).receipts[0].code == 300
    assert [receipt.code for receipt in world.block(point_tx(2), point_tx(1)).receipts] == [300, 0]


def test_each_key_counts_its_own_nonces() -> None:
    world = World()
    codes = [receipt.code for receipt in world.block(point_tx(0), point_tx(0, INSTALLER), point_tx(1), point_tx(1, INSTALLER)).receipts]
    assert codes == [0, 0, 0, 0]


def test_a_broken_rule_uses_up_the_nonce_and_nothing_else() -> None:
    world = World()
    failing = decode_tx(build_tx(INSTALLER, CHAIN, ORG, 0, "key.revoke", {1: ADMIN.kid}))
    before = dict(world.store.values)
    staged = world.block(failing)
    assert staged.receipts[0].code == 301 and staged.outcomes[0].final
    assert world.store.values == {**before, state.nonce_key(INSTALLER.kid): cbor.encode(1)}
    assert world.block(failing).receipts[0].code == 300, "its outcome is final"


def test_a_revoked_key_signs_nothing_from_its_block_on() -> None:
    world = World()
    revoke = world.tx(ADMIN, "key.revoke", {1: INSTALLER.kid})
    before, after = point_tx(0, INSTALLER), point_tx(1, INSTALLER)
    assert [receipt.code for receipt in world.block(before, revoke, after).receipts] == [0, 0, 307]


def test_a_new_key_signs_in_the_block_that_adds_it() -> None:
    world = World()
    late = key_of("late")
    add = world.tx(ADMIN, "key.add", {1: late.cose_key, 2: ["installer"], 3: "late"})
    assert [receipt.code for receipt in world.block(point_tx(0, late), add, point_tx(0, late)).receipts] == [200, 0, 0]


def test_p256_keys_sign_too() -> None:
    world = World()
    card = key_of("card", cose.ES256)
    world.do(ADMIN, "key.add", {1: card.cose_key, 2: ["installer"], 3: "smart card"})
    world.point(card)


def test_effects_are_sorted_hashes_without_nonces() -> None:
    world = World()
    (receipt,) = world.block(world.tx(ADMIN, "org.create", {1: "B", 2: key_of("b").cose_key, 3: "b"})).receipts
    keys = [key for key, _ in receipt.effects]
    assert keys == sorted(keys) and len(keys) == 2
    assert all(b"nonce" not in key for key in keys)


def test_the_same_transaction_gives_the_same_receipt() -> None:
    def run() -> object:
        overlay = Overlay(MapState())
        overlay.changes.update(World().store.values)
        return apply_tx(overlay, point_tx(), 5, 3, 9, CHAIN), sorted(overlay.changes.items())

    assert run() == run()


def test_a_node_that_cannot_check_a_signature_stops() -> None:
    def unsupported(signed: object, cose_key: bytes) -> None:
        raise VerifyError(202, "no P-256 here")

    overlay = Overlay(MapState())
    overlay.changes.update(World().store.values)
    with pytest.raises(VerifyError) as caught:
        apply_tx(overlay, point_tx(), 1, 0, 0, CHAIN, unsupported)
    assert caught.value.code == 202


def test_a_node_whose_state_is_broken_stops() -> None:
    overlay = Overlay(MapState())
    overlay.changes.update(World().store.values)
    overlay.put(state.key_key(ADMIN.kid), b"\xff")
    with pytest.raises(VerifyError) as caught:
        apply_tx(overlay, point_tx(), 1, 0, 0, CHAIN)
    assert caught.value.code == 271


def test_a_cached_verdict_is_of_these_signature_bytes() -> None:
    """The trap: an identity does not cover the signature, so another node would refuse what we had let pass."""
    cache = SignatureCache()
    tx = point_tx()
    cache(tx.signed, ADMIN.cose_key)
    forged = with_signature(tx, bytes(64))
    assert forged.identity == tx.identity
    with pytest.raises(VerifyError):
        cache(forged.signed, ADMIN.cose_key)
    with pytest.raises(VerifyError):
        cache(tx.signed, INSTALLER.cose_key)


def test_the_cache_verifies_once_and_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []
    monkeypatch.setattr(cose, "verify_sign1", lambda signed, key: calls.append(signed.identity))
    cache = SignatureCache(entries_max=2)
    a, b, c = (point_tx(nonce) for nonce in range(3))
    for tx in (a, a, b, b, c, c, a):
        cache(tx.signed, ADMIN.cose_key)
    assert calls == [a.identity, b.identity, c.identity, a.identity]
