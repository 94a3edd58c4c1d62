"""The genesis: what it must hold, and the state it makes."""

from hashlib import sha256

import pytest

from server.ledger.genesis import build_genesis, decode_genesis, genesis_values
from server.ledger.values import decode_key, decode_log, decode_org, decode_validators
from shared import cbor, merkle, state
from shared.errors import DecodeError
from tests.ledger.world import ADMIN, CHAIN, GENESIS, NODE, ORG, ORIGIN, POWERS, TIME_S, VALIDATORS, key_of


def changed(field: int, value: object) -> bytes:
    fields = cbor.decode(GENESIS)
    assert isinstance(fields, dict)
    return cbor.encode({**fields, field: value})


def test_it_decodes_to_what_was_built() -> None:
    genesis = decode_genesis(GENESIS)
    assert (genesis.chain_id, genesis.time_s, genesis.org, genesis.name) == (CHAIN, TIME_S, ORG, "Founders")
    assert genesis.hash == sha256(GENESIS).digest()
    assert genesis.logs == ((ORIGIN, NODE.kid),)
    assert genesis.validators == tuple(sorted((VALIDATORS[name].kid, power) for name, power in POWERS.items()))


def test_it_makes_the_state_before_the_first_block() -> None:
    values = genesis_values(decode_genesis(GENESIS))
    assert values[state.PARAMS_KEY] == cbor.encode({1: sha256(GENESIS).digest(), 2: 1})
    assert decode_org(values[state.org_key(ORG)]).founding
    key = decode_key(values[state.key_key(ADMIN.kid)])
    assert (key.org, key.cose_key, key.roles, key.live_at(0), key.live_at(10**9)) == (ORG, ADMIN.cose_key, ("admin",), True, True)
    log = decode_log(values[state.log_key(ORIGIN)])
    assert (log.org, log.node_kid, log.size, log.root, log.batches) == (ORG, NODE.kid, 0, merkle.EMPTY_ROOT, 0)
    assert len(decode_validators(values[state.VALIDATORS_KEY])) == 3


GRANT = [ADMIN.cose_key, ["admin"], "admin"]
VALIDATOR = [VALIDATORS["v1"].cose_key, ["validator"], "v1"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (0, "meterproof/genesis/2"),
        (1, "no"),
        (2, -1),
        (2, True),
        (3, [ORG[:9], "x"]),
        (3, [ORG, ""]),
        (4, []),
        (4, [[ADMIN.cose_key, ["installer"], "a"]]),
        (4, [GRANT, GRANT]),
        (4, [[ADMIN.cose_key, ["operator", "admin"], "a"]]),
        (5, []),
        (5, [[ADMIN.cose_key, 1]]),
        (5, [[key_of("stranger").cose_key, 1]]),
        (5, [[VALIDATORS["v1"].cose_key, 0]]),
        (5, [[VALIDATORS["v1"].cose_key, 1 << 54]]),
        (5, [[VALIDATORS["v1"].cose_key, 1], [VALIDATORS["v1"].cose_key, 2]]),
        (6, [[ORIGIN, ADMIN.kid]]),
        (6, [[ORIGIN, b"k" * 16]]),
        (6, [["with blank", NODE.kid]]),
        (6, [[ORIGIN, NODE.kid], [ORIGIN, NODE.kid]]),
        (7, 0),
    ],
)
def test_a_genesis_that_contradicts_itself_is_refused(field: int, value: object) -> None:
    with pytest.raises(DecodeError) as caught:
        decode_genesis(changed(field, value))
    assert caught.value.code == 181


def test_building_refuses_too() -> None:
    with pytest.raises(DecodeError) as caught:
        build_genesis(CHAIN, TIME_S, ORG, "x", [tuple(GRANT), tuple(VALIDATOR)], [], [])
    assert caught.value.code == 181


def test_cut_bytes_are_refused() -> None:
    for wrong in (b"", GENESIS[:-1], GENESIS + b"\x00"):
        with pytest.raises(DecodeError) as caught:
            decode_genesis(wrong)
        assert caught.value.code == 181
