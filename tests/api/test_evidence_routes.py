"""Readings and proofs over HTTP: with permission, once."""

import asyncio
import errno
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.evidence.tiles import TileWriter
from server.keystore import SigningKey
from shared import ids, note
from shared.verify.policy import decode_policy
from shared.verify.verifier import verify_evidence
from tests.api.conftest import World, open_world, spoiled
from tests.api.test_ledger_routes import check_problem
from tests.evidence.fleet import FIRMWARE, Device


async def prepare(world: World) -> tuple[Device, str]:
    """A device with two bundles in the log."""
    await world.transact("admin", "firmware.add", {1: FIRMWARE, 2: "edge", 3: "1"})
    device = Device("api")
    device.time_s = int(time.time()) - 600
    name = await world.enroll(device)
    await world.log(device)
    await world.log(device)
    return device, name


async def add_person(world: World, who: str, roles: list[str]) -> None:
    world.keys[who], world.orgs[who] = SigningKey.generate(), world.orgs["admin"]
    await world.transact("admin", "key.add", {1: world.keys[who].cose_key, 2: roles, 3: who})


async def settled(world: World) -> None:
    """Until nothing is to be written any more: all of the log on the ledger, voted on, and that published."""
    for _ in range(100):
        now = world.backend.watch.numbers()
        if now.anchored_size == now.evidence_log_size and not now.votes_due and now.published_size == now.ledger_log_size:
            return
        await asyncio.sleep(0.1)
    raise AssertionError("never settled")


async def anchored(world: World, path: str) -> httpx.Response:
    for _ in range(100):
        answer = await world.ask("admin", path)
        if answer.status_code != 503:
            return answer
        check_problem(answer, 503, 450)
        assert answer.headers["retry-after"]
        await asyncio.sleep(0.1)
    raise AssertionError("never anchored")


def test_rows_and_a_proof(play: Any) -> None:
    async def story(world: World) -> None:
        _, name = await prepare(world)
        rows = (await world.ask("admin", f"/v1/rows/{name}?first_seq=2&count=3")).json()
        assert [(row["seq"], row["registers"], row["log_index"]) for row in rows] == [
            (2, [1020, 5020], 0),
            (3, [1030, 5030], 1),
            (4, [1040, 5040], 1),
        ]
        assert (await world.ask("admin", f"/v1/rows/{name}?first_seq=6")).json() == []
        file = await anchored(world, f"/v1/evidence/{name}/4")
        assert file.headers["content-type"] == "application/cbor"
        policy = decode_policy((world.backend.config.home / "policy.toml").read_bytes())
        report = verify_evidence(file.content, policy, [])
        assert report.trusted
        check_problem(await world.ask("admin", f"/v1/evidence/{name}/6"), 404, 303)
        check_problem(await world.ask("admin", f"/v1/evidence/{name}/-1"), 400, 190)
        check_problem(await world.ask("admin", f"/v1/evidence/{name}/{1 << 63}"), 400, 190)

    play(story)


def test_a_token_is_good_once_and_for_one_request(play: Any) -> None:
    async def story(world: World) -> None:
        _, name = await prepare(world)
        path = f"/v1/rows/{name}?first_seq=0"
        header = world.token("admin", path)
        check_problem(await world.http.get(path + "&count=1", headers=header), 401, 350)
        check_problem(await world.http.get(path, headers=spoiled(header)), 401, 350)
        assert (await world.http.get(path, headers=header)).status_code == 200
        replayed = await world.http.get(path, headers=header)
        check_problem(replayed, 401, 350)
        assert replayed.headers["www-authenticate"] == "Meterproof" and "used" in replayed.json()["detail"]
        check_problem(await world.http.get(path), 401, 350)
        check_problem(await world.http.get(path, headers=world.token("admin", path, expires_s=int(time.time()) - 1)), 401, 350)
        check_problem(await world.http.get(path, headers=world.token("admin", path, expires_s=int(time.time()) + 90)), 401, 350)
        check_problem(await world.http.get(path, headers=world.token("admin", path, body=b"x")), 401, 350)

    play(story)


