"""The agent as its own process, in the real MicroPython or in CPython, from an image. In: a folder, ports. Out: a process that can be
killed, its notebook and its last status. Contains no test."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.edge.node import ORG, ORIGIN
from tests.micropython import binary

HEAP = "160k"
WAIT_S = 25.0


async def until(condition: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Waits for something that happens in another process."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        await asyncio.sleep(0.02)


class Device:
    """`start`, `kill` (SIGKILL), `stop` (SIGTERM). `clock` and others of the config may be changed between starts."""

    def __init__(
        self, folder: Path, interpreter: str, image: Path, node_key: bytes, broker_port: int, meter_port: int, **changes: object
    ) -> None:
        self.folder = folder
        self.interpreter = interpreter
        self.image = image
        self.process: asyncio.subprocess.Process | None = None
        self.status: dict[str, str] = {}
        self.output: list[str] = []
        self.arguments: list[str] = []
        self.entry = ["-m", "edge.main"]
        self.heap = HEAP
        self.config: dict[str, object] = {
            "org": ORG,
            "device_dir": str(folder),
            "origin": ORIGIN,
            "node_key": node_key.hex(),
            "broker_host": "127.0.0.1",
            "broker_port": broker_port,
            "meter": {"kind": "sunspec", "host": "127.0.0.1", "port": meter_port, "unit": 1},
            "period_s": 1,
            "bundle_count": 5,
            "bundle_max_s": 3600,
            # Twenty times as fast as real time, years ago: it never meets the host's clock.
            "clock": {"kind": "simulated", "epoch_s": 1_700_000_000, "wall_ms": int(time.time() * 1000), "scale_milli": 20_000},
            "flash": {"path": str(folder / "flash"), "sectors": 16},
            "notebook": str(folder / "notebook"),
            "status_s": 1,
        } | changes

    async def start(self) -> None:
        path = self.folder / "config.json"
        path.write_text(json.dumps(self.config))
        if self.interpreter == "micropython":
            command = [binary(), "-X", f"heapsize={self.heap}", *self.entry, str(path), *self.arguments]
            env = {"MICROPYPATH": f"{self.image}:.frozen"}
        else:
            command = [sys.executable, *self.entry, str(path), *self.arguments]
            env = {"PYTHONPATH": str(self.image), "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = await asyncio.create_subprocess_exec(
            *command, env=env, cwd=self.folder, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        self._reading = asyncio.create_task(self._read(self.process.stdout))

    async def _read(self, stream: asyncio.StreamReader) -> None:
        async for line in stream:
            text = line.decode().rstrip()
            self.output.append(text)
            if text.startswith("status "):
                self.status = dict(part.split("=", 1) for part in text.split()[1:])

    async def kill(self) -> None:
        if self.process and self.process.returncode is None:
            self.process.kill()
        await self._ended()

    async def stop(self) -> int:
        if self.process and self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGTERM)
        return await self._ended()

    async def _ended(self) -> int:
        code = await asyncio.wait_for(self.process.wait(), 10)
        await self._reading
        return code

    def count(self, name: str) -> int:
        return int(self.status.get(name, 0))

    def lines(self, word: str) -> list[list[str]]:
        """Notebook lines of one kind, without that word."""
        path = self.folder / "notebook"
        if not path.exists():
            return []
        return [line.split()[1:] for line in path.read_text().splitlines() if line.startswith(word + " ")]

    def taken(self) -> list[int]:
        return [int(line[0]) for line in self.lines("taken")]
