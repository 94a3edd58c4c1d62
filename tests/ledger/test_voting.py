"""Votes that were withheld: cast as soon as it is possible, in the same process and after a restart, and nothing else is looked at."""

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.ledger import anchor as anchor_module
from server.ledger import voting
from server.ledger.voting import Voter
from shared.errors import DecodeError, RuleError, Unavailable, VerifyError
from shared.state import BatchValue, Power
from tests.evidence.fleet import ORIGIN, Device
from tests.evidence.whole import VALIDATOR, Whole, open_whole

KID = VALIDATOR.kid


class World:
    """Batches that wait for a vote, a judge that refuses some of them, a clock."""

    def __init__(self, batches: int) -> None:
        self.waiting = list(range(batches))
        self.broken: dict[int, Exception] = {}
        self.submit_error: Exception | None = None
        self.now_s = 0.0
        self.judged: list[int] = []
        self.forgot = 0
        self.voter = Voter(self, self, ORIGIN, VALIDATOR, self.submit, lambda: self.now_s)

    def votes_due(self, origin: str, kid: bytes, /, *, after: int, limit: int) -> list[int]:
        assert (origin, kid) == (ORIGIN, KID)
        return [number for number in self.waiting if number > after][:limit]

    def batch(self, origin: str, number: int, /) -> BatchValue:
        return BatchValue(number, number + 1, bytes(32), 1, [Power(KID, 1)], [])

    async def objections(self, batch: BatchValue) -> list[list[object]]:
        self.judged.append(batch.old_size)
        if batch.old_size in self.broken:
            raise self.broken[batch.old_size]
        return []

    def look_again(self) -> None:
        self.forgot += 1

    async def submit(self, key: object, kind: str, body: dict[int, object]) -> None:
        if self.submit_error:
            raise self.submit_error
        self.waiting.remove(body[2])

    def vote(self) -> list[int]:
        """Batches that were judged."""
        self.judged = []
        asyncio.run(self.voter.vote())
        return self.judged

    def pass_time(self) -> None:
        assert self.voter.wait_s
        self.now_s += self.voter.wait_s


@pytest.mark.parametrize(
    "error",
    [
        VerifyError(270, "damaged"),
        VerifyError(245, "too many"),
        VerifyError(202, "no ES256 here"),
        DecodeError(132, "torn"),
        RuleError(342, "objection false"),
        Unavailable(400, "the store cannot be read"),
        sqlite3.DatabaseError("database disk image is malformed"),
        OSError(5, "Input/output error"),
    ],
)
def test_one_bad_batch_holds_up_no_other_and_gets_its_vote_later(error: Exception) -> None:
    world = World(5)
    world.broken[1] = error
    assert world.vote() == [0, 1, 2, 3, 4] and world.waiting == [1]
    assert list(world.voter.withheld) == [1] and world.voter.wait_s == voting.AGAIN_S
    assert world.vote() == [], "not before its time"
    world.pass_time()
    assert world.vote() == [1] and world.waiting == [1]
    del world.broken[1]
    world.waiting.append(5)
    world.pass_time()
    assert world.vote() == [5, 1] and world.waiting == [] and world.voter.withheld == {} and world.voter.wait_s is None
    assert world.forgot == 2


def test_the_pause_grows_to_an_end_and_begins_again_with_the_next_trouble() -> None:
    world = World(1)
    world.broken[0] = VerifyError(270, "damaged")
    pauses = []
    for _ in range(9):
        world.vote()
        pauses.append(world.voter.wait_s)
        world.pass_time()
    assert pauses == [10, 20, 40, 80, 160, 320, 640, 640, 640]
    world.broken.clear()
    assert world.vote() == [0] and world.voter.wait_s is None
    world.waiting.append(1)
    world.broken[1] = VerifyError(270, "damaged")
    world.vote()
    assert world.voter.wait_s == 10


def test_many_withheld_are_tried_a_few_at_a_time_in_turn() -> None:
    world = World(10)
    world.broken = dict.fromkeys(range(10), VerifyError(270, "damaged"))
    assert world.vote() == list(range(10))
    tried = []
    for _ in range(3):
        world.pass_time()
        tried.append(world.vote())
    assert tried == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    world.pass_time()
    assert world.vote() == [0, 1, 2, 3]
    world.broken = {2: VerifyError(270, "damaged")}
    for _ in range(9):
        world.pass_time()
        world.vote()
    assert world.waiting == [2] and list(world.voter.withheld) == [2]


