"""What the API calls, as protocols: the composition root passes the real things, a test may pass others.

In and out: types only. Never any behaviour.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from server.health.facts import Facts
from server.health.numbers import Numbers
from server.health.trouble import Trouble
from server.ledger.values import KeyValue
from server.registry.attestation import Attestations
from shared.state import DeviceValue, Receipt

from .guard import Guard


class Ledger(Protocol):
    """The committed state of the ledger and a way to change it."""

    @property
    def chain_id(self) -> str: ...
    def get(self, key: bytes, /) -> bytes | None: ...
    def page(self, kind: str, /, *, after: bytes, limit: int) -> list[tuple[bytes, bytes]]: ...
    def device(self, device: bytes, /) -> DeviceValue | None: ...
    def key(self, kid: bytes, /) -> KeyValue | None: ...
    def next_nonce(self, kid: bytes, /) -> int: ...
    def receipt(self, identity: bytes, /) -> Receipt | None: ...
    async def submit(self, data: bytes, /) -> Receipt: ...


class Evidence(Protocol):
    """What was logged, and what was found about it."""

    async def evidence_file(self, device: bytes, seq: int) -> bytes: ...
    async def readings(self, device: bytes, first_seq: int, count: int) -> list[dict[str, Any]]: ...
    async def findings(self, org: bytes, device: bytes | None, after: int, limit: int) -> list[dict[str, Any]]: ...
    async def quarantine(self, limit: int) -> list[dict[str, Any]]: ...


class Health(Protocol):
    """How the node is."""

    async def troubles(self) -> tuple[Numbers, Facts, list[Trouble]]: ...
    async def metrics(self) -> str: ...
    def counts(self, facts: Facts, org: bytes, /) -> Mapping[str, int]: ...


@dataclass(frozen=True)
class Services:
    """Everything the routes need; `status` gives the numbers of /v1/status."""

    ledger: Ledger
    evidence: Evidence
    attestations: Attestations
    guard: Guard
    status: Callable[[], Awaitable[dict[str, Any]]]
    health: Health
    genesis: bytes
    evidence_log: Path
    ledger_log: Path
    founder: bytes
