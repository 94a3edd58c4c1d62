"""server/registry/records.py: access tokens pass once, whatever the clock does, and what is remembered is bounded."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from server.registry import records
from server.registry.records import RegistryStore, open_registry
from shared.errors import MeterproofError

NOW_S = 1_800_000_000
KID = b"k" * 16


def run(folder: Path, story: Callable[[RegistryStore], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with open_registry(folder / "registry.sqlite") as store:
            await story(store)

    asyncio.run(whole())


def random_of(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def refused(code: int, using: Awaitable[None]) -> str:
    with pytest.raises(MeterproofError) as caught:
        await using
    assert caught.value.code == code
    return caught.value.text


def test_a_token_passes_once_over_restarts(tmp_path: Path) -> None:
    async def first(store: RegistryStore) -> None:
        await store.use_access(KID, random_of(1), NOW_S + 60, NOW_S)
        assert "used" in await refused(350, store.use_access(KID, random_of(1), NOW_S + 60, NOW_S))
        await store.use_access(b"another key's..", random_of(1), NOW_S + 60, NOW_S)

    async def second(store: RegistryStore) -> None:
        await refused(350, store.use_access(KID, random_of(1), NOW_S + 60, NOW_S + 59))
        await store.use_access(KID, random_of(2), NOW_S + 60, NOW_S + 59)

    run(tmp_path, first)
    run(tmp_path, second)


def test_a_clock_that_steps_back_opens_nothing_again(tmp_path: Path) -> None:
    async def before(store: RegistryStore) -> None:
        await store.use_access(KID, random_of(1), NOW_S + 60, NOW_S)
        await store.use_access(KID, random_of(2), NOW_S + 3660, NOW_S + 3600)  # the first is forgotten here

    async def after(store: RegistryStore) -> None:
        await refused(350, store.use_access(KID, random_of(1), NOW_S + 60, NOW_S + 10))
        assert "clock" in await refused(350, store.use_access(KID, random_of(3), NOW_S + 60, NOW_S + 10))

    run(tmp_path, before)
    run(tmp_path, after)


def test_one_day_in_the_future_locks_nobody_out(tmp_path: Path) -> None:
    """Only what was forgotten is refused, so a clock that was wrong for a while and is right again serves on."""

    async def story(store: RegistryStore) -> None:
        await store.use_access(KID, random_of(1), NOW_S + 60, NOW_S)
        await store.use_access(KID, random_of(2), NOW_S + 86_460, NOW_S + 86_400)
        await store.use_access(KID, random_of(3), NOW_S + 130, NOW_S + 70)
        await refused(350, store.use_access(KID, random_of(2), NOW_S + 86_460, NOW_S + 86_400))

    run(tmp_path, story)


def test_too_many_at_once_are_turned_away_and_forgotten_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "ACCESS_MAX", 3)

    async def story(store: RegistryStore) -> None:
        for number in range(3):
            await store.use_access(KID, random_of(number), NOW_S + 60, NOW_S)
        await refused(420, store.use_access(KID, random_of(3), NOW_S + 60, NOW_S))
        await store.use_access(KID, random_of(3), NOW_S + 120, NOW_S + 60)

    run(tmp_path, story)
