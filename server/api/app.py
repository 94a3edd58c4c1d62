"""The HTTP API: every route, one app, and the server that runs it inside the backend's event loop.

In: services. Out: a FastAPI app; a running server with its port. Never takes signals from the process and never listens beyond its address.
"""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from fastapi import FastAPI, Response

from shared.errors import Unavailable

from . import evidence, health, ledger, logs, problems
from .services import Services

CONCURRENCY_MAX = 128
KEEP_ALIVE_S = 5
SHUTDOWN_S = 3


def build_app(services: Services) -> FastAPI:
    """All routes."""
    app = FastAPI(title="Meterproof", docs_url=None, redoc_url=None, openapi_url="/v1/openapi.json")
    problems.install(app)

    @app.get("/v1/status", tags=["status"])
    async def status() -> dict[str, Any]:
        return await services.status()

    @app.get("/v1/genesis", tags=["status"], response_class=Response)
    async def genesis() -> Response:
        return Response(services.genesis, media_type="application/cbor")

    app.include_router(logs.build_router("evidence-log", services.evidence_log))
    app.include_router(logs.build_router("ledger-log", services.ledger_log))
    app.include_router(health.build_router(services))
    app.include_router(ledger.build_router(services))
    app.include_router(evidence.build_router(services))
    return app


class _Server(uvicorn.Server):
    """uvicorn that leaves SIGTERM and SIGINT to the composition root."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class ApiServer:
    """Listens from the moment it is made; `run()` serves until `stop()`."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._socket = listen(host, port)
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            date_header=False,
            limit_concurrency=CONCURRENCY_MAX,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        logging.getLogger("uvicorn").setLevel(logging.WARNING)
        self._server = _Server(config)

    async def run(self) -> None:
        """Until `stop()`, or cancelled."""
        try:
            await self._server.serve([self._socket])
        finally:
            self._socket.close()

    def stop(self) -> None:
        """Lets requests under way end, then `run()` returns."""
        self._server.should_exit = True

    async def started(self) -> None:
        """Returns when requests are answered."""
        while not self._server.started:
            await asyncio.sleep(0.005)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises Unavailable 410."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, port))
        server.listen(128)
    except OSError as error:
        server.close()
        raise Unavailable(410, f"cannot listen on {host}:{port}: {error.strerror}") from None
    return server
