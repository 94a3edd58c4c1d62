"""Routes to what was measured, with permission: evidence files, rows, findings, quarantine, attestations.

In: ids and an access token of the owning organization. Out: CBOR files and JSON. Never gives one organization the readings of another.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Response

from shared import ids
from shared.errors import RuleError

from . import views
from .guard import Person, check_owner
from .services import Services

LIST_MAX = 1000
ROWS_MAX = 10_000
SEQ_MAX = (1 << 63) - 1
Limit = Annotated[int, Query(ge=1, le=LIST_MAX)]
Seq = Annotated[int, Path(ge=0, le=SEQ_MAX)]
First = Annotated[int, Query(ge=0, le=SEQ_MAX)]
After = Annotated[int, Query(ge=-1, le=SEQ_MAX)]


def build_router(services: Services) -> APIRouter:
    """Routes under `/v1/`, each behind the guard."""
    router = APIRouter(prefix="/v1", tags=["evidence"])
    asking = Depends(services.guard)
    evidence = services.evidence

    @router.get("/evidence/{device}/{seq}", response_class=Response)
    async def evidence_file(device: str, seq: Seq, person: Person = asking) -> Response:
        """The evidence file of one reading (SPEC section 12)."""
        ueid = _owned_device(services, person, device)
        return Response(await evidence.evidence_file(ueid, seq), media_type="application/cbor")

    @router.get("/rows/{device}")
    async def rows(
        device: str, first_seq: First = 0, count: Annotated[int, Query(ge=1, le=ROWS_MAX)] = LIST_MAX, person: Person = asking
    ) -> list[dict[str, Any]]:
        """Readings of one device by sequence."""
        return await evidence.readings(_owned_device(services, person, device), first_seq, count)

    @router.get("/findings")
    async def findings(device: str | None = None, after: After = -1, limit: Limit = 100, person: Person = asking) -> list[dict[str, Any]]:
        """What was noticed about logged statements, oldest first; `after` a log index goes on from there."""
        ueid = None if device is None else _owned_device(services, person, device)
        return await evidence.findings(person.org, ueid, after, limit)

    @router.get("/quarantine")
    async def quarantine(limit: Limit = 100, person: Person = asking) -> list[dict[str, Any]]:
        """Bytes that nobody could vouch for, so they belong to nobody: for the node's own organization."""
        check_owner(person, services.founder)
        return await evidence.quarantine(limit)

    _add_attestations(router, services)
    return router


def _add_attestations(router: APIRouter, services: Services) -> None:
    asking = Depends(services.guard)

    @router.get("/attestations")
    async def pending(person: Person = asking) -> list[dict[str, Any]]:
        """Evidence of devices that wait for enrolment by this organization."""
        return [views.attestation_view(row) for row in await services.attestations.pending() if row.org == person.org]

    @router.get("/attestations/{device}")
    async def of_device(device: str, person: Person = asking) -> list[dict[str, Any]]:
        """All evidence kept about one device, newest first."""
        ueid = ids.decode_id(ids.DEVICE, device)
        rows = [row for row in await services.attestations.of_device(ueid) if row.org == person.org]
        if not rows:
            raise RuleError(303, "no evidence of such a device came")
        return [views.attestation_view(row) for row in rows]


def _owned_device(services: Services, person: Person, device: str) -> bytes:
    """The device, if it belongs to the asker's organization. Raises RuleError 303, 305."""
    ueid = ids.decode_id(ids.DEVICE, device)
    value = services.ledger.device(ueid)
    if value is None:
        raise RuleError(303, "no such device is enrolled")
    check_owner(person, value.org)
    return ueid
