"""Checks access tokens at the door (SPEC section 11).

In: a request. Out: who asks. Never lets a token pass twice, and remembers used ones durably: a restart opens no door.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from fastapi import Request

from server.ledger.values import KeyValue
from server.registry.access import Request as Asked
from server.registry.access import check_token, decode_token
from server.registry.records import RegistryStore
from shared.errors import DecodeError, RuleError

BODY_BYTES_MAX = 60_000


class Keys(Protocol):
    """What is asked of the ledger."""

    @property
    def chain_id(self) -> str: ...
    def key(self, kid: bytes, /) -> KeyValue | None: ...


@dataclass(frozen=True)
class Person:
    """A live key of a person and its organization."""

    kid: bytes
    org: bytes
    roles: tuple[str, ...]


class Guard:
    """FastAPI dependency: `person: Person = Depends(guard)`."""

    def __init__(self, ledger: Keys, store: RegistryStore, now_s: Callable[[], float] = time.time) -> None:
        self._ledger = ledger
        self._store = store
        self._now_s = now_s

    async def __call__(self, request: Request) -> Person:
        """Raises RuleError 350."""
        token = decode_token(request.headers.get("Authorization"))
        body = await read_body(request)
        asked = Asked(self._ledger.chain_id, request.method, path_with_query(request), sha256(body).digest())
        now_s = int(self._now_s())
        key = self._ledger.key(token.signed.kid)
        check_token(token, asked, key, now_s)
        assert key is not None
        await self._store.use_access(token.signed.kid, token.random, token.expires_s, now_s)
        return Person(token.signed.kid, key.org, key.roles)


def check_owner(person: Person, org: bytes) -> None:
    """Raises RuleError 305 for data of another organization."""
    if person.org != org:
        raise RuleError(305, "this belongs to another organization")


def path_with_query(request: Request) -> str:
    """The path and query as they came, before any decoding."""
    raw: bytes = request.scope.get("raw_path") or request.url.path.encode()
    path = raw.split(b"?", 1)[0]
    query: bytes = request.scope["query_string"]
    return (path + (b"?" + query if query else b"")).decode("latin-1")


async def read_body(request: Request, most: int = BODY_BYTES_MAX) -> bytes:
    """The body, never more than `most` bytes in memory. Raises DecodeError 106."""
    declared = request.headers.get("Content-Length", "0")
    if not declared.isdecimal() or int(declared[:12]) > most:
        raise DecodeError(106, f"the body is longer than {most} bytes")
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most:
            raise DecodeError(106, f"the body is longer than {most} bytes")
    return bytes(body)
