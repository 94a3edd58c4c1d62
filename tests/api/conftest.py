"""A real backend in this process, without a broker: its API over HTTP, its parts at hand."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.cli import main as cli_main
from server.config import load_config
from server.keystore import SigningKey
from server.ledger.transactions import build_tx
from server.main import Backend
from server.registry.access import build_token
from shared import channel, ids
from shared.state import Receipt
from tests.cli.running import free_port
from tests.evidence.fleet import FIRMWARE, Device, evidence_of


@dataclass
class World:
    """The backend, a client, and people's keys by name."""

    backend: Backend
    http: httpx.AsyncClient
    keys: dict[str, SigningKey]
    orgs: dict[str, bytes]

    async def transact(self, who: str, kind: str, body: dict[int, Any]) -> Receipt:
        """Through the API."""
        answer = await self.http.post("/v1/transactions", content=self.build(who, kind, body))
        assert answer.status_code == 200, answer.text
        return answer.json()

    def build(self, who: str, kind: str, body: dict[int, Any], nonce: int | None = None) -> bytes:
        key = self.keys[who]
        nonce = self.backend.ledger.next_nonce(key.kid) if nonce is None else nonce
        return build_tx(key, self.backend.ledger.chain_id, self.orgs[who], nonce, kind, body)

    def token(self, who: str, path: str, method: str = "GET", expires_s: int | None = None, body: bytes = b"") -> dict[str, str]:
        """A header for exactly that request."""
        expires_s = int(time.time()) + 50 if expires_s is None else expires_s
        chain_id, org = self.backend.ledger.chain_id, self.orgs[who]
        text = build_token(self.keys[who], chain_id, org, method, path, expires_s, secrets.token_bytes(16), sha256(body).digest())
        return {"Authorization": f"Meterproof {text}"}

    async def ask(self, who: str, path: str) -> httpx.Response:
        return await self.http.get(path, headers=self.token(who, path))

    async def enroll(self, device: Device) -> str:
        """Puts a device on the ledger and gives its text id."""
        point = ids.decode_id(ids.TX, (await self.transact("admin", "point.create", {1: device.name, 2: None, 3: "UTC"}))["transaction"])
        point_id = sha256(b"point" + point).digest()[:10]
        table_hash = channel.table_hash(device.table)
        body = {
            1: device.id,
            2: device.key.cose_key,
            3: 1,
            4: FIRMWARE,
            5: self.backend.config.origin,
            6: [[0, point_id, "SN-1", table_hash, device.time_s - 60]],
            7: sha256(evidence_of(device)).digest(),
        }
        await self.transact("admin", "device.enroll", body)
        await self.backend.evidence.store.keep_tables([device.table])
        return str(ids.encode_id(ids.DEVICE, device.id))

    async def log(self, device: Device, count: int = 3) -> None:
        """One bundle, into the log."""
        await self.backend.ingest.handle(device.topic("bundle", self.orgs["admin"]), device.readings(count).envelope)


@asynccontextmanager
async def open_world(home: Path) -> AsyncIterator[World]:
    async with Backend(load_config(home)) as backend, httpx.AsyncClient(base_url=backend.api_url, timeout=20) as http:
        keys = {"admin": SigningKey.load(home / "keys" / "admin.key")}
        world = World(backend, http, keys, {"admin": backend.config.org})
        yield world


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A fresh home whose broker is nobody."""
    made = tmp_path / "home"
    options = ["--http-port", str(free_port()), "--broker-url", f"mqtt://127.0.0.1:{free_port()}"]
    assert cli_main(["init", str(made), "--org", "Sunny", *options]) == 0
    return made


@pytest.fixture
def play(home: Path) -> Callable[[Callable[[World], Coroutine[Any, Any, None]]], None]:
    """Runs a story in a world."""

    def run(story: Callable[[World], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            async with open_world(home) as world:
                await story(world)

        asyncio.run(whole())

    return run


def spoiled(header: dict[str, str]) -> dict[str, str]:
    """The same token with one bit of its signature changed."""
    scheme, text = header["Authorization"].split(" ")
    data = bytearray(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    data[-1] ^= 1
    return {"Authorization": f"{scheme} {base64.urlsafe_b64encode(bytes(data)).rstrip(b'=').decode()}"}
