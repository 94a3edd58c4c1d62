"""The journal after a power cut at any byte: nothing promised is forgotten, no sequence or boot is used twice.

In: operations of a journal on NOR flash whose supply fails. Out: passes or failures. Cut is every byte written or erased by each operation,
by a full journal that makes room, and by the recovery from a cut before; an erase may stop in four ways. `make test` tries the bytes
that differ from their neighbours, `make test-faults` all of them.
"""

import pytest

from edge.flash import SECTOR_BYTES
from edge.records import HEADER_BYTES
from tests.device.journal_model import Model, PowerCut, random_step
from tests.device.memory_flash import TEARS, MemoryFlash

OPERATIONS = {
    "take": lambda model: model.take(),
    "seal": lambda model: model.seal(),
    "free": lambda model: model.free(2),
    "gap": lambda model: model.seal_gap(),
    "repair": lambda model: model.seal_repair(),
    "refused": lambda model: model.set_aside(321),
    "rows refused": lambda model: model.set_aside(233),
    "boot": lambda model: model.start(),
    "clock": lambda model: (setattr(model, "clock", 2), model.take()),
}
BYTES_WRITTEN = {"take": 8, "seal": 140, "free": 2, "repair": 140, "refused": 1, "rows refused": 30, "boot": 10, "clock": 80}


def is_cut(model: Model, operation: str, cut_after_bytes: int) -> bool:
    """Runs an operation with the supply failing after so many bytes; False when it needs fewer."""
    model.flash.cut_after_bytes = cut_after_bytes
    try:
        OPERATIONS[operation](model)
    except PowerCut:
        return True
    return False


def go_on(model: Model) -> None:
    """Starts, checks, works on and checks again."""
    model.restart()
    model.check()
    model.take()
    model.seal()
    model.take()
    model.check()


def places(last: int, step: int) -> list[int]:
    """Every byte with step 1; else those at both ends and every so many between: the middle of an erase looks the same everywhere."""
    if step == 1 or last < 200:
        return list(range(last))
    ends = {*range(HEADER_BYTES + 8), *range(last - 12, last)}
    for sector_end in range(SECTOR_BYTES, last, SECTOR_BYTES):
        ends.update(range(sector_end - 4, sector_end + 8))
    return sorted(place for place in {*ends, *range(0, last, step)} if 0 <= place < last)


def bytes_of(model: Model, operation: str) -> int:
    """How many bytes the whole operation programs and erases."""
    trial = model.copy()
    trial.flash.cut_after_bytes = 1 << 40
    OPERATIONS[operation](trial)
    return (1 << 40) - trial.flash.cut_after_bytes


def cut_everywhere(model: Model, operation: str, step: int = 1) -> int:
    """Runs the operation with the supply failing after every byte of it; gives how many bytes it has."""
    last = bytes_of(model, operation)
    for place in places(last, step):
        trial = model.copy()
        assert is_cut(trial, operation, place)
        go_on(trial)
    return last


def model_with(readings: int, sectors: int = 6) -> Model:
    model = Model(MemoryFlash(sectors))
    for i in range(readings):
        model.take()
        if i % 20 == 19:
            model.seal()
    return model


def full_model(sectors: int = 4) -> Model:
    """Gone round several times, nothing acked: the next reading opens a sector and empties the oldest, while gap and repair statements
    are carried along and losses are not yet named."""
    model = Model(MemoryFlash(sectors))
    while model.flash.erases < 2 * sectors:
        random_step_unacked(model)
    while True:
        if model.journal.ring.room_bytes() < 16:
            trial = model.copy()
            trial.take()
            if trial.flash.erases > model.flash.erases and trial.journal.gaps and len(trial.journal.losses):
                return model
        random_step_unacked(model)


def random_step_unacked(model: Model) -> None:
    die = model.random.randrange(100)
    if die < 84:
        model.take()
    elif die < 95:
        model.seal()
    elif die < 96:
        model.seal_gap()
    elif die < 98:
        model.seal_repair()
    else:
        model.clock = model.random.choice((1, 2, 4))


@pytest.mark.parametrize("operation", BYTES_WRITTEN)
def test_cut_at_every_byte(operation: str) -> None:
    model = model_with(75)
    model.take()
    assert cut_everywhere(model, operation) >= BYTES_WRITTEN[operation]


def test_cut_at_every_byte_of_a_gap_statement() -> None:
    model = model_with(2000)
    assert len(model.journal.losses) > 3
    assert cut_everywhere(model, "gap") > 100


