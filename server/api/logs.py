"""The two logs as C2SP tlog-tiles: checkpoints, hash tiles and entry bundles, as files.

In: a log's directory and a path. Out: its bytes; tiles may be cached forever, checkpoints never. Never opens a file outside the directory,
never shows what no published checkpoint covers: a crash may still take that back, and a cache would hold it for good.
"""

import asyncio
import re
from pathlib import Path

from fastapi import APIRouter, Response

from server.evidence.tile_files import WIDTH
from shared import note
from shared.errors import RuleError

IMMUTABLE = "public, max-age=31536000, immutable"
_TILE = re.compile(
    r"(?P<level>entries|[0-9]|[1-5][0-9]|6[0-3])/(?P<number>(x[0-9]{3}/){0,4}[0-9]{3})(\.p/(?P<width>[1-9]|[1-9][0-9]|1[0-9]{2}|2[0-4][0-9]|25[0-5]))?"
)


def build_router(name: str, directory: Path) -> APIRouter:
    """Routes under `/<name>/`."""
    router = APIRouter(prefix=f"/{name}", tags=["logs"])

    @router.get("/checkpoint", response_class=Response)
    async def checkpoint() -> Response:
        data = await asyncio.to_thread(read_file, directory / "checkpoint")
        return Response(data, headers={"Cache-Control": "no-cache"}, media_type="text/plain; charset=utf-8")

    @router.get("/tile/{path:path}", response_class=Response)
    async def tile(path: str) -> Response:
        data = await asyncio.to_thread(read_tile, directory, path)
        return Response(data, headers={"Cache-Control": IMMUTABLE}, media_type="application/octet-stream")

    return router


def read_tile(directory: Path, path: str) -> bytes:
    """A tile or entry bundle that the published checkpoint covers whole. Raises RuleError 303."""
    named = _TILE.fullmatch(path)
    if named is None:
        raise RuleError(303, "no tile has such a name")
    level = 0 if named["level"] == "entries" else int(named["level"])
    number = int(named["number"].replace("x", "").replace("/", ""))
    size = note.decode_checkpoint(note.decode_note(read_file(directory / "checkpoint")).text).size
    if number * WIDTH + int(named["width"] or WIDTH) > size >> (8 * level):
        raise RuleError(303, "no checkpoint covers this (yet)")
    return read_file(directory / "tile" / path)


def read_file(path: Path) -> bytes:
    """Raises RuleError 303."""
    try:
        return path.read_bytes()
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise RuleError(303, "the log has no such file (now)") from None
