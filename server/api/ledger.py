"""Routes to the ledger: transactions in, committed state out.

In: signed transactions, ids. Out: receipts and values as JSON. Never signs, never changes anything but through a transaction.
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from server.ledger import values
from server.ledger.transactions import TX_BYTES_MAX
from shared import cbor, ids
from shared.errors import DecodeError, RuleError
from shared.state import decode_device_value

from . import views
from .guard import read_body
from .services import Ledger, Services

LIST_MAX = 1000
PAGE = 100
Limit = Annotated[int, Query(ge=1, le=LIST_MAX)]
View = Callable[[bytes, Any], dict[str, Any]]


def build_router(services: Services) -> APIRouter:
    """Routes under `/v1/`."""
    router = APIRouter(prefix="/v1", tags=["ledger"])
    ledger = services.ledger

    @router.post("/transactions")
    async def submit(request: Request) -> dict[str, Any]:
        """A signed transaction (CBOR). Answers when its block is durable."""
        return views.receipt_view(await ledger.submit(await read_body(request, TX_BYTES_MAX)))

    @router.get("/transactions/{transaction}")
    async def receipt(transaction: str) -> dict[str, Any]:
        found = ledger.receipt(ids.decode_id(ids.TX, transaction))
        if found is None:
            raise RuleError(303, "no such transaction is in a block")
        return views.receipt_view(found)

    _add_reads(router, ledger)
    return router


def _add_reads(router: APIRouter, ledger: Ledger) -> None:
    """GET one and GET a list, for each kind of record."""

    def key_view(kid: bytes, value: values.KeyValue) -> dict[str, Any]:
        return views.key_view(kid, value, ledger.next_nonce(kid))

    _add_kind(router, ledger, "orgs", "org", _id_of(ids.ORG), values.decode_org, views.org_view)
    _add_kind(router, ledger, "keys", "key", _id_of(ids.KEY), values.decode_key, key_view)
    _add_kind(router, ledger, "points", "point", _id_of(ids.POINT), values.decode_point, views.point_view)
    _add_kind(router, ledger, "firmware", "firmware", decode_hash, values.decode_firmware, views.firmware_view)
    _add_kind(router, ledger, "devices", "device", _id_of(ids.DEVICE), decode_device_value, views.device_view)


def _add_kind(
    router: APIRouter,
    ledger: Ledger,
    name: str,
    kind: str,
    decode_name: Callable[[str], bytes],
    decode_value: Callable[[bytes], Any],
    view: View,
) -> None:
    @router.get(f"/{name}/{{id}}", name=f"{kind}_get")
    async def one(id: str) -> dict[str, Any]:
        key = decode_name(id)
        value = ledger.get(cbor.encode([kind, key]))
        if value is None:
            raise RuleError(303, f"no such {kind} on the ledger")
        return view(key, decode_value(value))

    @router.get(f"/{name}", name=f"{kind}_list")
    async def many(limit: Limit = LIST_MAX, after: str | None = None) -> list[dict[str, Any]]:
        """In the order of the ids; `after` an id goes on from there."""
        start = b"" if after is None else cbor.encode([kind, decode_name(after)])
        found: list[dict[str, Any]] = []
        while len(found) < limit:
            rows = ledger.page(kind, after=start, limit=min(limit - len(found), PAGE))
            found += [view(_last_part(key), decode_value(value)) for key, value in rows]
            if len(rows) < PAGE:
                break
            start = rows[-1][0]
            await asyncio.sleep(0)  # decoding is work: others may go on between two pages
        return found


def _id_of(prefix: str) -> Callable[[str], bytes]:
    return lambda text: ids.decode_id(prefix, text)


def decode_hash(text: str) -> bytes:
    """32 bytes in hexadecimal. Raises DecodeError 190."""
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != 32:
        raise DecodeError(190, "not a hash of 64 hexadecimal digits")
    return data


def _last_part(key: bytes) -> bytes:
    parts = cbor.decode(key)
    assert isinstance(parts, list)
    return cbor.check_bytes(parts[-1], 0, 64)
