"""Transactions in, state out, over HTTP."""

import asyncio
from hashlib import sha256
from typing import Any

import httpx
import pytest

from server.api import ledger as ledger_routes
from server.keystore import SigningKey
from shared import ids
from tests.api.conftest import World


def check_problem(answer: httpx.Response, status: int, code: int | None) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["code"]) == (status, code)
    assert body["title"] and body["detail"] and "Traceback" not in answer.text


def test_a_transaction_is_answered_when_it_is_durable(play: Any) -> None:
    async def story(world: World) -> None:
        receipt = await world.transact("admin", "point.create", {1: "Roof", 2: None, 3: "UTC"})
        assert (receipt["height"], receipt["index"], receipt["code"]) == (1, 0, 0)
        again = (await world.http.get(f"/v1/transactions/{receipt['transaction']}")).json()
        assert again == receipt
        (point,) = (await world.http.get("/v1/points")).json()
        assert point["name"] == "Roof"
        assert (await world.http.get(f"/v1/points/{point['point']}")).json() == point
        kid = ids.encode_id(ids.KEY, world.keys["admin"].kid)
        assert (await world.http.get(f"/v1/keys/{kid}")).json()["nonce"] == 1

    play(story)


def test_what_is_refused_has_a_code(play: Any) -> None:
    async def story(world: World) -> None:
        data = world.build("admin", "point.create", {1: "Roof", 2: None, 3: "UTC"})
        assert (await world.http.post("/v1/transactions", content=data)).status_code == 200
        check_problem(await world.http.post("/v1/transactions", content=data), 409, 300)
        flipped = world.build("admin", "point.create", {1: "Roof", 2: None, 3: "UTC"})
        check_problem(await world.http.post("/v1/transactions", content=flipped[:-1] + bytes([flipped[-1] ^ 1])), 422, 201)
        check_problem(await world.http.post("/v1/transactions", content=b"junk"), 400, 180)
        check_problem(await world.http.post("/v1/transactions", content=b""), 400, 180)
        admin = world.keys["admin"]
        revoke = world.build("admin", "key.revoke", {1: admin.kid})
        check_problem(await world.http.post("/v1/transactions", content=revoke), 409, 304)
        assert world.backend.ledger.height == 1

    play(story)


def test_a_stranger_and_a_wrong_role(play: Any) -> None:
    async def story(world: World) -> None:
        stranger, operator = SigningKey.generate(), SigningKey.generate()
        world.keys.update(stranger=stranger, operator=operator)
        world.orgs.update(stranger=world.orgs["admin"], operator=world.orgs["admin"])
        answer = await world.http.post("/v1/transactions", content=world.build("stranger", "point.create", {1: "x", 2: None, 3: "UTC"}))
        assert answer.status_code in (403, 404, 422)
        await world.transact("admin", "key.add", {1: operator.cose_key, 2: ["operator"], 3: "Op"})
        answer = await world.http.post("/v1/transactions", content=world.build("operator", "point.create", {1: "x", 2: None, 3: "UTC"}))
        check_problem(answer, 403, 301)

    play(story)


def test_bodies_are_bounded_whether_their_length_is_told_or_not(play: Any) -> None:
    async def story(world: World) -> None:
        check_problem(await world.http.post("/v1/transactions", content=b"x" * 60_001), 413, 106)

        async def endless():
            for _ in range(70):
                yield b"x" * 1000

        check_problem(await world.http.post("/v1/transactions", content=endless()), 413, 106)
        check_problem(await world.http.post("/v1/transactions", content=b"x" * 60_000), 400, 180)

    play(story)


def test_many_at_once_share_blocks(play: Any) -> None:
    async def story(world: World) -> None:
        bodies = [world.build("admin", "point.create", {1: f"P{i}", 2: None, 3: "UTC"}, nonce=i) for i in range(20)]
        answers = await asyncio.gather(*[world.http.post("/v1/transactions", content=body) for body in bodies])
        done = sum(answer.status_code == 200 for answer in answers)
        assert done >= 1 and {answer.status_code for answer in answers} <= {200, 409}
        assert len((await world.http.get("/v1/points")).json()) == done
        assert world.backend.ledger.height <= done

    play(story)


