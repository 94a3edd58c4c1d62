"""The backend under simulation: the real composition root on a simulated disk, started again whenever it died.

In: a store, a home. Out: generation after generation of a running Backend; after each death the home is checked by fsck. What it never
runs: HTTP, and a broker of its own.
"""

import asyncio
import random
import sqlite3
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from server.config import Config
from server.fsck import fsck
from server.keystore import SigningKey
from server.ledger.genesis import build_genesis
from server.ledger.transactions import build_tx
from server.main import Backend
from shared.errors import MeterproofError, Unavailable
from tests.simulation.faults import Trace
from tests.simulation.seams import EPOCH_S, HOST, Host
from tests.simulation.store import Killed, Store

ORG = b"S" * 10
ORIGIN = "example.org/simulation/evidence"
CHAIN = "simulation"
STOP_S_MAX = 60.0
SUBMIT_S_MAX = 30.0
FSCK_ALWAYS, FSCK_EVERY = 3, 8  # after a death: it reads everything, and some seeds die a hundred times
FIRMWARE = sha256(b"simulated firmware").digest()


class NoApi:
    """Stands where the HTTP server stands."""

    url = "http://nowhere"

    def __init__(self, *_: object) -> None:
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        await self._stopped.wait()

    async def started(self) -> None:
        pass

    def stop(self) -> None:
        self._stopped.set()


class Node:
    """`backend`: the living one, None while there is none. `on_violation(text)` goes to the checkers."""

    def __init__(self, store: Store, rng: random.Random, trace: Trace) -> None:
        self._store = store
        self._rng = rng
        self._trace = trace
        self.host = Host("backend")
        self.keys = {name: SigningKey.from_seed(rng.randbytes(32)) for name in ("node", "validator", "admin")}
        self.backend: Backend | None = None
        self.on_violation: Callable[[str], None] = lambda text: None
        self.on_home: Callable[[], None] = lambda: None
        self._crashed: asyncio.Event | None = None
        self._stop_asked: asyncio.Event | None = None
        self._deaths = 0
        self._begun = False
        self.genesis = self._build_genesis()

    def _build_genesis(self) -> bytes:
        node, validator, admin = (self.keys[name] for name in ("node", "validator", "admin"))
        keys = [(admin.cose_key, ["admin", "installer", "operator"], "admin"), (node.cose_key, ["node"], "node")]
        keys.append((validator.cose_key, ["validator"], "validator"))
        return build_genesis(CHAIN, EPOCH_S, ORG, "Simulation", keys, [(validator.cose_key, 1)], [(ORIGIN, node.kid)])

    def install(self) -> None:
        """The home before the first start."""
        home = self._store.home
        (home / "keys").mkdir(parents=True)
        for name, key in self.keys.items():
            key.save(home / "keys" / f"{name}.key")
        (home / "genesis.cbor").write_bytes(self.genesis)
        self._store.adopt()

    async def run(self) -> None:
        """For ever, in the context of its host."""
        HOST.set(self.host)
        self._crashed, self._stop_asked = asyncio.Event(), asyncio.Event()
        self._store.on_crash = self._crashed.set
        await self._keep_running()

    def ask_stop(self) -> None:
        """SIGTERM; it is started again."""
        if self._stop_asked is not None:
            self._stop_asked.set()

    def kill(self) -> None:
        """SIGKILL between two writes."""
        if not self._store.dead:
            self._store.crash()

    async def _keep_running(self) -> None:
        while True:
            await self._one_life()
            await asyncio.sleep(self._rng.expovariate(1 / 20))

    async def _one_life(self) -> None:
        assert self._crashed is not None and self._stop_asked is not None
        self._crashed.clear()
        self._stop_asked.clear()
        self._trace.note("backend starts", self._store.home.name)
        life = asyncio.create_task(self._live())
        signals = [asyncio.create_task(event.wait()) for event in (self._crashed, self._stop_asked)]
        await asyncio.wait([life, *signals], return_when=asyncio.FIRST_COMPLETED)
        self.backend = None
        for signal in signals:
            signal.cancel()
        life.cancel()
        done, _ = await asyncio.wait([life], timeout=STOP_S_MAX)
        if self._store.dead:
            self._trace.note("backend dead", self._store.home.name)
            if done and not life.cancelled():
                life.exception()
            self._store.bury()
            self.on_home()
            self._deaths += 1
            if self._deaths <= FSCK_ALWAYS or self._deaths % FSCK_EVERY == 0:
                await self.check_home()
            return
        if not done:
            self.on_violation(f"the backend did not stop within {STOP_S_MAX:.0f} s")
            return
        error = None if life.cancelled() else life.exception()
        self._trace.note("backend ended", repr(error) if error else "")
        wrong = (
            []
            if error is None
            else [one for one in _leaves(error) if not isinstance(one, (Unavailable, OSError, sqlite3.OperationalError))]
        )
        if wrong:
            self.on_violation(f"the backend stopped: {wrong[0]!r}")

    async def _live(self) -> None:
        config = Config(self._store.home, CHAIN, ORG, ORIGIN, broker_url="mqtt://broker")
        async with Backend(config) as backend:
            self.backend, self._begun = backend, True
            self._trace.note("backend runs", f"log {backend.evidence.head.size} height {backend.ledger.height}")
            await asyncio.Event().wait()

    async def check_home(self) -> None:
        """fsck of what lies there now, while nobody writes; a home whose first start was cut short holds nothing yet."""
        if not self._begun:
            return
        calm, full = self._store.calm, self._store.full
        self._store.calm, self._store.full = True, False
        try:
            report = await fsck(self._store.home)
            problems = report.problems + report.derived_problems
        except (MeterproofError, sqlite3.Error, OSError, Killed) as error:
            problems = [f"fsck could not run: {error!r}"]
        self._store.calm, self._store.full = calm, full
        if problems:
            self.on_violation(f"fsck: {problems[0]} ({len(problems)} problems)")

    # --- asking it

    async def submit(self, kind: str, body: dict[int, Any]) -> Any:
        """A transaction of the admin. Raises what the ledger raises; Unavailable where there is no ledger now, or no answer."""
        backend = self.backend
        if backend is None:
            raise Unavailable(400, "no backend")
        key = self.keys["admin"]
        data = build_tx(key, CHAIN, ORG, backend.ledger.next_nonce(key.kid), kind, body)
        try:
            return await asyncio.wait_for(backend.ledger.submit(data), SUBMIT_S_MAX)
        except TimeoutError:
            raise Unavailable(400, "no answer: the backend died meanwhile") from None


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]
