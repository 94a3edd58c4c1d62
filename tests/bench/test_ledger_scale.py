"""The filled ledger of the bench is one that the engine opens, proves from and goes on with, and that no replay could have made."""

import asyncio
from pathlib import Path

import pytest

from server.bench.ledger_scale import BLOCK_TXS, Filled, point_key, restart_seconds
from server.keystore import SigningKey
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.replay import replay_blocks
from shared import merkle, note, smt, state
from shared.errors import DecodeError

COUNT = 2 * BLOCK_TXS + 50


def test_a_filled_ledger_opens_proves_and_goes_on(tmp_path: Path) -> None:
    filled = Filled(tmp_path / "home", COUNT)
    config, node = filled.config, SigningKey.load(filled.config.key_path("node"))
    genesis = config.genesis_path.read_bytes()

    async def look(height: int) -> None:
        ledger = await EmbeddedLedger.open(config.home, genesis, node)
        assert ledger.height == height and ledger.published_size == ledger.log_size == COUNT + 3 + 2 * (height - 3)
        proof = ledger.prove([point_key(COUNT - 1), point_key(COUNT)])
        leaf = state.decode_block_leaf(proof.block_leaf)
        (value, member), (missing, absent) = proof.values
        smt.verify_member(leaf.state_root, point_key(COUNT - 1), value, member)
        smt.verify_absent(leaf.state_root, point_key(COUNT), absent)
        assert missing is None
        for place in (0, 23, 24, COUNT // 2, COUNT + 1):
            assert state.encode_receipt(state.decode_receipt(ledger.entry(place))) == ledger.entry(place)
        vkey = note.Vkey(ledger.origin, note.key_id_of(ledger.origin, node.raw), node.raw)
        checkpoint, _ = note.open_checkpoint(proof.checkpoint, [vkey])
        merkle.verify_inclusion(proof.leaf_index, checkpoint.size, merkle.leaf_hash(proof.block_leaf), proof.path, checkpoint.root)
        with pytest.raises(DecodeError, match="182"):
            replay_blocks(genesis, ledger.blocks())
        await ledger.close()

    asyncio.run(look(3))
    assert asyncio.run(restart_seconds(config)) > 0
    asyncio.run(look(4))


def test_an_update_adds_a_block_of_keys(tmp_path: Path) -> None:
    filled = Filled(tmp_path / "home", 100)
    before = filled._conn.execute("SELECT count(*) FROM state").fetchone()[0]
    assert filled.update_seconds() > 0
    assert filled._conn.execute("SELECT count(*) FROM state").fetchone()[0] == before + BLOCK_TXS