def test_a_used_token_stays_used_after_a_restart(home: Any) -> None:
    async def whole() -> None:
        async with open_world(home) as world:
            header = world.token("admin", "/v1/quarantine")
            assert (await world.http.get("/v1/quarantine", headers=header)).json() == []
        async with open_world(home) as world:
            check_problem(await world.http.get("/v1/quarantine", headers=header), 401, 350)

    asyncio.run(whole())


def test_two_at_once_with_one_token(play: Any) -> None:
    async def story(world: World) -> None:
        header = world.token("admin", "/v1/quarantine")
        answers = await asyncio.gather(*[world.http.get("/v1/quarantine", headers=header) for _ in range(8)])
        assert sorted(answer.status_code for answer in answers) == [200] + [401] * 7

    play(story)


@pytest.mark.parametrize("path", ["/v1/rows/{}", "/v1/evidence/{}/0", "/v1/findings?device={}", "/v1/quarantine"])
def test_another_organization_gets_nothing(play: Any, path: str) -> None:
    async def story(world: World) -> None:
        _, name = await prepare(world)
        eve = SigningKey.generate()
        receipt = await world.transact("admin", "org.create", {1: "Others", 2: eve.cose_key, 3: "Eve"})
        from hashlib import sha256

        org = sha256(b"org" + ids.decode_id(ids.TX, receipt["transaction"])).digest()[:10]
        world.keys["eve"], world.orgs["eve"] = eve, org
        check_problem(await world.ask("eve", path.format(name)), 403, 305)
        assert (await world.ask("eve", "/v1/findings")).json() == []
        assert (await world.ask("eve", "/v1/attestations")).json() == []
        world.orgs["eve"] = world.orgs["admin"]  # a lie about one's organization
        check_problem(await world.ask("eve", path.format(name)), 401, 350)

    play(story)


def test_machines_and_revoked_people_may_not_read(play: Any) -> None:
    async def story(world: World) -> None:
        await add_person(world, "operator", ["operator"])
        await add_person(world, "machine", ["node"])
        assert (await world.ask("operator", "/v1/quarantine")).status_code == 200
        check_problem(await world.ask("machine", "/v1/quarantine"), 401, 350)
        await world.transact("admin", "key.revoke", {1: world.keys["operator"].kid})
        check_problem(await world.ask("operator", "/v1/quarantine"), 401, 350)

    play(story)


def test_findings_page_by_page_without_a_hole(play: Any) -> None:
    async def story(world: World) -> None:
        device, name = await prepare(world)
        for _ in range(6):
            device.registers = [value - 1000 for value in device.registers]
            await world.log(device, 2)
        everything = (await world.ask("admin", f"/v1/findings?device={name}&limit=1000")).json()
        assert [row["kind"] for row in everything].count("register-backward") == 12
        seen: list[dict[str, Any]] = []
        after = -1
        while page := (await world.ask("admin", f"/v1/findings?device={name}&limit=3&after={after}")).json():
            seen += page
            after = page[-1]["log_index"]
        assert seen == everything

    play(story)


def test_quarantine_shows_why(play: Any) -> None:
    async def story(world: World) -> None:
        stranger = Device("nobody")
        await world.backend.ingest.handle(stranger.topic("bundle", world.orgs["admin"]), stranger.readings().envelope)
        await world.backend.ingest.handle("meterproof/v1/x/y/bundle", b"\x00")
        rows = (await world.ask("admin", "/v1/quarantine")).json()
        assert [row["code"] for row in rows] == [170, 320]
        assert len((await world.ask("admin", "/v1/quarantine?limit=1")).json()) == 1

    play(story)


