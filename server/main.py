"""Composition root: makes every part of the backend, wires them, runs them in one task group. It decides nothing else.

In: a Config. Out: a running Backend; `serve` until SIGTERM. Never starts with another process in the same home, or with keys the genesis
does not name.
"""

import asyncio
import contextlib
import logging
import secrets
import signal
import sys
import time
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from server.api.app import ApiServer, build_app
from server.api.guard import Guard
from server.api.reads import EvidenceReads
from server.api.services import Services
from server.backup.kept import open_kept
from server.config import Config
from server.evidence.evidence_file import EvidenceFileBuilder
from server.evidence.log import EvidenceLog
from server.evidence.rows import EvidenceStore, open_evidence_store
from server.health.numbers import Parts
from server.health.watch import Watch
from server.home import check_agreed, lock_home, read_genesis
from server.ingest.core import Ingest
from server.ingest.mqtt import Broker, MqttShell
from server.ingest.quarantine import Quarantine
from server.keystore import SigningKey
from server.ledger.anchor import Anchor
from server.ledger.engines.embedded import EmbeddedLedger
from server.ledger.genesis import Genesis
from server.registry.attestation import Attestations
from server.registry.records import RegistryStore, open_registry
from server.supervisor import Supervisor
from shared import ids
from shared.errors import MeterproofError

BROKER_WAIT_S = 10.0
SWITCH_S = 0.0005
_LOG = logging.getLogger("meterproof.main")


class Backend:
    """`async with Backend(config) as backend:` everything runs inside; if a part fails, the block is cancelled and its error raised."""

    ledger: EmbeddedLedger
    evidence: EvidenceLog
    ingest: Ingest
    attestations: Attestations
    watch: Watch
    api_url: str

    def __init__(self, config: Config) -> None:
        self.config = config
        self.broker_process: Supervisor | None = None
        self._stack = AsyncExitStack()
        self._ledger_closed = False
        self._started_s = time.monotonic()

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self._stack.__aexit__(*sys.exc_info())
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        try:
            return await self._stack.__aexit__(kind, error, trace)
        except BaseExceptionGroup as group:
            if group.exceptions == (error,):
                return False  # the block's own error, as it was raised
            raise

    async def _open(self) -> None:
        config = self.config
        self._stack.enter_context(lock_home(config.home))
        check_agreed(config.home)
        node, validator = (SigningKey.load(config.key_path(name)) for name in ("node", "validator"))
        genesis = read_genesis(config, node, validator)
        self._node_key = node.cose_key
        kept = open_kept(config, genesis)
        self.ledger = await EmbeddedLedger.open(config.home, genesis.data, node, kept.publisher(config.home / "ledger-log"))
        self._stack.push_async_callback(self._close_ledger)
        store = await self._stack.enter_async_context(open_evidence_store(config.home / "evidence.sqlite"))
        registry = await self._stack.enter_async_context(open_registry(config.home / "registry.sqlite"))
        self.evidence = await EvidenceLog.open(config.home / "evidence-log", store, config.origin, node, kept.evidence)
        self._build_ingest(node, store, registry)
        anchor = Anchor(self.ledger, self.evidence, node, validator)
        if config.broker_url is None:
            self.broker_process = Supervisor("broker", broker_command(config))
        parts = Parts(config, self.ledger, self.evidence, self.mqtt, self.ingest, self.quarantine, anchor, registry, validator.kid,
                      self.broker_process, _now_s())  # fmt: skip
        self.watch = Watch(parts, self.attestations)
        api = self._build_api(genesis, registry)
        await self._start(anchor, api)

    def _build_ingest(self, node: SigningKey, store: EvidenceStore, registry: RegistryStore) -> None:
        config = self.config
        self.attestations = Attestations(registry, self.ledger, node, config.origin, config.unknown_firmware, secrets.token_bytes)
        self.quarantine = Quarantine(store)
        host, port = config.mqtt_address
        self.mqtt = MqttShell(Broker(host, port, config.broker_user, config.broker_password(), config.mqtt_tls))
        self.ingest = Ingest(self.ledger, self.evidence, self.attestations, self.quarantine, node, self.mqtt.publish, _now_s)

    def _build_api(self, genesis: Genesis, registry: RegistryStore) -> ApiServer:
        files = EvidenceFileBuilder(self.ledger, self.evidence)
        services = Services(
            ledger=self.ledger,
            evidence=EvidenceReads(self.evidence, self.quarantine, self.ledger, files.build),
            attestations=self.attestations,
            guard=Guard(self.ledger, registry),
            status=self.status,
            health=self.watch,
            genesis=genesis.data,
            evidence_log=self.config.home / "evidence-log",
            ledger_log=self.config.home / "ledger-log",
            founder=genesis.org,
        )
        api = ApiServer(build_app(services), self.config.http_host, self.config.http_port)
        self.api_url = api.url
        return api

    async def _start(self, anchor: Anchor, api: ApiServer) -> None:
        """Left ones first; at the end what takes messages stops before what they are written to."""
        group = await self._stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(self.ledger.run(), name="ledger")
        self._stack.push_async_callback(self._close_ledger)
        await self._start_broker(group)
        works = {"evidence": self.evidence.run(), "anchor": anchor.run(), "watch": self.watch.run()}
        self._stack.push_async_callback(_cancel, *[group.create_task(work, name=name) for name, work in works.items()])
        self._stack.push_async_callback(_cancel, group.create_task(self.mqtt.run(self.ingest), name="mqtt"))
        serving = group.create_task(api.run(), name="api")
        self._stack.push_async_callback(_stop_api, api, serving)
        await api.started()

    async def _start_broker(self, group: asyncio.TaskGroup) -> None:
        """Our own, unless another is configured; waits a moment for it, and goes on without: it may come later."""
        if self.broker_process is None:
            return
        self._stack.push_async_callback(_cancel, group.create_task(self.broker_process.run(), name="broker"))
        await _await_port(*self.config.mqtt_address)

    async def _close_ledger(self) -> None:
        """Once: inside the task group, whose end waits for it, or outside when that never began."""
        if not self._ledger_closed:
            self._ledger_closed = True
            await self.ledger.close()

    async def status(self) -> dict[str, Any]:
        """The numbers of /v1/status."""
        log = self.ledger.log(self.config.origin)
        return {
            "chain_id": self.ledger.chain_id,
            "organization": ids.encode_id(ids.ORG, self.config.org),
            "origin": self.config.origin,
            "node_key": self._node_key.hex(),
            "height": self.ledger.height,
            "block_time_s": self.ledger.time_s,
            "app_hash": self.ledger.app_hash.hex(),
            "ledger_log_size": self.ledger.log_size,
            "evidence_log_size": self.evidence.head.size,
            "anchored_size": 0 if log is None else log.size,
            "batches": 0 if log is None else log.batches,
            "broker_connected": self.mqtt.connected,
            "broker_starts": None if self.broker_process is None else self.broker_process.starts,
            "pending_devices": len({row.device for row in await self.attestations.pending()}),
            "messages": dict(sorted(self.ingest.counts.items())),
            "connection": dict(sorted(self.mqtt.counts.items())),
            "uptime_s": int(time.monotonic() - self._started_s),
            "now_s": _now_s(),
            "troubles": self.watch.node_troubles(),
        }


