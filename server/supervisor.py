"""Keeps one child process running: the backend's own broker.

In: a command. Out: the running child, started again with back-off when it ends. Never leaves it behind: the child watches its stdin, which
closes when this process is gone, however it went.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 10.0
STEADY_S = 30.0
STOP_TIMEOUT_S = 5.0
_LOG = logging.getLogger("meterproof.supervisor")


class Supervisor:
    """`starts` counts the starts; `pid` is None while nothing runs."""

    def __init__(self, name: str, command: Sequence[str], backoff_first_s: float = BACKOFF_FIRST_S) -> None:
        self._name = name
        self._command = command
        self._backoff_first_s = backoff_first_s
        self._process: asyncio.subprocess.Process | None = None
        self.starts = 0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def run(self) -> None:
        """Until cancelled."""
        backoff_s = self._backoff_first_s
        loop = asyncio.get_running_loop()
        while True:
            started_s = loop.time()
            code = await self._run_once()
            if loop.time() - started_s > STEADY_S:
                backoff_s = self._backoff_first_s
            _LOG.warning("%s ended with code %s; starting it again in %.1f s", self._name, code, backoff_s)
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, BACKOFF_MAX_S)

    async def _run_once(self) -> int:
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=asyncio.subprocess.PIPE)
        self.starts += 1
        try:
            return await self._process.wait()
        finally:
            await self._stop(self._process)

    async def _stop(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