def test_lists_go_page_by_page(play: Any) -> None:
    async def story(world: World) -> None:
        for i in range(5):
            await world.transact("admin", "point.create", {1: f"P{i}", 2: None, 3: "UTC"})
        seen, after = [], ""
        while page := (await world.http.get(f"/v1/points?limit=2{after}")).json():
            assert len(page) <= 2
            seen += [row["point"] for row in page]
            after = f"&after={page[-1]['point']}"
        assert len(seen) == len(set(seen)) == 5

    play(story)


def test_a_list_is_read_in_pages_and_never_further_than_asked(play: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_routes, "PAGE", 2)

    async def story(world: World) -> None:
        for i in range(5):
            await world.transact("admin", "point.create", {1: f"P{i}", 2: None, 3: "UTC"})
        ledger, asked = world.backend.ledger, []
        real = ledger.page

        def page(kind: str, *, after: bytes, limit: int) -> list[tuple[bytes, bytes]]:
            rows = real(kind, after=after, limit=limit)
            asked.append((limit, len(rows)))
            return rows

        monkeypatch.setattr(ledger, "page", page)
        whole = [row["point"] for row in (await world.http.get("/v1/points")).json()]
        assert len(whole) == 5 and asked == [(2, 2), (2, 2), (2, 1)]
        for limit in range(1, 7):
            asked.clear()
            assert [row["point"] for row in (await world.http.get(f"/v1/points?limit={limit}")).json()] == whole[:limit]
            assert sum(read for _, read in asked) == min(limit, 5)
        for place, point in enumerate(whole):
            assert [row["point"] for row in (await world.http.get(f"/v1/points?after={point}")).json()] == whole[place + 1 :]
        assert (await world.http.get(f"/v1/points?after={ids.encode_id(ids.POINT, bytes([255]) * 10)}")).json() == []

    play(story)


def test_addresses_that_are_none(play: Any) -> None:
    async def story(world: World) -> None:
        unknown = ids.encode_id(ids.POINT, bytes(10))
        check_problem(await world.http.get(f"/v1/points/{unknown}"), 404, 303)
        check_problem(await world.http.get("/v1/points/mppoint1xyz"), 400, 170)
        check_problem(await world.http.get(f"/v1/firmware/{'g' * 64}"), 400, 190)
        check_problem(await world.http.get(f"/v1/firmware/{'ab' * 32}"), 404, 303)
        check_problem(await world.http.get("/v1/points?limit=0"), 400, 190)
        check_problem(await world.http.get("/v1/points?limit=many"), 400, 190)
        check_problem(await world.http.get("/v1/nothing"), 404, 303)
        check_problem(await world.http.delete("/v1/points"), 405, 190)
        check_problem(await world.http.get(f"/v1/transactions/{ids.encode_id(ids.TX, bytes(32))}"), 404, 303)

    play(story)


def test_reads_of_every_kind(play: Any) -> None:
    async def story(world: World) -> None:
        digest = sha256(b"image").digest()
        await world.transact("admin", "firmware.add", {1: digest, 2: "edge", 3: "1"})
        await world.transact("admin", "firmware.withdraw", {1: digest})
        (firmware,) = (await world.http.get("/v1/firmware")).json()
        assert (firmware["firmware"], firmware["from_height"], firmware["to_height"]) == (digest.hex(), 1, 2)
        (org,) = (await world.http.get("/v1/orgs")).json()
        assert (org["name"], org["founding"]) == ("Sunny", True)
        keys = {row["name"]: row["roles"] for row in (await world.http.get("/v1/keys")).json()}
        assert keys == {"admin": ["admin", "installer", "operator"], "node": ["node"], "validator": ["validator"]}
        assert (await world.http.get("/v1/devices")).json() == []
        assert (await world.http.get("/health")).json() == {"status": "ok"}
        genesis = (await world.http.get("/v1/genesis")).content
        assert genesis == (world.backend.config.home / "genesis.cbor").read_bytes()
        assert (await world.http.get("/v1/openapi.json")).json()["info"]["title"] == "Meterproof"

    play(story)