@pytest.mark.parametrize("sectors", [4, 5])
def test_cut_while_a_full_journal_makes_room(sectors: int) -> None:
    """Opening a sector, naming losses, carrying statements along and erasing: cut all through it."""
    assert cut_everywhere(full_model(sectors), "take", 463) > SECTOR_BYTES


@pytest.mark.slow
def test_cut_at_every_byte_while_a_full_journal_makes_room() -> None:
    assert cut_everywhere(full_model(), "take") > SECTOR_BYTES


# --- two cuts: the second in the recovery from the first


def cut_recovery_everywhere(cut: Model, step: int) -> int:
    """The supply fails again at every byte of the start after it; gives how many bytes that start writes."""
    last = bytes_of(cut, "boot")
    for place in places(last, step):
        again = cut.copy()
        assert is_cut(again, "boot", place)
        go_on(again)
    return last


@pytest.mark.parametrize("operation", BYTES_WRITTEN)
def test_cut_again_while_it_recovers(operation: str) -> None:
    model = model_with(75)
    model.take()
    for place in range(0, bytes_of(model, operation), 1 + bytes_of(model, operation) // 5):
        trial = model.copy()
        assert is_cut(trial, operation, place)
        assert cut_recovery_everywhere(trial, 1) >= 10


def test_cut_again_while_it_undoes_what_made_room() -> None:
    """A recovery that erases: the new head goes back, and the sector that was to be emptied is whole again."""
    model = full_model()
    last = bytes_of(model, "take")
    longest = 0
    for place in (HEADER_BYTES + 40, last - SECTOR_BYTES - 2):
        trial = model.copy()
        assert is_cut(trial, "take", place)
        longest = max(longest, cut_recovery_everywhere(trial, 1999))
    assert longest > SECTOR_BYTES


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_cut_again_wherever_it_undoes_what_made_room(part: int) -> None:
    """First cuts all through the making of room; the second closely after one of them, after the others where it may matter."""
    model = full_model()
    first = places(bytes_of(model, "take"), 601)[part::16]
    for place in first:
        trial = model.copy()
        assert is_cut(trial, "take", place)
        assert cut_recovery_everywhere(trial, 13 if place == first[-1] else 401) >= 10


@pytest.mark.parametrize("seed", range(3))
def test_cuts_one_after_the_other(seed: int) -> None:
    """No start gets far, twenty times in a row, while a full journal makes room; then one does."""
    model = full_model()
    model.random.seed(seed)
    assert is_cut(model, "take", model.random.randrange(bytes_of(model, "take")))
    for _ in range(20):
        is_cut(model, "boot", model.random.randrange(1 + model.random.choice((12, 400, 4200, 9000))))
    go_on(model)


# --- an erase does not go byte by byte


@pytest.mark.parametrize("tear", TEARS)
def test_an_erase_stops_in_any_way(tear: str) -> None:
    """Pages in any order, or all bits a little: what the start finds there counts for nothing, and what it cannot tell is reported."""
    model = full_model()
    model.flash.tear = tear
    last = bytes_of(model, "take")
    for place in places(last, 307):
        if place > last - SECTOR_BYTES - 20:
            trial = model.copy()
            assert is_cut(trial, "take", place)
            trial.restart()
            trial.check_reported()
            assert cut_recovery_ends(trial)


@pytest.mark.slow
@pytest.mark.parametrize("tear", TEARS)
def test_an_erase_stops_in_any_way_closely(tear: str) -> None:
    model = full_model()
    model.flash.tear = tear
    for place in places(bytes_of(model, "take"), 11):
        trial = model.copy()
        assert is_cut(trial, "take", place)
        trial.restart()
        trial.check_reported()
        assert cut_recovery_ends(trial)


def cut_recovery_ends(trial: Model) -> bool:
    """Works on: nothing is written over, and the next start finds all of it."""
    before = trial.journal.next_seq
    for _ in range(30):
        trial.take()
    trial.seal()
    trial.restart()
    trial.check_reported()
    return trial.journal.next_seq >= before + 30


# --- everything at random


@pytest.mark.parametrize("seed", range(12))
def test_random_work_with_random_cuts(seed: int) -> None:
    model = Model(MemoryFlash(5), seed)
    for _ in range(25):
        model.flash.cut_after_bytes = model.random.randrange(1, 9000)
        try:
            while True:
                random_step(model)
        except PowerCut:
            model.restart()
        model.check()
