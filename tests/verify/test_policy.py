"""The policy file: strict, because a doubtful one must never weaken what it protects."""

import pytest

from shared.errors import DecodeError
from shared.verify.policy import Policy, decode_policy, encode_policy
from tests.verify.world import Key, World, note

VKEY = note.encode_vkey("meterproof.ledger/world-chain", Key("node").raw)
OTHER = note.encode_vkey("meterproof.ledger/world-chain", Key("other node").raw)
HEAD = f'format = "meterproof/policy/1"\nchain_id = "world-chain"\ngenesis = "{"ab" * 32}"\n'
NODE = f'[[node]]\nvkey = "{VKEY}"\n'


def test_smallest_policy():
    policy = decode_policy((HEAD + NODE).encode())
    assert policy == Policy("world-chain", b"\xab" * 32, [note.decode_vkey(VKEY)], 1)


def test_round_trip():
    world = World()
    world.nodes = [Key("one"), Key("two"), Key("three")]
    policy = world.policy(need=2)
    assert decode_policy(encode_policy(policy).encode()) == policy


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("format = ", "not TOML"),
        ("", "format"),
        (HEAD.replace("policy/1", "policy/2") + NODE, "format"),
        (HEAD, "node is missing"),
        (HEAD + "node = []", "1 to 16"),
        (HEAD + 'node = ["x"]', "[[node]]"),
        (HEAD + f'[node]\nvkey = "{VKEY}"', "[[node]]"),
        (HEAD + NODE + NODE, "same key"),
        (HEAD + NODE + f'[[node]]\nvkey = "{note.encode_vkey("another.name", Key("node").raw)}"', "same key"),
        (HEAD + "[[node]]\n", "node.vkey is missing"),
        (HEAD + "[[node]]\nvkey = 7", "not a text"),
        (HEAD + '[[node]]\nvkey = "nonsense"', "node.vkey"),
        (HEAD + NODE.replace(VKEY, VKEY[:-4] + "AAA="), "node.vkey"),
        (HEAD + NODE + "need = 1\n", "above the first one"),
        (HEAD + "need = 0\n" + NODE, "from 1 to 1"),
        (HEAD + "need = 2\n" + NODE, "from 1 to 1"),
        (HEAD + "need = true\n" + NODE, "from 1 to 1"),
        (HEAD + 'need = "1"\n' + NODE, "from 1 to 1"),
        (HEAD + "needs = 1\n" + NODE, "needs is unknown"),
        (HEAD + "trust_all = true\n" + NODE, "trust_all is unknown"),
        (HEAD.replace("world-chain", "World") + NODE, "chain_id"),
        (HEAD.replace('"world-chain"', "7") + NODE, "chain_id"),
        (HEAD.replace("world-chain", "ab") + NODE, "chain_id"),
        (HEAD.replace("ab" * 32, "ab" * 31) + NODE, "genesis"),
        (HEAD.replace("ab" * 32, "AB" * 32) + NODE, "genesis"),
        (HEAD.replace("ab" * 32, "ag" * 32) + NODE, "genesis"),
        (HEAD + NODE + "#" * 16384, "longer"),
    ],
)
def test_refused(text, says):
    with pytest.raises(DecodeError) as caught:
        decode_policy(text.encode())
    assert caught.value.code == 141
    assert says in caught.value.text


def test_not_utf8():
    with pytest.raises(DecodeError) as caught:
        decode_policy(b"format = '\xff'")
    assert caught.value.code == 141


def test_need_may_be_met_by_two_keys():
    policy = decode_policy((HEAD + "need = 2\n" + NODE + f'[[node]]\nvkey = "{OTHER}"\n').encode())
    assert policy.need == 2
    assert len(policy.nodes) == 2
