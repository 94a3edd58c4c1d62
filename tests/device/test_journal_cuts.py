"""The journal after a power cut at any byte: nothing promised is forgotten, no sequence or boot is used twice."""

import copy

import pytest

from edge.flash import SECTOR_BYTES
from tests.device.journal_model import Model, PowerCut, random_step
from tests.device.memory_flash import MemoryFlash

OPERATIONS = {
    "take": lambda model: model.take(),
    "seal": lambda model: model.seal(),
    "free": lambda model: model.free(2),
    "gap": lambda model: model.seal_gap(),
    "boot": lambda model: model.start(),
    "clock": lambda model: (setattr(model, "clock", 2), model.take()),
}


def cut_everywhere(model: Model, operation: str, step: int = 1) -> int:
    """Runs the operation with the supply failing after every byte of it; gives how many places were tried."""
    tried = 0
    cut_after_bytes = 0
    while True:
        trial = copy.deepcopy(model)
        trial.flash.cut_after_bytes = cut_after_bytes
        try:
            OPERATIONS[operation](trial)
        except PowerCut:
            tried += 1
        else:
            return tried
        trial.restart()
        trial.check()
        trial.take()
        trial.seal()
        trial.take()
        trial.check()
        cut_after_bytes += step


def model_with(readings: int, sectors: int = 6) -> Model:
    model = Model(MemoryFlash(sectors))
    for i in range(readings):
        model.take()
        if i % 20 == 19:
            model.seal()
    return model


@pytest.mark.parametrize("operation", ["take", "seal", "free", "boot", "clock"])
def test_cut_at_every_byte(operation: str) -> None:
    model = model_with(75)
    model.take()
    assert cut_everywhere(model, operation) >= {"take": 8, "seal": 140, "free": 2, "boot": 10, "clock": 80}[operation]


def test_cut_at_every_byte_of_a_gap_statement() -> None:
    model = model_with(2000)
    assert len(model.journal.losses) > 3
    assert cut_everywhere(model, "gap") > 100


def test_cut_while_a_full_journal_makes_room() -> None:
    """Opening a sector, naming losses, carrying statements along and erasing: cut all through it."""
    model = model_with(1500)
    model.seal_gap()
    while model.journal.ring.alive_count() < model.flash.sectors - 1 or model.journal.ring.room_bytes() > 12:
        model.take()
        if model.journal.groups[0].count >= 20 and model.journal.ring.room_bytes() > 300:
            model.seal()
    losses = len(model.journal.losses)
    probe = copy.deepcopy(model)
    for _ in range(4):
        probe.take()
    assert len(probe.journal.losses) > losses or probe.named
    while True:
        trial = copy.deepcopy(model)
        head = trial.journal.ring.head
        trial.take()
        if trial.journal.ring.head != head:
            break
        model.take()
    assert cut_everywhere(model, "take", 13) * 13 > SECTOR_BYTES


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
