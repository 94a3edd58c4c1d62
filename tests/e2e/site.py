"""A whole site: meter, one device as a process, a broker that is hostile or real, and the backend in this process or as `meterproof serve`.

In: a folder, an image of the firmware. Out: all of it running, and a strict count at the end. Contains no test.
"""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from server.cli import main as cli_main
from server.config import load_config
from server.evidence.fsck_report import Report
from server.evidence.tiles import TileReader
from server.fsck import fsck
from server.keystore import SigningKey
from server.ledger.transactions import build_tx
from server.main import Backend
from server.registry.attestation import evidence_hash
from shared import attest, channel, ids, merkle, note
from shared.statement import open_statement
from shared.types import Evidence
from tests.cli.running import CLI, ROOT, free_port
from tests.e2e.broker import HostileBroker
from tests.e2e.real_broker import RealBroker
from tests.edge.device import Device
from tests.edge.meter import Meter

WAIT_S = 60.0
CLOCK = {"kind": "simulated", "epoch_s": 1_700_000_000, "scale_milli": 10_000}


async def until(condition: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Waits for something that happens in another process or task; generous, for the machine may be busy."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


class Site:
    """`opened` brings up meter, broker and home; then `device` and `backend` are started by the test."""

    def __init__(self, folder: Path, interpreter: str, image: Path, broker: HostileBroker | RealBroker | None = None) -> None:
        self.home = folder / "home"
        self.folder = folder / "device"
        self.folder.mkdir()
        self.interpreter = interpreter
        self.image = image
        self.broker: Any = broker or HostileBroker()
        self.serve_process: asyncio.subprocess.Process | None = None

    @contextlib.asynccontextmanager
    async def opened(self, *init_options: str) -> AsyncIterator["Site"]:
        async with Meter() as self.meter, self.broker:
            url = f"mqtt://127.0.0.1:{self.broker.port}"
            options = ["--org", "Sunny", "--http-port", str(free_port()), "--broker-url", url, *init_options]
            assert cli_main(["init", str(self.home), *options]) == 0
            self.config = load_config(self.home)
            self.admin = SigningKey.load(self.config.key_path("admin"))
            self.node_key = SigningKey.load(self.config.key_path("node")).cose_key
            self.device = Device(
                self.folder,
                self.interpreter,
                self.image,
                self.node_key,
                self.broker.port,
                self.meter.port,
                org=ids.encode_id(ids.ORG, self.config.org),
                origin=self.config.origin,
                clock=CLOCK | {"wall_ms": int(time.time() * 1000)},
            )
            try:
                yield self
            finally:
                if self.device.process:
                    await self.device.kill()
                await self.kill_serve()
                print("\n".join(self.device.output[-20:]))  # shown by pytest when the test fails

    # --- the backend as a person drives it

    async def transact(self, backend: Backend, tx_type: str, body: dict[int, object]) -> bytes:
        """A transaction of the admin; gives its identity."""
        nonce = backend.ledger.next_nonce(self.admin.kid)
        receipt = await backend.ledger.submit(build_tx(self.admin, self.config.chain_id, self.config.org, nonce, tx_type, body))
        assert receipt.code == 0, receipt
        return bytes(receipt.identity)

    async def enroll(self, backend: Backend) -> Evidence:
        """Waits for the device's evidence, with its meter in it, and enrols it."""
        data = await asyncio.wait_for(whole_evidence(backend), WAIT_S)
        evidence = attest.open_evidence(data)[1]
        await self.transact(backend, "firmware.add", {1: evidence.firmware, 2: "meterproof-edge", 3: "0.1.0"})
        point = sha256(b"point" + await self.transact(backend, "point.create", {1: "Roof", 2: None, 3: "UTC"})).digest()[:10]
        table = evidence.channels[0]
        assignment = [0, point, channel.decode_table(table).serial, channel.table_hash(table), CLOCK["epoch_s"]]
        body = {1: evidence.device, 2: evidence.cose_key, 3: 1, 4: evidence.firmware, 5: self.config.origin, 6: [assignment]}
        await self.transact(backend, "device.enroll", {**body, 7: evidence_hash(data)})
        self.device_id = evidence.device
        return evidence

    async def serve(self, kill_at: str = "") -> asyncio.subprocess.Process:
        """`meterproof serve` as a process, which may be told to die; returns at once."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "METERPROOF_KILL_AT": kill_at}
        with (self.home / "serve.log").open("ab") as log:
            self.serve_process = await asyncio.create_subprocess_exec(
                *CLI, "serve", "--home", str(self.home), stdout=log, stderr=log, env=environment
            )
        return self.serve_process

    async def stop_serve(self) -> None:
        assert self.serve_process is not None
        self.serve_process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(self.serve_process.wait(), 30) == 0, (self.home / "serve.log").read_text()

    async def kill_serve(self) -> None:
        if self.serve_process is not None and self.serve_process.returncode is None:
            self.serve_process.kill()
            await self.serve_process.wait()

    # --- at the end

    async def drain(self) -> None:
        """The device takes no more readings, and ends when everything it holds is acked."""
        await self.device.kill()
        self.device.arguments = ["drain"]
        await self.device.start()
        assert await asyncio.wait_for(self.device.process.wait(), WAIT_S) == 0, self.device.output[-5:]

    def checkpoint(self) -> note.Checkpoint:
        """What the evidence log has published."""
        return note.decode_checkpoint(note.decode_note((self.home / "evidence-log/checkpoint").read_bytes()).text)

    def entries(self) -> list[bytes]:
        size = self.checkpoint().size
        return list(TileReader(self.home / "evidence-log", size).entries(0, size))

    def identities(self) -> list[bytes]:
        return [open_statement(data)[0].identity for data in self.entries()]

    def check_grown_from(self, old: note.Checkpoint) -> None:
        """What was published before is a prefix of what is published now."""
        new = self.checkpoint()
        reader = TileReader(self.home / "evidence-log", new.size)
        if old.size:
            merkle.verify_consistency(old.size, new.size, reader.consistency_path(old.size, new.size), old.root, new.root)

    async def report(self) -> Report:
        """The backend's files, counted again."""
        report = await fsck(self.home)
        assert report.ok, report.problems + report.derived_problems
        identities = self.identities()
        assert len(identities) == len(set(identities)), "a statement was logged twice"
        assert report.duplicates == 0, "a reading is stored twice"
        return report

    def stored(self, report: Report) -> set[int]:
        """Sequences of the device that are stored."""
        spans = report.devices[ids.encode_id(ids.DEVICE, self.device_id)]["sequences"]
        return {seq for first, count in spans for seq in range(first, first + count)}

    async def check_whole(self) -> None:
        """Every reading in the device's notebook is in the backend's files, once, and nothing else."""
        report = await self.report()
        taken = self.device.taken()
        assert len(taken) == len(set(taken)), "a sequence was used twice"
        assert self.stored(report) == set(taken)
        assert report.lost == 0


async def whole_evidence(backend: Backend) -> bytes:
    """The first evidence that waits and tells of a meter."""
    while True:
        for row in await backend.attestations.pending():
            if attest.open_evidence(row.evidence)[1].channels:
                return bytes(row.evidence)
        await asyncio.sleep(0.02)
