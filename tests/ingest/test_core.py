"""From a message to its answer: what is logged, acked, refused, ignored or set aside."""

import asyncio
import contextlib
import threading
from pathlib import Path

import pytest

from server.evidence.admission import fail
from server.evidence.log import EvidenceLog
from shared import cbor, cose, note
from shared.errors import Unavailable
from shared.state import REVOKED, SUSPENDED
from shared.types import Refusal
from tests.evidence.backend import NODE, open_half
from tests.evidence.fleet import ORIGIN, Device, Sent

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def run(test):
    return asyncio.run(test)


def test_a_bundle_is_logged_and_acked(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings(5)
            ack = await half.ack(meter, sent)
            assert (ack.next_seq, ack.identity, ack.missing, ack.log_size) == (5, sent.identity, [], 1)
            assert half.log.reader.entry(0) == sent.statement
            vkey = note.Vkey(ORIGIN, note.key_id_of(ORIGIN, NODE.raw), NODE.raw)
            checkpoint, _ = note.open_checkpoint((tmp_path / "evidence-log/checkpoint").read_bytes(), [vkey])
            assert (checkpoint.size, checkpoint.root) == (1, half.log.reader.root())
            arrival = await half.store.arrival(0)
            assert arrival.rows() == cbor.decode(sent.envelope)[2] and arrival.height == 7 and arrival.table_known
            assert await half.kinds() == []

    run(story())


def test_one_round_gives_one_ack_for_many_bundles(tmp_path: Path) -> None:
    async def story() -> None:
        first, second = Device("m1"), Device("m2")
        async with open_half(tmp_path, first, second) as half:
            bundles = [first.readings(2) for _ in range(30)]
            await half.send(first, *bundles)
            (ack,) = half.replies()
            assert (ack.next_seq, ack.identity, ack.log_size) == (60, bundles[-1].identity, 30)
            assert (await half.ack(second, second.readings())).log_size == 31

    run(story())


def test_who_is_expected_when_not_everything_can_be_taken(tmp_path: Path) -> None:
    async def story() -> None:
        meter, stranger = Device("m1"), Device("stranger")
        async with open_half(tmp_path, meter) as half:
            expects = half.ingest.expects
            assert not expects(meter.topic()), "nothing of it came yet"
            await half.send(meter, meter.readings())
            assert expects(meter.topic()) and expects(meter.topic("hello"))
            await half.send(stranger, stranger.readings())
            for topic in (stranger.topic(), "meterproof/v1/x/y/bundle", "elsewhere", ""):
                assert not expects(topic)

    asyncio.run(story())


def test_duplicates_are_acked_again_and_logged_once(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            await half.ack(meter, sent, sent)
            ack = await half.ack(meter, sent)
            assert (ack.next_seq, ack.log_size) == (3, 1)
            assert half.ingest.counts["duplicates"] == 2

    run(story())


def test_reordered_bundles_end_in_the_same_ack(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            a, b, c, d = (meter.readings(10) for _ in range(4))
            ack = await half.ack(meter, a, d, c)
            assert (ack.next_seq, ack.identity, ack.missing) == (10, a.identity, [(10, 10)])
            ack = await half.ack(meter, b)
            assert (ack.next_seq, ack.identity, ack.missing) == (40, d.identity, [])
            assert await half.kinds() == []

    run(story())


def test_a_byte_flipped_by_the_broker_is_never_logged(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            for at in range(len(sent.envelope)):
                broken = bytearray(sent.envelope)
                broken[at] ^= 1 << at % 8
                await half.send(meter, bytes(broken))
            assert half.log.head.size == 0
            assert all(isinstance(reply, Refusal) and reply.code == 233 for reply in half.replies())
            assert (await half.ack(meter, sent)).next_seq == 3

    run(story())


def test_a_signature_turned_to_n_minus_s_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("secure", alg=cose.ES256)
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            parts = cbor.decode(sent.statement).value
            s = int.from_bytes(parts[3][32:], "big")
            parts[3] = parts[3][:32] + (P256_ORDER - s).to_bytes(32, "big")
            other = cbor.encode(cbor.Tagged(18, parts))
            envelope = cbor.decode(sent.envelope)
            await half.send(meter, cbor.encode([other, envelope[1], envelope[2]]))
            assert half.log.head.size == 0 and half.quarantine.counts == {201: 1} and half.replies() == []
            assert (await half.ack(meter, sent)).next_seq == 3

    run(story())


def test_rows_that_do_not_match_are_not_acked_and_refused_the_third_time(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            envelope = cbor.decode(sent.envelope)
            envelope[2][1][0][0] += 1
            wrong = cbor.encode(envelope)
            without_rows = cbor.encode([sent.statement, None, None])
            await half.send(meter, wrong)
            await half.send(meter, without_rows)
            assert half.replies() == [] and half.log.head.size == 0
            await half.send(meter, wrong)
            (refusal,) = half.replies()
            assert (refusal.code, refusal.identity, refusal.device) == (233, sent.identity, meter.id)
            assert (await half.ack(meter, sent)).identity == sent.identity, "the right rows are still welcome"
            await half.send(meter, wrong)
            assert half.replies() == [], "no node signs that it will not log what it has logged"

    run(story())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"status": REVOKED}, 322),
        ({"origin": "example.org/another/evidence"}, 324),
        ({"live": [(8, None)]}, 321),
    ],
)
def test_who_may_not_log_here_gets_a_signed_refusal(tmp_path: Path, change: dict, code: int) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            half.ledger.values[meter.id] = meter.value(**change)
            sent = meter.readings()
            await half.send(meter, sent)
            (refusal,) = half.replies()
            assert (refusal.origin, refusal.identity, refusal.code) == (ORIGIN, sent.identity, code)
            assert half.log.head.size == 0

    run(story())


def test_what_was_logged_before_a_revocation_is_acked_not_refused(tmp_path: Path) -> None:
    """Its ack got lost, so it comes again: no node signs that it will not log what it has logged."""

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            await half.ack(meter, sent)
            half.ledger.values[meter.id] = meter.value(status=REVOKED)
            again = await half.ack(meter, sent)
            assert (again.identity, again.log_size, half.log.head.size) == (sent.identity, 1, 1)
            await half.send(meter, meter.readings())
            (refusal,) = half.replies()
            assert isinstance(refusal, Refusal) and refusal.code == 322

    run(story())


def hold_rounds(log: EvidenceLog) -> tuple[threading.Event, threading.Event]:
    """No round of this log gets further than its entries before the second is set; the first is set when one came so far."""
    begun, gate = threading.Event(), threading.Event()
    real = log._tiles.write_tiles

    def write_tiles() -> None:
        begun.set()
        assert gate.wait(10)
        real()

    log._tiles.write_tiles = write_tiles
    return begun, gate


@pytest.mark.parametrize("in_round", [False, True])
def test_nothing_is_refused_while_its_first_copy_waits_for_the_log(tmp_path: Path, in_round: bool) -> None:
    """Let in, revoked before its round was over, sent again: the signed answer must be true when all is done."""

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            begun, gate = hold_rounds(half.log)
            sent = meter.readings()
            first = await half.ingest.accept(meter.topic(), sent.envelope)
            assert first is not None
            if in_round:
                assert await asyncio.to_thread(begun.wait, 10)
            half.ledger.values[meter.id] = meter.value(status=REVOKED)
            assert await half.ingest.accept(meter.topic(), sent.envelope) is None
            assert half.ingest.counts["undecided"] == 1 and half.log.head.size == 0
            gate.set()
            await first
            (ack,) = half.replies()
            assert ack.identity == sent.identity, "logged, acked and never refused"
            assert (await half.ack(meter, sent)).identity == sent.identity
            await half.send(meter, meter.readings())
            (refusal,) = half.replies()
            assert refusal.code == 322

    run(story())


def test_a_first_copy_that_could_not_be_logged_leaves_the_way_to_a_refusal(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            first = await half.ingest.accept(meter.topic(), sent.envelope)
            assert first is not None
            fail(half.log._queue, Unavailable(400, "no room"))
            half.log._queue.clear()
            await first
            half.ledger.values[meter.id] = meter.value(status=REVOKED)
            await half.send(meter, sent)
            (refusal,) = half.replies()
            assert refusal.code == 322 and half.log.head.size == 0

    run(story())


def test_rows_that_never_match_are_not_refused_while_a_right_copy_waits(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = meter.readings()
            wrong = bytearray(sent.envelope)
            wrong[-1] ^= 1
            for _ in range(3):
                await half.send(meter, bytes(wrong))
            (refusal,) = half.replies()
            assert refusal.code == 233
            _, gate = hold_rounds(half.log)
            first = await half.ingest.accept(meter.topic(), sent.envelope)
            assert first is not None
            await half.send(meter, bytes(wrong))
            assert half.replies() == [] and half.log.head.size == 0
            gate.set()
            await first
            (ack,) = half.replies()
            assert ack.identity == sent.identity

    run(story())


def test_a_suspended_device_gets_no_answer_until_it_is_resumed(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            half.ledger.values[meter.id] = meter.value(status=SUSPENDED)
            sent = meter.readings()
            await half.send(meter, sent)
            assert half.replies() == [] and half.log.head.size == 0 and half.ingest.counts["silent"] == 1
            half.ledger.values[meter.id] = meter.value(live=[(1, 3), (7, None)])
            assert (await half.ack(meter, sent)).next_seq == 3

    run(story())


def test_strangers_and_wrong_topics_go_to_quarantine_without_an_answer(tmp_path: Path) -> None:
    async def story() -> None:
        meter, stranger = Device("m1"), Device("stranger")
        async with open_half(tmp_path, meter) as half:
            await half.send(stranger, stranger.readings())
            await half.send(stranger, meter.readings())
            await half.ingest.handle(meter.topic(org=b"x" * 10), meter.readings().envelope)
            await half.ingest.handle("meterproof/v1/nonsense", b"")
            await half.ingest.handle(meter.topic("ack"), b"")
            await half.send(meter, b"\xff")
            assert half.replies() == [] and half.log.head.size == 0
            codes = [row["code"] for row in await half.quarantine.list()]
            assert codes == [103, 160, 160, 305, 246, 320]

    run(story())


def test_a_key_of_the_device_that_is_not_enrolled_is_a_stranger(tmp_path: Path) -> None:
    async def story() -> None:
        meter, thief = Device("m1"), Device("m1")
        thief.key = Device("thief").key
        async with open_half(tmp_path, meter) as half:
            await half.send(meter, thief.readings())
            assert half.replies() == [] and half.quarantine.counts == {320: 1}

    run(story())


def test_two_statements_for_one_sequence_are_both_logged(tmp_path: Path) -> None:
    async def story() -> None:
        meter, twin = Device("m1"), Device("m1")
        twin.registers = [0, 0]
        async with open_half(tmp_path, meter) as half:
            first, second = meter.readings(), twin.readings()
            await half.send(meter, first, second)
            assert half.log.head.size == 2
            (finding,) = [f for f in await half.store.findings() if f["kind"] == "equivocation"]
            assert finding["log_index"] == 1 and first.identity.hex() in finding["detail"]

    run(story())


def test_a_published_bundle_dropped_from_a_full_journal_is_a_gap_and_no_equivocation(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            a, b, c = (meter.readings(10) for _ in range(3))
            gap = meter.gap((10, 10, b.identity, 1))
            ack = await half.ack(meter, a, c, gap)
            assert (ack.next_seq, ack.identity, ack.missing) == (30, gap.identity, [])
            assert await half.kinds() == ["lost"]
            ack = await half.ack(meter, b)
            assert (ack.next_seq, ack.identity, ack.log_size) == (30, gap.identity, 4)
            assert await half.kinds() == ["lost", "lost-but-logged"]

    run(story())


def test_what_was_logged_and_acked_in_vain_may_be_named_lost(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            a, b = meter.readings(10), meter.readings(10)
            await half.ack(meter, a, b)
            ack = await half.ack(meter, meter.gap((10, 10, b.identity, 1)))
            assert ack.next_seq == 20
            assert await half.kinds() == ["lost", "lost-but-logged"]

    run(story())


def test_the_channel_table_is_found_in_evidence_once_and_kept(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
            await half.ack(meter, meter.readings())
            assert half.attestations.asked == 1
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
            assert half.attestations.asked == 0
            half.attestations.devices.clear()
            meter.table = cbor.encode({1: "x", 2: "y", 3: "SN-2", 4: "", 5: [["1.8.0", "import", "Wh", 0, "cumulative"]]})
            await half.ack(meter, meter.readings(), meter.readings())
            assert half.attestations.asked == 1, "what was not shown is not asked for again"
            assert await half.kinds() == ["channel-table-unknown", "channel-table-differs"]

    run(story())


def test_hello_and_evidence_are_passed_on(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.ingest.handle(meter.topic("hello"), b"hello")
            assert half.published == [(meter.topic("challenge"), b"challenge")]
            await half.ingest.handle(meter.topic("attest"), b"evidence")
            assert half.ingest.counts["attested"] == 1 and len(half.published) == 1

    run(story())


def test_a_full_queue_answers_nothing_and_promises_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        monkeypatch.setattr("server.evidence.log.QUEUE_MAX", 2)
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            sent = [meter.readings() for _ in range(4)]
            await half.send(meter, *sent)
            assert half.ingest.counts["unavailable"] == 2 and half.log.head.size == 2
            half.replies()
            ack = await half.ack(meter, *sent[2:])
            assert ack.next_seq == 12

    run(story())


def test_closing_the_log_leaves_what_waits_without_an_answer(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            answer = await half.ingest.accept(meter.topic(), meter.readings().envelope)
        with contextlib.suppress(asyncio.CancelledError):
            await answer
        assert half.replies() == []

    run(story())


def test_sent_is_what_the_second_encoder_would_send() -> None:
    sent = Device("m1").readings(2)
    assert isinstance(sent, Sent) and cbor.decode(sent.envelope)[2] == [60, [[1000, 10], [5000, 10]], 0]
