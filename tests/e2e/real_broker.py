"""Real brokers that die and stand still, and a slow line to them. In: a kind, a folder. Out: a process; a port that only trickles. Contains
no test."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from server.bench.brokers import broker_command
from tests.cli.running import ROOT, free_port

PIECE_BYTES = 256


async def listens(port: int) -> None:
    """Returns when somebody does."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.05)


class RealBroker:
    """`kind` is "mosquitto" or "amqtt"; it keeps its port over restarts. `port` is where clients connect: the near end of `line`."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.own_port = free_port()
        self.line = SlowLine(self.own_port)
        self._command = broker_command(kind, folder, self.own_port)
        self._log = folder / "broker.log"
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> "RealBroker":
        await self.start()
        await self.line.__aenter__()
        self.port = self.line.port
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.line.__aexit__()
        await self.kill()

    async def start(self) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*self._command, stdout=log, stderr=log, env=environment)
        await listens(self.own_port)

    async def kill(self) -> None:
        """SIGKILL: all it had acknowledged and not yet delivered is gone."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing moves."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class SlowLine:
    """A TCP proxy that lets `bytes_per_s` through each way of each connection; 0 is no limit. `carried`: bytes so far."""

    def __init__(self, to_port: int, bytes_per_s: int = 0) -> None:
        self.to_port = to_port
        self.bytes_per_s = bytes_per_s
        self.carried = 0
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "SlowLine":
        # A small buffer: what the sender has handed over is not to count as carried.
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=PIECE_BYTES)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to_port, limit=PIECE_BYTES)
            with contextlib.suppress(asyncio.CancelledError):
                await self._both(reader, far_writer, far_reader, writer)
            far_writer.close()
        writer.close()

    async def _both(self, *ends: asyncio.StreamReader | asyncio.StreamWriter) -> None:
        """Until either way ends."""
        ways = [asyncio.create_task(self._carry(ends[0], ends[1])), asyncio.create_task(self._carry(ends[2], ends[3]))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(PIECE_BYTES):
            writer.write(data)
            await writer.drain()
            self.carried += len(data)
            if self.bytes_per_s:
                await asyncio.sleep(len(data) / self.bytes_per_s)
