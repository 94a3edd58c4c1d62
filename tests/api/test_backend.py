"""server/main.py: parts start together, stop together, and fail together."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from server.config import load_config
from server.home import lock_home
from server.ledger.anchor import Anchor
from server.main import Backend, serve
from shared.errors import Unavailable, VerifyError
from tests.api.conftest import open_world


def test_a_part_that_fails_ends_the_backend_with_its_error(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Anchor) -> None:
        raise VerifyError(270, "the ledger holds another head")

    monkeypatch.setattr(Anchor, "run", broken)
    with pytest.raises(VerifyError) as caught:
        asyncio.run(serve(load_config(home)))
    assert caught.value.code == 270


def test_a_bug_is_not_taken_for_a_refusal(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(_: Anchor) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Anchor, "run", broken)
    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(serve(load_config(home)))
    assert isinstance(caught.value.exceptions[0], ZeroDivisionError)


def test_an_error_inside_comes_out_as_it_is(home: Path) -> None:
    async def story() -> None:
        async with Backend(load_config(home)):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        asyncio.run(story())


def test_a_home_has_one_backend(home: Path) -> None:
    async def second() -> None:
        async with open_world(home):
            with pytest.raises(Unavailable) as caught:
                async with Backend(load_config(home)):
                    raise AssertionError("two at once")
            assert caught.value.code == 400

    asyncio.run(second())
    with lock_home(home):
        assert (home / "lock").exists()


def test_a_failed_start_leaves_the_home_free(home: Path) -> None:
    key = home / "keys" / "node.key"
    data = key.read_bytes()
    key.write_bytes((home / "keys" / "validator.key").read_bytes())

    async def start() -> None:
        async with Backend(load_config(home)) as backend:
            assert backend.ledger.height == 0

    with pytest.raises(Exception, match="does not give the log"):
        asyncio.run(start())
    key.write_bytes(data)
    asyncio.run(start())


def test_what_was_written_is_there_after_a_restart(home: Path) -> None:
    seen: list[Any] = []

    async def story() -> None:
        async with open_world(home) as world:
            if not seen:
                await world.transact("admin", "point.create", {1: "Kept", 2: None, 3: "UTC"})
            status = (await world.http.get("/v1/status")).json()
            seen.append({name: status[name] for name in ("height", "app_hash", "ledger_log_size", "chain_id", "origin")})

    asyncio.run(story())
    asyncio.run(story())
    assert seen[0] == seen[1] and seen[0]["height"] == 1
