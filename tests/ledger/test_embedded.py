"""The embedded engine: submit, blocks, committed reads, proofs, restart, publication, limits."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.evidence.tiles import TileReader
from server.ledger import publish
from server.ledger.engines import embedded
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.publish import TilePublisher
from server.ledger.replay import replay_blocks
from server.ledger.transactions import build_tx
from shared import cbor, cose, merkle, note, smt, state
from shared.errors import MeterproofError, RuleError, Unavailable, VerifyError
from tests.ledger.world import ADMIN, CHAIN, GENESIS, INSTALLER, NODE, ORG, ORIGIN, TIME_S, VALIDATORS, key_of, readings

VKEY = note.decode_vkey(note.encode_vkey("meterproof.ledger/" + CHAIN, NODE.raw))
Scenario = Callable[[EmbeddedLedger], Awaitable[None]]


def point(nonce: int = 0, key=ADMIN, name: str = "roof") -> bytes:
    return build_tx(key, CHAIN, ORG, nonce, "point.create", {1: name, 2: None, 3: "UTC"})


def run(home: Path, scenario: Scenario, **options) -> EmbeddedLedger:
    """Opens the ledger, runs it beside the scenario, closes it."""

    async def main() -> EmbeddedLedger:
        ledger = await EmbeddedLedger.open(home, GENESIS, NODE, **options)
        async with asyncio.TaskGroup() as group:
            group.create_task(ledger.run())
            try:
                await scenario(ledger)
            finally:
                await ledger.close()
        return ledger

    return asyncio.run(main())


def refused(code: int):
    return pytest.raises(MeterproofError, match=rf"{code}\)$")


def test_a_receipt_comes_after_the_durable_block(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        assert (ledger.height, ledger.log_size, ledger.app_hash, ledger.time_s) == (0, 0, merkle.EMPTY_ROOT, TIME_S)
        receipt = await ledger.submit(point())
        assert (receipt.height, receipt.index, receipt.code) == (1, 0, 0)
        assert ledger.receipt(receipt.identity) == receipt
        assert (ledger.height, ledger.log_size, ledger.nonce(ADMIN.kid)) == (1, 2, 1)
        assert [value.name for _, value in ((key, ledger.point(cbor.decode(key)[1])) for key, _ in ledger.page("point"))] == ["roof"]
        assert ledger.receipt(b"?" * 32) is None

    run(tmp_path, scenario)


def test_pages_of_one_kind_in_order(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(7)))
        whole = ledger.page("point")
        assert len(whole) == 7 and whole == sorted(whole) and {cbor.decode(key)[0] for key, _ in whole} == {"point"}
        for limit in (1, 3, 7, 8):
            found, after = [], b""
            while page := ledger.page("point", after=after, limit=limit):
                assert len(page) <= limit
                found, after = found + page, page[-1][0]
            assert found == whole
        assert ledger.page("point", after=state.key_key(b"")) == whole, "a key of another kind before them"
        assert ledger.page("point", after=b"\xff") == [] and ledger.page("device") == []
        assert [cbor.decode(key)[1] for key, _ in ledger.page("log", ORIGIN)] == [ORIGIN] and ledger.page("log", "other") == []

    run(tmp_path, scenario)


def test_what_is_refused_changes_nothing(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        await ledger.submit(point())
        before = (ledger.height, ledger.app_hash, ledger.nonce(ADMIN.kid))
        for data, code in (
            (b"junk", 180),
            (point(0), 300),
            (point(7), 300),
            (point(0, key_of("stranger")), 200),
            (build_tx(ADMIN, "other", ORG, 1, "key.revoke", {1: ADMIN.kid}), 241),
            (build_tx(ADMIN, CHAIN, ORG, 1, "key.revoke", {1: ADMIN.kid}), 304),
            (build_tx(INSTALLER, CHAIN, ORG, 0, "key.revoke", {1: ADMIN.kid}), 301),
        ):
            with refused(code):
                await ledger.submit(data)
        assert (ledger.height, ledger.app_hash, ledger.nonce(ADMIN.kid)) == before

    run(tmp_path, scenario)


def test_what_waits_together_shares_a_block(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        receipts = await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(50)))
        assert [receipt.index for receipt in receipts] == list(range(50))
        assert ledger.height == 1 and ledger.log_size == 51

    run(tmp_path, scenario)


def test_blocks_keep_their_distance_and_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "BLOCK_TXS", 3)

    async def scenario(ledger: EmbeddedLedger) -> None:
        start = time.monotonic()
        receipts = await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(10)))
        assert [receipt.height for receipt in receipts] == [1, 1, 1, 2, 2, 2, 3, 3, 3, 4]
        assert time.monotonic() - start >= 3 * embedded.BLOCK_INTERVAL_S

    run(tmp_path, scenario)


def test_a_block_is_cut_by_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "BLOCK_BYTES", 500)

    async def scenario(ledger: EmbeddedLedger) -> None:
        receipts = await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(5)))
        assert [receipt.height for receipt in receipts] == [1, 1, 2, 2, 3]

    run(tmp_path, scenario)


def test_too_many_waiting_are_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "WAITING_MAX", 4)

    async def scenario(ledger: EmbeddedLedger) -> None:
        results = await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(6)), return_exceptions=True)
        assert [getattr(result, "code", None) for result in results] == [0, 0, 0, 0, 420, 420]
        assert (await ledger.submit(point(4))).code == 0

    run(tmp_path, scenario)


def test_block_time_never_falls(tmp_path: Path) -> None:
    clock = iter([TIME_S - 100, TIME_S + 50, TIME_S + 20])

    async def scenario(ledger: EmbeddedLedger) -> None:
        times = []
        for nonce in range(3):
            await ledger.submit(point(nonce))
            times.append(ledger.time_s)
        assert times == [TIME_S, TIME_S + 50, TIME_S + 50]

    run(tmp_path, scenario, now_s=lambda: next(clock))


def test_a_long_queue_is_rechecked_when_its_overlay_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "CHECKED_VALUES_MAX", 5)
    monkeypatch.setattr(embedded, "BLOCK_TXS", 2)

    async def scenario(ledger: EmbeddedLedger) -> None:
        receipts = await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(9)))
        assert [receipt.code for receipt in receipts] == [0] * 9
        assert ledger.next_nonce(ADMIN.kid) == ledger.nonce(ADMIN.kid) == 9

    run(tmp_path, scenario)


def test_the_next_nonce_counts_what_waits(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        task = asyncio.create_task(ledger.submit(point(0)))
        await asyncio.sleep(0)
        assert (ledger.nonce(ADMIN.kid), ledger.next_nonce(ADMIN.kid)) == (0, 1)
        await task
        assert (ledger.nonce(ADMIN.kid), ledger.next_nonce(ADMIN.kid)) == (1, 1)

    run(tmp_path, scenario)


def test_a_caller_that_goes_away_does_not_take_its_transaction_along(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        task = asyncio.create_task(ledger.submit(point(0)))
        await asyncio.sleep(0)
        task.cancel()
        assert (await ledger.submit(point(1))).index == 1

    run(tmp_path, scenario)


# --- proofs


def test_a_proof_is_of_one_committed_block_and_anybody_can_check_it(tmp_path: Path) -> None:
    keys = [state.PARAMS_KEY, state.org_key(ORG), state.device_key(b"\x01" * 17), state.nonce_key(ADMIN.kid)]

    async def scenario(ledger: EmbeddedLedger) -> None:
        for nonce in range(5):
            await asyncio.gather(*(ledger.submit(point(nonce * 7 + i)) for i in range(7)))
            proof = ledger.prove(keys)
            checkpoint, signers = note.open_checkpoint(proof.checkpoint, [VKEY])
            assert signers == [VKEY]
            assert (checkpoint.size, checkpoint.root) == (proof.log_size, ledger.app_hash)
            merkle.verify_inclusion(proof.leaf_index, checkpoint.size, merkle.leaf_hash(proof.block_leaf), proof.path, checkpoint.root)
            leaf = state.decode_block_leaf(proof.block_leaf)
            assert (leaf.height, leaf.chain_id, leaf.index) == (ledger.height, CHAIN, proof.leaf_index)
            assert state.decode_params(proof.params).format == 1
            for key, (value, path) in zip(keys, proof.values, strict=True):
                if value is None:
                    smt.verify_absent(leaf.state_root, key, path)
                else:
                    smt.verify_member(leaf.state_root, key, value, path)
            assert [value is None for value, _ in proof.values] == [False, False, True, False]
            assert proof.values[3][0] == cbor.encode(nonce * 7 + 7)

    run(tmp_path, scenario)


def test_before_the_first_block_nothing_can_be_proven(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        with refused(400):
            ledger.prove([state.PARAMS_KEY])
        with refused(400):
            ledger.checkpoint()

    run(tmp_path, scenario)


def test_a_value_changed_behind_our_back_is_not_proven(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        await ledger.submit(point())
        await ledger._conn.execute("UPDATE state SET value = x'00' WHERE key = ?", (state.org_key(ORG),))
        with refused(271):
            ledger.prove([state.org_key(ORG)])
        ledger.prove([state.PARAMS_KEY])

    run(tmp_path, scenario)


def test_checkpoints_grow_consistently(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        old = None
        for nonce in range(6):
            await ledger.submit(point(nonce))
            new, _ = note.open_checkpoint(ledger.checkpoint(), [VKEY])
            if old is not None:
                merkle.verify_consistency(old.size, new.size, ledger.consistency_path(old.size, new.size), old.root, new.root)
            old = new

    run(tmp_path, scenario)


# --- restart


async def six_points(ledger: EmbeddedLedger) -> None:
    for nonce in range(3):
        await asyncio.gather(ledger.submit(point(2 * nonce)), ledger.submit(point(2 * nonce + 1)))


def test_a_restart_goes_on_without_replaying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(tmp_path, six_points)
    head = (first.height, first.app_hash, first.log_size)
    monkeypatch.setattr("server.ledger.core.decode_tx", lambda data: pytest.fail("replayed"))

    async def scenario(ledger: EmbeddedLedger) -> None:
        assert (ledger.height, ledger.app_hash, ledger.log_size) == head
        monkeypatch.undo()
        assert ledger.nonce(ADMIN.kid) == 6
        receipt = await ledger.submit(point(6))
        assert receipt.height == 4
        assert replay_blocks(GENESIS, ledger.blocks()).head == ledger._core.head

    run(tmp_path, scenario)


def test_two_nodes_that_see_the_same_blocks_agree(tmp_path: Path) -> None:
    ledgers = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ledgers.append(run(tmp_path / name, six_points, now_s=lambda: TIME_S + 5))
    assert ledgers[0].app_hash == ledgers[1].app_hash and ledgers[0].log_size == 9


def test_another_genesis_is_refused(tmp_path: Path) -> None:
    run(tmp_path, six_points)
    fields = cbor.decode(GENESIS)
    with refused(242):
        asyncio.run(EmbeddedLedger.open(tmp_path, cbor.encode({**fields, 2: 5}), NODE))
    with refused(181):
        asyncio.run(EmbeddedLedger.open(tmp_path, b"junk", NODE))


def test_checkpoints_need_an_ed25519_key(tmp_path: Path) -> None:
    with refused(430):
        asyncio.run(EmbeddedLedger.open(tmp_path, GENESIS, key_of("chip", cose.ES256)))


def test_damage_is_noticed_when_opening(tmp_path: Path) -> None:
    async def damage(ledger: EmbeddedLedger) -> None:
        await six_points(ledger)
        await ledger._conn.execute("UPDATE log_node SET hash = zeroblob(32)")

    run(tmp_path, damage)
    with refused(271):
        asyncio.run(EmbeddedLedger.open(tmp_path, GENESIS, NODE))


def test_two_processes_do_not_both_write(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        other = await EmbeddedLedger.open(tmp_path, GENESIS, NODE, publisher=Nowhere())
        running = asyncio.create_task(other.run())
        await ledger.submit(point(0))
        with refused(400):
            await other.submit(point(0, INSTALLER))
        await other.close()
        await running
        assert (await ledger.submit(point(1))).height == 2

    run(tmp_path, scenario)


def test_closing_commits_what_waits_and_takes_no_more(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE)
        running = asyncio.create_task(ledger.run())
        tasks = [asyncio.create_task(ledger.submit(point(nonce))) for nonce in range(3)]
        await asyncio.sleep(0)
        await ledger.close()
        assert [receipt.code for receipt in await asyncio.gather(*tasks)] == [0, 0, 0]
        assert ledger.published_size == 4
        with refused(400):
            await ledger.submit(point(3))
        await running

    asyncio.run(main())


def test_a_ledger_that_never_ran_answers_its_callers(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE)
        task = asyncio.create_task(ledger.submit(point(0)))
        await asyncio.sleep(0)
        await ledger.close()
        with refused(400):
            await task

    asyncio.run(main())


def test_closed_before_it_ran_it_does_not_run(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE)
        running = asyncio.create_task(ledger.run())
        await ledger.close()
        await running
        with refused(400):
            await ledger.submit(point(0))

    asyncio.run(main())


def test_cancelling_the_run_answers_its_callers(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE)
        running = asyncio.create_task(ledger.run())
        await asyncio.sleep(0)
        task = asyncio.create_task(ledger.submit(point(0)))
        await asyncio.sleep(0)
        running.cancel()
        with refused(400):
            await task
        await ledger.close()

    asyncio.run(main())


# --- publication


class Nowhere:
    """A publisher that keeps what it is given."""

    def __init__(self) -> None:
        self.entries: list[bytes] = []
        self.size = 0

    @property
    def appended(self) -> int:
        return len(self.entries)

    def append(self, entries) -> None:
        self.entries.extend(entries)

    def publish(self, checkpoint: bytes) -> None:
        found, _ = note.open_checkpoint(checkpoint, [VKEY])
        assert found.size == len(self.entries)
        self.size = found.size


def published(home: Path) -> tuple[note.Checkpoint, TileReader]:
    checkpoint, _ = note.open_checkpoint((home / "ledger-log" / "checkpoint").read_bytes(), [VKEY])
    return checkpoint, TileReader(home / "ledger-log", checkpoint.size)


def test_the_log_is_published_as_tiles(tmp_path: Path) -> None:
    ledger = run(tmp_path, six_points)
    checkpoint, reader = published(tmp_path)
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (ledger.origin, 9, ledger.app_hash)
    assert reader.root() == checkpoint.root
    assert state.decode_receipt(reader.entry(0)).height == 1 and state.decode_block_leaf(reader.entry(8)).height == 3


def test_a_lost_publication_is_made_again(tmp_path: Path) -> None:
    run(tmp_path, six_points)
    first = published(tmp_path)[0]
    shutil.rmtree(tmp_path / "ledger-log")

    async def wait(ledger: EmbeddedLedger) -> None:
        assert ledger.published_size == 0
        while ledger.published_size < 9:
            await asyncio.sleep(0.01)

    run(tmp_path, wait)
    assert published(tmp_path)[0] == first


def test_more_published_than_held_is_an_old_copy(tmp_path: Path) -> None:
    run(tmp_path, six_points)
    for path in tmp_path.glob("ledger.sqlite*"):
        path.unlink()
    with refused(271):
        asyncio.run(EmbeddedLedger.open(tmp_path, GENESIS, NODE))


def test_a_full_disk_delays_publication_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PUBLISH_RETRY_S", 0.01)
    failures = [OSError(28, "No space left on device")] * 3
    publisher = TilePublisher(tmp_path / "ledger-log")
    write = publish.write_file

    def failing(path: Path, data: bytes) -> None:
        if failures:
            raise failures.pop()
        write(path, data)

    monkeypatch.setattr(publish, "write_file", failing)

    async def scenario(ledger: EmbeddedLedger) -> None:
        assert (await ledger.submit(point(0))).code == 0
        while ledger.published_size < 2:
            await asyncio.sleep(0.01)
        assert failures == []
        await ledger.submit(point(1))

    run(tmp_path, scenario, publisher=publisher)
    assert published(tmp_path)[0].size == 4


def test_a_checkpoint_over_other_entries_is_not_published(tmp_path: Path) -> None:
    publisher = TilePublisher(tmp_path / "log")
    publisher.append([b"an entry"])
    text = note.encode_checkpoint(note.Checkpoint(VKEY.name, 1, merkle.leaf_hash(b"another")))
    with pytest.raises(VerifyError) as caught:
        publisher.publish(note.sign_note(text, VKEY.name, NODE.raw, NODE.sign))
    assert caught.value.code == 271 and publisher.size == 0
    assert not (tmp_path / "log" / "checkpoint").exists()


def test_a_failed_tile_write_begins_again_at_the_published_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publisher = TilePublisher(tmp_path / "log")
    with monkeypatch.context() as patch:
        patch.setattr("server.evidence.tiles.TileWriter._store", lambda self, files: (_ for _ in ()).throw(OSError(28, "full")))
        with pytest.raises(OSError, match="full"):
            publisher.append([b"an entry"])
    assert publisher.appended == 0
    publisher.append([b"an entry"])
    text = note.encode_checkpoint(note.Checkpoint(VKEY.name, 1, merkle.leaf_hash(b"an entry")))
    publisher.publish(note.sign_note(text, VKEY.name, NODE.raw, NODE.sign))
    assert publisher.size == publisher.appended == 1


def test_many_entries_are_published_in_rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "ROUND_ENTRIES_MAX", 4)
    nowhere = Nowhere()

    async def scenario(ledger: EmbeddedLedger) -> None:
        await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in range(10)))

    ledger = run(tmp_path, scenario, publisher=nowhere)
    assert nowhere.size == ledger.log_size == 11
    assert merkle.root([merkle.leaf_hash(entry) for entry in nowhere.entries]) == ledger.app_hash


# --- the embedded node anchors and votes alone


def test_batches_and_votes_through_the_engine(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        leaf = merkle.leaf_hash(readings("d"))
        await ledger.submit(build_tx(NODE, CHAIN, ORG, 0, "batch", {1: ORIGIN, 2: 0, 3: 1, 4: leaf, 5: []}))
        batch = ledger.batch(ORIGIN, 0)
        assert batch is not None and ledger.log(ORIGIN).batches == 1 and ledger.batch(ORIGIN, 1) is None
        for name in ("v1", "v2"):
            await ledger.submit(build_tx(VALIDATORS[name], CHAIN, ORG, 0, "vote", {1: ORIGIN, 2: 0, 3: leaf, 4: []}))
        state.check_counts(ledger.batch(ORIGIN, 0), 0)
        assert [number for key, _ in ledger.page("batch", ORIGIN) for number in [cbor.decode(key)[2]]] == [0]
        assert len(ledger.validators()) == 3 and ledger.key(NODE.kid).roles == ("node",)
        assert ledger.org(ORG).founding and ledger.firmware(b"?" * 32) is None and ledger.device(b"\x01" * 17) is None

    run(tmp_path, scenario)


# --- storage errors


def test_a_store_that_refuses_changes_nothing_and_recovers(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        await ledger.submit(point(0))
        head = ledger._core.head
        execute, connection = ledger._conn.executemany, ledger._conn

        async def full(sql: str, rows) -> None:
            if "entry" in sql:
                raise sqlite3.OperationalError("database or disk is full")
            await execute(sql, rows)

        connection.executemany = full
        results = await asyncio.gather(*(ledger.submit(point(nonce)) for nonce in (1, 2, 3)), return_exceptions=True)
        assert [type(result) for result in results] == [Unavailable] * 3
        assert ledger._core.head == head and ledger.next_nonce(ADMIN.kid) == 1
        connection.executemany = execute
        assert (await ledger.submit(point(1))).height == 2

    run(tmp_path, scenario)


def test_an_error_of_ours_stops_the_run_and_answers_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        ledger = await EmbeddedLedger.open(tmp_path, GENESIS, NODE)
        running = asyncio.create_task(ledger.run())
        monkeypatch.setattr(ledger._core, "apply_block", lambda *_: (_ for _ in ()).throw(VerifyError(271, "broken")))
        with refused(400):
            await ledger.submit(point(0))
        with pytest.raises(ExceptionGroup):
            await running
        await ledger.close()

    asyncio.run(main())


def test_rule_errors_are_raised_as_they_are(tmp_path: Path) -> None:
    async def scenario(ledger: EmbeddedLedger) -> None:
        with pytest.raises(RuleError) as caught:
            await ledger.submit(build_tx(ADMIN, CHAIN, ORG, 0, "key.revoke", {1: ADMIN.kid}))
        assert caught.value.text == "an organization keeps its last admin"

    run(tmp_path, scenario)