UNREADABLE = [
    sqlite3.OperationalError("disk I/O error"),
    sqlite3.DatabaseError("database disk image is malformed"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"),
]


@pytest.mark.parametrize("error", UNREADABLE, ids=lambda error: type(error).__name__)
def test_a_store_that_cannot_be_read_is_said_to_be_unavailable(play: Any, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    async def broken(*_: object) -> None:
        raise error

    async def story(world: World) -> None:
        _, name = await prepare(world)
        await settled(world)
        with monkeypatch.context() as patch:
            patch.setattr(world.backend.evidence.store.reader, "execute_fetchall", broken)
            for path in (f"/v1/rows/{name}", "/v1/findings", "/v1/quarantine", f"/v1/evidence/{name}/1"):
                check_problem(await world.ask("admin", path), 503, 400)
        assert len((await world.ask("admin", f"/v1/rows/{name}")).json()) == 6

    play(story)


def test_tiles_that_cannot_be_read_now_are_said_to_be_unavailable(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        _, name = await prepare(world)
        await settled(world)
        real = Path.read_bytes

        def read_bytes(path: Path) -> bytes:
            if "evidence-log" in path.parts:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
            return real(path)

        world.backend.evidence.reader.forget()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", read_bytes)
            for path in (f"/v1/rows/{name}", f"/v1/evidence/{name}/1", "/evidence-log/checkpoint", "/evidence-log/tile/0/000.p/2"):
                answer = await world.ask("admin", path)
                check_problem(answer, 503, 400)
                assert os.strerror(errno.EIO) in answer.text and str(world.backend.config.home) not in answer.text
        assert len((await world.ask("admin", f"/v1/rows/{name}")).json()) == 6

    play(story)


def test_logs_are_served_as_tiles(play: Any) -> None:
    async def story(world: World) -> None:
        await prepare(world)
        for log, origin in (("evidence-log", world.backend.config.origin), ("ledger-log", world.backend.ledger.origin)):
            answer = await world.http.get(f"/{log}/checkpoint")
            assert answer.headers["cache-control"] == "no-cache"
            checkpoint = note.decode_checkpoint(note.decode_note(answer.content).text)
            assert checkpoint.origin == origin
            width = checkpoint.size
            tile = await world.http.get(f"/{log}/tile/0/000.p/{width}")
            assert len(tile.content) == 32 * width and "immutable" in tile.headers["cache-control"]
            entries = await world.http.get(f"/{log}/tile/entries/000.p/{width}")
            assert entries.status_code == 200 and len(entries.content) > 2 * width

    play(story)


@pytest.mark.parametrize("log", ["evidence-log", "ledger-log"])
def test_what_no_checkpoint_covers_is_not_served(play: Any, log: str) -> None:
    """Tiles are on disk before the checkpoint that covers them, and a crash in between takes them back: a cache would keep the lie."""

    async def story(world: World) -> None:
        await prepare(world)
        await settled(world)
        directory = world.backend.config.home / log
        committed = note.decode_checkpoint(note.decode_note((directory / "checkpoint").read_bytes()).text).size
        writer = TileWriter(directory, committed)
        writer.append([b"never signed %d" % i for i in range(300)])
        beyond = [f"{level}/000.p/{width}" for level in ("0", "entries") for width in (committed + 1, 255)]
        beyond += ["0/000", "entries/000", "1/000.p/1", f"0/001.p/{committed + 300 - 256}", f"entries/001.p/{committed + 300 - 256}"]
        for path in beyond:
            file = directory / "tile" / path
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(bytes(32))  # also those that one append would not leave
            check_problem(await world.http.get(f"/{log}/tile/{path}"), 404, 303)
        assert (await world.http.get(f"/{log}/tile/0/000.p/{committed}")).status_code == 200
        TileWriter(directory, committed)

    play(story)


@pytest.mark.parametrize(
    "path",
    [
        "/evidence-log/tile/0/000",
        "/evidence-log/tile/%2e%2e/checkpoint",
        "/evidence-log/tile/0/..%2f..%2f..%2fkeys%2fnode.key",
        "/evidence-log/tile/0/000.p/256",
        "/evidence-log/tile/0/000.p/0",
        "/evidence-log/tile/64/000",
        "/evidence-log/tile/0/1",
        "/evidence-log/tile/0/000.tmp",
        "/evidence-log/tile/0",
        "/evidence-log/tile/",
        "/evidence-log/%2e%2e/keys/node.key",
        "/ledger-log/nothing",
    ],
)
def test_only_files_of_the_log_are_served(play: Any, path: str) -> None:
    async def story(world: World) -> None:
        check_problem(await world.http.get(path), 404, 303)

    play(story)


def test_a_fault_of_ours_shows_nothing(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(world: World) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("a path /of/this/machine")

        monkeypatch.setattr(world.backend.ledger, "receipt", broken)
        answer = await world.http.get(f"/v1/transactions/{ids.encode_id(ids.TX, bytes(32))}")
        check_problem(answer, 500, None)
        assert "/of/this" not in answer.text
        assert (await world.http.get("/health")).status_code == 200

    play(story)
