"""The journal after a power cut and a changed bit: no sequence and no boot is used twice, and device and backend come to an end together.

In: journals cut and damaged. Out: passes or failures. Every reading is then in the log or named lost, and nothing jams. `make test` changes
some bits of each kind of record, `make test-faults` every bit of a full journal.
"""

import copy
import random

import pytest

from edge import records
from edge.outbox import Outbox
from edge.recovery import was_whole
from server.evidence.chain import Chain, apply_statement
from shared.errors import Unavailable
from shared.types import Ack, Statement
from tests.device.damage import ASKED_FOR, Damage, bits_of, one_of_each, records_of
from tests.device.journal_model import Model, PowerCut, context_of, random_step
from tests.device.memory_flash import MemoryFlash
from tests.device.test_journal_cuts import OPERATIONS, bytes_of, full_model, is_cut, model_with

ROUNDS_MAX = 3000


class Backend:
    """What a node knows of a model's statements: first those acked before, in the order they were sealed."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.chain = Chain()
        self.log: list[bytes] = []
        self.covered: set[int] = set()
        for identity, (kind, first_seq, count, _) in model.sealed.items():
            if identity in model.gone:
                self.take(identity, kind, first_seq, count)

    def take(self, identity: bytes, kind: str, first_seq: int, count: int) -> Ack:
        if identity not in self.log:
            self.log.append(identity)
            lost = self.model.gap_lost.get(identity) if kind == "gap" else None
            readings = (0, first_seq, count, 0, 4, b"t", b"r") if kind == "readings" else (None,) * 7
            statement = Statement(kind, b"d", 1, self.model.previous[identity], b"f", 1, *readings, lost, None)
            apply_statement(self.chain, statement, identity)
            if kind == "readings":
                self.covered.update(range(first_seq, first_seq + count))
            for item in lost or ():
                self.covered.update(range(item.first_seq, item.first_seq + item.count))
        chain = self.chain
        return Ack("o", b"d", chain.next_seq, chain.head_identity, chain.missing(), len(self.log))


def seal_everything(model: Model) -> None:
    journal = model.journal
    while journal.losses:
        model.seal_gap()
    while journal.groups:
        try:
            journal.readings(journal.groups[0].first_seq, min(journal.groups[0].count, 20))
        except Unavailable:
            journal.give_up(journal.groups[0])
        else:
            model.seal()


def run_to_the_end(model: Model) -> None:
    """The device seals and sends all it has; both sides must come to rest, with every reading logged or named lost."""
    journal, backend, outbox = model.journal, Backend(model), Outbox(model.journal)
    now_ms = 0
    for _ in range(ROUNDS_MAX):
        now_ms += 20
        seal_everything(model)
        entry = outbox.pick(now_ms)
        if entry is None and journal.pending_count():
            now_ms += outbox.wait_ms
            continue
        if entry is None:
            missing = {seq for seq in model.taken if seq not in backend.covered and seq < backend.chain.high_seq}
            assert not missing, f"neither logged nor named lost: {sorted(missing)[:5]}"
            return
        outbox.apply_sent(entry.identity, now_ms)
        try:
            journal.statement(entry.identity)
            journal.readings(entry.first_seq, entry.count)
        except Unavailable:
            journal.set_aside(entry.identity, 232)
            continue
        kind, first_seq, count, _ = model.sealed.get(entry.identity, (entry.kind, entry.first_seq, entry.count, b""))
        outbox.apply_ack(backend.take(entry.identity, kind, first_seq, count), now_ms)
        if model.random.randrange(4) == 0:
            model.take()  # readings go on: what is asked for twice is so over a growing log
    raise AssertionError("it never ends: the journal is jammed")


def restart_with(model: Model, bit: int) -> bool:
    """Changes a bit and starts; False when the flash told so little that the device rightly refuses to run."""
    model.flash.content[bit // 8] ^= 1 << bit % 8
    try:
        model.restart()
    except Unavailable as error:
        assert error.code == 421
        return False
    if model.trying and model.journal.next_seq > model.trying[0]:
        model.taken[model.trying[0]] = model.trying[1]
    model.trying = None
    assert all(seq < model.journal.next_seq for seq in model.taken), "a sequence would be used twice"
    return True


@pytest.mark.parametrize("seed", range(60))
def test_cut_and_flip_anywhere(seed: int) -> None:
    model = Model(MemoryFlash(5), seed)
    model.flash.cut_after_bytes = model.random.randrange(500, 40_000)
    try:
        while True:
            random_step(model)
    except PowerCut:
        pass
    if restart_with(model, model.random.randrange(8 * len(model.flash.content))):
        for _ in range(60):
            random_step(model)
        run_to_the_end(model)


@pytest.mark.parametrize("operation", ["take", "seal", "free", "gap", "boot", "clock"])
def test_every_cut_with_a_flip_in_the_sectors_at_work(operation: str) -> None:
    """All cuts of each operation, each with some bits changed: in the records around the cut, and in headers."""
    model = model_with(75)
    model.take()
    if operation == "gap":
        model.journal.lose(0, 3, None, 2)
    random.seed(operation)
    cut_after_bytes = 0
    while True:
        trial = copy.deepcopy(model)
        trial.flash.cut_after_bytes = cut_after_bytes
        try:
            OPERATIONS[operation](trial)
        except PowerCut:
            pass
        else:
            break
        ring = trial.journal.ring
        end = ring.head * 4096 + ring.offset
        near = random.randrange(max(0, end - 40), end + 10)
        for place in (near, ring.head * 4096 + random.randrange(72), random.randrange(ring.sectors * 4096)):
            again = copy.deepcopy(trial)
            if restart_with(again, 8 * place + random.randrange(8)):
                again.take()
                again.seal()
                again.take()
        cut_after_bytes += 1
    assert cut_after_bytes > 0


def test_every_bit_of_the_last_record() -> None:
    """It is told apart from a torn one: its sequence and its statement were there and are not used again."""
    for last in ("take", "seal"):
        model = model_with(30)
        start = model.journal.ring.head * 4096 + model.journal.ring.offset
        OPERATIONS[last](model)
        end = model.journal.ring.head * 4096 + model.journal.ring.offset
        assert end - start > 5
        for bit in range(8 * start, 8 * end):
            trial = copy.deepcopy(model)
            if restart_with(trial, bit):
                trial.take()
                trial.seal()


def test_torn_is_not_taken_for_damaged() -> None:
    """Every cut of a record leaves it torn, so that nothing is skipped without need."""
    for record in (records.build_short(b"abcdefgh", False), records.build_boot(7), records.build_context(context_of(3))):
        taken_for_whole = 0
        for length in range(1, len(record)):
            sector = bytearray(b"\xff" * 4096)
            sector[100 : 100 + length] = record[:length]
            assert records.read_frame(sector, 100).kind == records.TORN
            taken_for_whole += was_whole(sector, 100)
        # A prefix that a changed bit makes whole is possible, with a checksum of 16 bits, and only costs a skip.
        assert taken_for_whole <= 1


@pytest.mark.parametrize("bit", range(8))
def test_one_changed_flag_bit_forgets_no_statement(bit: int) -> None:
    model = model_with(40)
    pending = [entry.identity for entry in model.journal.pending()]
    model.flash.content[model.journal.index[0] + 3] ^= 1 << bit
    model.restart()
    assert [entry.identity for entry in model.journal.pending()] == pending


def test_a_blank_sector_that_changed_is_erased_before_use() -> None:
    """A bit in a sector not yet used, or in the header of one that is: the ring goes round without writing over anything."""
    for place in (3 * 4096 + 500, 2 * 4096 + 500, 10):
        model = model_with(600)
        model.flash.content[place] ^= 0x10
        model.restart()
        for _ in range(1500):
            model.take()
        assert len(set(model.journal.ring.alive())) >= 4


def test_unreadable_readings_are_given_up() -> None:
    """Damage that shows only after the start: a bundle is named lost when it is to be sent, an unsealed group when it is to be sealed."""
    model = model_with(20)
    for _ in range(5):
        model.take()
    journal = model.journal
    context = 72 + len(records.build_boot(1))
    model.flash.content[context + 10] ^= 1
    journal.ring._loaded = -1
    entry = next(iter(journal.pending()))
    with pytest.raises(Unavailable):
        journal.envelope(entry.identity)
    journal.set_aside(entry.identity, 232)
    group = journal.groups[0]
    journal.give_up(group)
    assert journal.groups == []
    assert [item.record[1:4] for item in journal.losses.items] == [(0, 20, entry.identity), (20, 5, None)]
    assert model.take() is None
    assert journal.groups[0].first_seq == 25


# --- every bit of a full journal that has gone round


KINDS = {"header", "context", "lost", "short reading", "blank", "readings statement", "gap statement", "time-repair statement"}


def worn_model() -> Model:
    """Full, with every kind of record on it, long readings and boots too, and readings not yet sealed."""
    model = full_model()
    for big in (1 << 60, -(1 << 60)):
        model.take_of([big, None] + [-big, big] * 4)
    model.start()
    model.take()
    return model


def test_bits_of_each_kind_of_record() -> None:
    model = worn_model()
    damage = Damage(model)
    found = one_of_each(model)
    assert {record.name for record in found} == KINDS | {"boot", "long reading"}
    damage.flip_all(found, 11)
    assert damage.bits > 400
    assert damage.unknown == 0
    assert len(damage.conclusions) >= len(found)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_bit(part: int) -> None:
    """Three sectors of records, one blank; two bits of a sector's header alone can hide it, and then the next header tells."""
    model = worn_model()
    damage = Damage(model)
    found = list(records_of(model))[part::8]
    damage.flip_all(found, 1)
    assert damage.bits > 7000
    assert damage.unknown == 0
    assert len(damage.conclusions) >= len(found) - 1


