"""How the node is, over HTTP: numbers for everybody, devices for those whose they are."""

import asyncio
import json
from hashlib import sha256
from typing import Any

import pytest

from server.cli import main
from server.keystore import SigningKey
from server.registry.records import RegistryStore
from shared import ids
from shared.errors import Unavailable
from tests.api.conftest import World
from tests.api.test_evidence_routes import prepare
from tests.api.test_ledger_routes import check_problem
from tests.health.test_metrics import parsed


async def add_organization(world: World, who: str) -> None:
    key = SigningKey.generate()
    receipt = await world.transact("admin", "org.create", {1: who, 2: key.cose_key, 3: who})
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
        assert answer["devices"]["suspended"] == 1
        assert [(row["code"], row["count"]) for row in answer["quarantine"]] == [(160, 1)]
        assert answer["now_s"] >= answer["facts_s"] > 1_700_000_000
        theirs = (await world.ask("others", "/v1/troubles")).json()
        assert theirs["troubles"] == []
        assert (theirs["numbers"], theirs["quarantine"], sum(theirs["devices"].values())) == (None, None, 0)

    play(story)


def test_status_says_what_is_wrong_while_no_token_can_be_used_up(
    play: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A full disk: nobody can be let in, but the operator has to know."""

    async def story(world: World) -> None:
        await prepare(world)

        async def full(*_: object) -> None:
            raise Unavailable(400, "the store cannot do it now: database or disk is full")

        monkeypatch.setattr(RegistryStore, "use_access", full)
        world.backend.evidence.trouble = Unavailable(400, "disk full")
        check_problem(await world.ask("admin", "/v1/troubles"), 503, 400)
        (trouble,) = (await world.http.get("/v1/status")).json()["troubles"]
        assert trouble.keys() == {"kind", "act", "since_s", "what", "do"}
        assert (trouble["kind"], trouble["act"]) == ("log-stuck", True)
        capsys.readouterr()
        assert await asyncio.to_thread(main, ["status", "--home", str(world.backend.config.home)]) == 3
        shown = capsys.readouterr().out
        assert shown.startswith("DEVICES AND QUARANTINE CANNOT BE SHOWN NOW: ")
        assert "disk is full" in " ".join(shown.split()) and "* log-stuck, since " in shown
        assert await asyncio.to_thread(main, ["status", "--json", "--home", str(world.backend.config.home)]) == 3
        value = json.loads(capsys.readouterr().out)
        assert value["needs_person"] == 1 and "disk is full" in value["unseen"] and value["numbers"] is None

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