async def serve(config: Config) -> None:
    """Runs a backend until SIGTERM or SIGINT. Raises the typed error of the part that failed."""
    # Stores and tiles are written in threads. While messages flood in, this one is never idle, and each hand-over waits for this long.
    sys.setswitchinterval(SWITCH_S)
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked.set)
    try:
        async with Backend(config) as backend:
            broker = config.broker_url or f"own broker on {config.broker_host}:{config.broker_port}"
            sizes = f"evidence log {backend.evidence.head.size}, block {backend.ledger.height}"
            _LOG.info("ready: chain %s, API %s, %s, %s", config.chain_id, backend.api_url, broker, sizes)
            await asked.wait()
            _LOG.info("stopping")
    except BaseExceptionGroup as group:
        error = _only_typed(group)
        if error is None:
            raise
        raise error from group
    _LOG.info("stopped")


def broker_command(config: Config) -> list[str]:
    """The command of the supervised broker."""
    command = [
        sys.executable,
        "-m",
        "server.cli",
        "broker",
        "--supervised",
        "--host",
        config.broker_host,
        "--port",
        str(config.broker_port),
    ]
    if config.broker_password_file is not None:
        command += ["--password-file", str(config.broker_password_file)]
    return command


def _now_s() -> int:
    return int(time.time())


async def _await_port(host: str, port: int) -> None:
    """Returns when somebody listens there, or after BROKER_WAIT_S."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BROKER_WAIT_S):
            while True:
                try:
                    _, writer = await asyncio.open_connection(host, port)
                except OSError:
                    await asyncio.sleep(0.05)
                else:
                    writer.close()
                    return


async def _cancel(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def _stop_api(api: ApiServer, serving: asyncio.Task[None]) -> None:
    api.stop()
    await asyncio.wait({serving})


def _only_typed(group: BaseExceptionGroup[BaseException]) -> MeterproofError | None:
    """The error to show, if every part that failed did so with one of ours."""
    errors: list[MeterproofError] = []
    waiting: list[BaseException] = [group]
    while waiting:
        error = waiting.pop()
        if isinstance(error, BaseExceptionGroup):
            waiting.extend(error.exceptions)
        elif isinstance(error, MeterproofError):
            errors.append(error)
        else:
            return None
    return errors[0] if errors else None
