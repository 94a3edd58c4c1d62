"""Routes to how the node is: alive, metrics, what is wrong.

In: a request. Out: JSON, or Prometheus text. `/health` and `/metrics` are open like `/v1/status`: numbers only, no name or id of anybody;
where the API can be reached decides who sees them. `/v1/troubles` names devices and needs an access token: everybody sees their own
organization's devices, people of the node's founding organization also the node's affairs. A token is used up in a store: while none can
be written, `/v1/status` still says what is wrong with the node itself. Never shows one organization another's devices.
"""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Depends, Response

from server.health import metrics as exposition
from server.health.trouble import Trouble, visible
from server.ledger.values import decode_point
from shared import ids
from shared.state import point_key

from .guard import Person
from .services import Ledger, Services

DEVICES_MAX = 1000  # named with each trouble


def build_router(services: Services) -> APIRouter:
    """The three routes."""
    router = APIRouter(tags=["status"])
    asking = Depends(services.guard)

    @router.get("/health")
    async def health() -> dict[str, str]:
        """Answers while the backend works; it stops as a whole when a part of it fails."""
        return {"status": "ok"}

    @router.get("/metrics", response_class=Response)
    async def metrics() -> Response:
        """For Prometheus."""
        return Response(await services.health.metrics(), headers={"Content-Type": exposition.CONTENT_TYPE})

    @router.get("/v1/troubles")
    async def troubles(person: Person = asking) -> dict[str, Any]:
        """What is wrong, since when, what to do; those that need a person (`act`) first."""
        numbers, facts, found = await services.health.troubles()
        of_node = person.org == services.founder
        return {
            "now_s": numbers.now_s,
            "facts_s": facts.now_s,
            "troubles": [trouble_view(trouble, services.ledger) for trouble in visible(found, person.org, services.founder)],
            "devices": services.health.counts(facts, person.org),
            "quarantine": [asdict(row) for row in facts.quarantine] if of_node else None,
            "numbers": asdict(numbers) if of_node else None,
        }

    return router


def trouble_view(trouble: Trouble, ledger: Ledger) -> dict[str, Any]:
    devices = [
        {
            "device": ids.encode_id(ids.DEVICE, item.device),
            "points": point_names(ledger, item.device),
            "since_s": item.since_s,
            "detail": item.detail,
        }
        for item in trouble.devices[:DEVICES_MAX]
    ]
    return {
        "kind": trouble.kind,
        "act": trouble.act,
        "since_s": trouble.since_s,
        "what": trouble.what,
        "do": trouble.do,
        "detail": trouble.detail,
        "devices_total": len(trouble.devices),
        "devices": devices,
    }


def point_names(ledger: Ledger, device: bytes) -> list[str]:
    """Names of the metering points that a device serves now: what people know it by."""
    value = ledger.device(device)
    points = {item.point for item in value.assignments if item.to_s is None} if value is not None else set()
    return sorted(decode_point(data).name for data in (ledger.get(point_key(point)) for point in points) if data is not None)