def test_what_is_remembered_of_them_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voting, "WITHHELD_MAX", 3)
    world = World(9)
    world.broken = dict.fromkeys(range(9), VerifyError(270, "damaged"))
    world.vote()
    assert list(world.voter.withheld) == [6, 7, 8] and len(world.waiting) == 9
    world.broken = {}
    for _ in range(4):
        world.now_s += 1000
        world.vote()
    assert world.waiting == []


def test_a_long_queue_lets_batches_be_added_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voting, "NEW_MAX", 4)
    world = World(6)
    assert world.vote() == [0, 1, 2, 3] and world.voter.behind
    assert world.vote() == [4, 5] and not world.voter.behind


@pytest.mark.parametrize("error", [Unavailable(420, "too many transactions wait"), VerifyError(271, "damaged ledger")])
def test_a_ledger_that_takes_nothing_is_the_callers_trouble(error: Exception) -> None:
    world = World(3)
    world.submit_error = error
    for _ in range(2):
        with pytest.raises(type(error)):
            world.vote()
        assert world.judged == [0] and world.voter.withheld == {}
    world.submit_error = None
    assert world.vote() == [0, 1, 2]


def test_a_damaged_ledger_found_while_judging_is_not_withheld() -> None:
    world = World(1)
    world.broken[0] = VerifyError(271, "a broken device")
    with pytest.raises(VerifyError, match="271"):
        world.vote()


def votes(whole: Whole) -> list[int]:
    return [len(whole.ledger.batch(ORIGIN, number).votes) for number in range(whole.ledger.log(ORIGIN).batches)]


def story(body: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(body())


def rename(home: Path, name: str, other: str) -> None:
    with contextlib.closing(sqlite3.connect(home / "evidence.sqlite")) as conn, conn:
        conn.execute("PRAGMA legacy_alter_table = ON")  # the view over it goes on naming the old table
        conn.execute(f"ALTER TABLE {name} RENAME TO {other}")


def test_after_a_restart_a_gap_in_the_votes_is_found(tmp_path: Path) -> None:
    """The batch in the middle had no vote when the process ended; later ones had. Its rows are whole again: it gets its vote."""

    async def body() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings())
            await whole.anchor.anchor()
            await whole.half.send(meter, meter.readings())
            rename(tmp_path, "logged", "gone")
            await whole.anchor.anchor()
            assert list(whole.anchor.withheld) == [1] and votes(whole) == [1, 0]
            rename(tmp_path, "gone", "logged")
            await whole.half.send(meter, meter.readings())
            await whole.anchor.anchor()
            assert votes(whole) == [1, 0, 1]
        async with open_whole(tmp_path, meter) as whole:
            assert whole.ledger.votes_due(ORIGIN, KID) == [1]
            await whole.anchor.anchor()
            assert votes(whole) == [1, 1, 1] and whole.ledger.votes_due(ORIGIN, KID) == []

    story(body)


def test_a_torn_tile_that_is_put_right_gets_its_vote_from_the_running_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voting, "AGAIN_S", 0.05)

    async def body() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings(), meter.readings())
        path = tmp_path / "evidence-log/tile/entries/000.p/2"
        good = path.read_bytes()
        path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        async with open_whole(tmp_path, meter) as whole:
            running = asyncio.create_task(whole.anchor.run())
            async with asyncio.timeout(10):
                while not whole.anchor.withheld:
                    await asyncio.sleep(0.02)
                assert votes(whole) == [0]
                path.write_bytes(good)
                while votes(whole) == [0]:
                    await asyncio.sleep(0.02)
            assert whole.anchor.withheld == {}
            running.cancel()

    story(body)


def test_the_running_task_goes_on_by_itself_when_it_is_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voting, "NEW_MAX", 2)
    monkeypatch.setattr(anchor_module, "BATCH_MAX", 1)

    async def body() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, *[meter.readings() for _ in range(5)])
            running = asyncio.create_task(whole.anchor.run())
            async with asyncio.timeout(10):
                while votes(whole) != [1] * 5:
                    await asyncio.sleep(0.02)
            running.cancel()

    story(body)


def test_a_vote_needs_few_reads_however_many_batches_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor_module, "BATCH_MAX", 1)

    async def body() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, *[meter.readings() for _ in range(30)])
            await whole.anchor.anchor()
        async with open_whole(tmp_path, meter) as whole:
            real, asked = whole.ledger.batch, []
            monkeypatch.setattr(whole.ledger, "batch", lambda origin, number: asked.append(number) or real(origin, number))
            await whole.half.send(meter, meter.readings())
            await whole.anchor.anchor()
            assert asked == [30] and len(votes(whole)) == 31

    story(body)