def test_the_only_sector_cannot_be_guessed_from() -> None:
    """With one sector, nothing else tells how far it went: the start refuses, and erases nothing."""
    model = model_with(30)
    damage = Damage(model)
    header = next(record for record in records_of(model) if record.name == "header")
    for bit in bits_of(header, 13):
        damage.flip(header, bit)
    assert damage.unknown == damage.bits > 40


def flip_in_use(model: Model, bit: int) -> None:
    """The journal runs on; what it holds in memory was right, what it reads now is not."""
    model.flash.content[bit // 8] ^= 1 << bit % 8
    model.journal.ring._loaded = -1
    run_to_the_end(model)


def test_bits_changed_while_in_use() -> None:
    model = worn_model()
    tried = 0
    for record in one_of_each(model):
        for bit in bits_of(record, 149):
            flip_in_use(model.copy(), bit)
            tried += 1
    assert tried > 40


@pytest.mark.parametrize("kind", ["readings statement", "gap statement", "time-repair statement"])
def test_the_kind_of_a_statement_changed_while_in_use(kind: str) -> None:
    """It is read again and again, unchecked, when the order of what is pending matters."""
    model = full_model()
    record = next(r for r in records_of(model) if r.name == kind and r.start in model.journal.index)
    for bit in range(8):
        flip_in_use(model.copy(), 8 * (record.start + 8) + bit)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_more_bits_changed_while_in_use(part: int) -> None:
    model = worn_model()
    tried = 0
    for record in one_of_each(model):
        for bit in bits_of(record, 5)[part::4]:
            flip_in_use(model.copy(), bit)
            tried += 1
    assert tried > 200


def test_a_cut_while_a_start_writes_down_the_damage() -> None:
    """A bit of each kind of record, then the supply fails at bytes of the start that finds it, then a start finds both."""
    model = worn_model()
    tried = 0
    for record in one_of_each(model):
        if record.name == "blank":
            continue
        damaged = model.copy()
        damaged.flash.content[(record.start + record.end) // 2] ^= 0x10
        last = bytes_of(damaged, "boot")
        for place in range(0, last, 1 + last // 7):
            trial = damaged.copy()
            assert is_cut(trial, "boot", place)
            trial.restart()
            trial.check_reported(record.name not in ASKED_FOR)
            run_to_the_end(trial)
            tried += 1
    assert tried > 50


@pytest.mark.parametrize("seed", range(8))
def test_two_bits_in_two_sectors(seed: int) -> None:
    """More than is promised; still nothing that can be read is another reading or statement, and no error but 421 escapes."""
    model = worn_model()
    model.random.seed(seed)
    for _ in range(12):
        trial = model.copy()
        for sector in model.random.sample(range(trial.flash.sectors), 2):
            trial.flash.content[sector * 4096 + model.random.randrange(4096)] ^= 1 << model.random.randrange(8)
        try:
            trial.restart()
        except Unavailable as error:
            assert error.code == 421
            continue
        trial.check_reported(complete=False)
