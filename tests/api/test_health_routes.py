"""How the node is, over HTTP: numbers for everybody, devices for those whose they are."""

from typing import Any

from server.keystore import SigningKey
from shared import ids
from tests.api.conftest import World
from tests.api.test_evidence_routes import prepare
from tests.api.test_ledger_routes import check_problem
from tests.health.test_metrics import parsed


async def add_organization(world: World, who: str) -> None:
    key = SigningKey.generate()
    receipt = await world.transact("admin", "org.create", {1: who, 2: key.cose_key, 3: who})
    from hashlib import sha256

    world.keys[who] = key
    world.orgs[who] = sha256(b"org" + ids.decode_id(ids.TX, receipt["transaction"])).digest()[:10]


def test_metrics_are_open_and_in_prometheus_format(play: Any) -> None:
    async def story(world: World) -> None:
        _, name = await prepare(world)
        answer = await world.http.get("/metrics")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        found = parsed(answer.text)
        assert found["meterproof_messages_total"]["logged"] == 2
        assert found["meterproof_evidence_log_size"][""] == 2
        assert found["meterproof_devices"]["live"] == 1
        assert name not in answer.text and "mporg1" not in answer.text

    play(story)


def test_troubles_need_a_token(play: Any) -> None:
    async def story(world: World) -> None:
        check_problem(await world.http.get("/v1/troubles"), 401, 350)

    play(story)


def test_troubles_are_shown_to_whom_they_belong(play: Any) -> None:
    async def story(world: World) -> None:
        device, name = await prepare(world)
        await add_organization(world, "others")
        await world.transact("admin", "device.suspend", {1: device.id, 2: "a test"})
        await world.backend.ingest.handle("nonsense", b"")
        answer = (await world.ask("admin", "/v1/troubles")).json()
        found = {trouble["kind"]: trouble for trouble in answer["troubles"]}
        assert found["suspended"]["devices"][0]["device"] == name
        assert (found["suspended"]["act"], found["suspended"]["devices_total"]) == (True, 1)
        assert "quarantine-160" in found and not found["quarantine-160"]["act"]
        assert answer["numbers"]["evidence_log_size"] == 2
        assert answer["now_s"] >= answer["facts_s"] > 1_700_000_000
        theirs = (await world.ask("others", "/v1/troubles")).json()
        assert theirs["troubles"] == []
        assert theirs["numbers"] is None

    play(story)


def test_findings_say_when(play: Any) -> None:
    async def story(world: World) -> None:
        device, _ = await prepare(world)
        device.registers = [1, 1]
        await world.log(device)
        row, other = (await world.ask("admin", "/v1/findings")).json()
        assert (row["kind"], other["kind"]) == ("register-backward", "register-backward")
        arrival = await world.backend.evidence.store.arrival(row["log_index"])
        assert arrival is not None and row["received_s"] == arrival.received_s

    play(story)
