"""The programs of the demonstration, each its own process with its own log file.

In: commands. Out: running children that can be killed and started again. Never leaves one behind: `Children` ends what it started.
"""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from shared.errors import Unavailable

PORT_TIMEOUT_S = 20
STOP_TIMEOUT_S = 15
KILL_TIMEOUT_S = 5
LOG_TAIL_BYTES = 2000


def free_port() -> int:
    """A TCP port of the loopback that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, child: "Child") -> None:
    """Returns when `child` listens there. Raises Unavailable 410 if it ends before, or takes too long."""
    deadline = time.monotonic() + PORT_TIMEOUT_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            if not child.alive or time.monotonic() > deadline:
                raise Unavailable(410, f"{child.name} does not listen:\n{child.log_tail()}") from None
            time.sleep(0.02)
        else:
            return


@dataclass
class Child:
    """One program; `starts` counts how often it was started."""

    name: str
    command: list[str]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    starts: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def start(self, *arguments: str) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command, *arguments], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **self.env}, cwd=self.cwd
            )
        self.starts += 1

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """Of the running program."""
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL: no chance to say goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(KILL_TIMEOUT_S)

    def signal(self, number: signal.Signals) -> None:
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    def wait(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """True when it has ended by itself within the time."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        return True

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that is not heard."""
        self.signal(signal.SIGTERM)
        if not self.wait():
            self.kill()

    def log_tail(self) -> str:
        data = self.log_path.read_bytes() if self.log_path.exists() else b""
        return data[-LOG_TAIL_BYTES:].decode(errors="replace")


class Children:
    """Context of all children: at the end the last started is stopped first."""

    def __init__(self, log_dir: Path) -> None:
        self._log_dir = log_dir
        self._children: list[Child] = []
        log_dir.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, command: list[str], env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Child:
        child = Child(name, command, self._log_dir / f"{name}.log", env or {}, cwd)
        self._children.append(child)
        return child

    def dead(self) -> list[Child]:
        """Those that were started and have ended."""
        return [child for child in self._children if child.starts and not child.alive]

    def __enter__(self) -> "Children":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for child in reversed(self._children):
            child.stop()
