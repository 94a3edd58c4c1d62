"""The two logs as C2SP tlog-tiles: checkpoints, hash tiles and entry bundles, as files.

In: a log's directory and a path. Out: its bytes; tiles may be cached forever, checkpoints never. Never opens a file outside the directory.
"""

import asyncio
import re
from pathlib import Path

from fastapi import APIRouter, Response

from shared.errors import RuleError

IMMUTABLE = "public, max-age=31536000, immutable"
_TILE = re.compile(r"(entries|[0-9]|[1-5][0-9]|6[0-3])/(x[0-9]{3}/){0,4}[0-9]{3}(\.p/([1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?")


def build_router(name: str, directory: Path) -> APIRouter:
    """Routes under `/<name>/`."""
    router = APIRouter(prefix=f"/{name}", tags=["logs"])

    @router.get("/checkpoint", response_class=Response)
    async def checkpoint() -> Response:
        data = await asyncio.to_thread(read_file, directory / "checkpoint")
        return Response(data, headers={"Cache-Control": "no-cache"}, media_type="text/plain; charset=utf-8")

    @router.get("/tile/{path:path}", response_class=Response)
    async def tile(path: str) -> Response:
        if not _TILE.fullmatch(path):
            raise RuleError(303, "no tile has such a name")
        data = await asyncio.to_thread(read_file, directory / "tile" / path)
        return Response(data, headers={"Cache-Control": IMMUTABLE}, media_type="application/octet-stream")

    return router


def read_file(path: Path) -> bytes:
    """Raises RuleError 303."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise RuleError(303, "the log has no such file (now)") from None
