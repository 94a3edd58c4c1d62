"""Where the simulation takes the place of the world: time, randomness, threads, disk, network of the real code, for as long as one run.

In: a run's loop, random numbers, store and network. Out: a context in which `time`, `os.urandom`, `sqlite3.connect`, `os.fsync` and their
like ask the run. Never leaves anything changed.
"""

import contextlib
import gc
import os
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.simulation.loop import InlineQueue, NoThread, VirtualLoop
from tests.simulation.store import Store

EPOCH_S = 1_800_000_000  # true time when a run starts


@dataclass
class Host:
    """A computer with a clock of its own: `offset_ms` from true time."""

    name: str
    offset_ms: int = 0
    meter: Any = None


HOST: ContextVar[Host] = ContextVar("host")


@contextlib.contextmanager
def world(loop: VirtualLoop, entropy: random.Random, store: Store, network: dict[str, Any]) -> Iterator[None]:
    """`network`: what takes the place of aiomqtt's client, the device's streams, its time server and its meter's bus."""

    def true_ns() -> int:
        return EPOCH_S * 1_000_000_000 + round(loop.time() * 1e9)

    def wall_ns() -> int:
        host = HOST.get(None)
        return true_ns() + (host.offset_ms * 1_000_000 if host else 0)

    real_fsync, real_connect = os.fsync, sqlite3.connect
    changes: dict[str, Any] = {
        "time.time": lambda: wall_ns() / 1e9,
        "time.time_ns": wall_ns,
        "time.monotonic": loop.time,
        "time.monotonic_ns": lambda: round(loop.time() * 1e9),
        "os.urandom": entropy.randbytes,
        "random._urandom": entropy.randbytes,
        "os.fsync": lambda handle: store.fsync(handle, real_fsync),
        "os.replace": _passing(store, "replace", os.replace),
        "os.unlink": _passing(store, "unlink", os.unlink),
        "os.mkdir": _passing(store, "mkdir", os.mkdir),
        "sqlite3.connect": lambda target, **kwargs: store.connect(target, real_connect, **kwargs),
        "aiosqlite.core.SimpleQueue": InlineQueue,
        "aiosqlite.core.Thread": NoThread,
        "edge.sealer.gc.collect": lambda: 0,  # a full collection at every bundle is for small heaps
        **network,
    }
    collecting = gc.isenabled()
    gc.disable()  # when a generator dies must not depend on what ran before
    try:
        with contextlib.ExitStack() as stack:
            for name, value in changes.items():
                stack.enter_context(patch(name, value))
            yield
    finally:
        if collecting:
            gc.enable()
        gc.collect()


def _passing(store: Store, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    """The last path is the one that is written."""

    def call(*args: Any, **kwargs: Any) -> Any:
        paths = [arg for arg in args if isinstance(arg, str | os.PathLike)]
        return store.file_call(name, paths[-1], lambda: real(*args, **kwargs))

    return call
