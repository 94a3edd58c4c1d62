"""Looks at the node every few seconds, so that it is known since when something is wrong, and answers who asks.

In: the running parts. Out: troubles, numbers, metrics. Never changes anything, and never fails because a store does: then it says what it
knew last.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from server.registry.attestation import Attestations
from shared.errors import Unavailable

from .facts import Facts, read_facts
from .metrics import render
from .numbers import Numbers, Parts, read_numbers
from .trouble import Memory, Trouble, build_troubles, counts_of, node_troubles, note

INTERVAL_S = 5.0
FACTS_AGE_S = 60  # for metrics: facts cost a read of every device


class Watch:
    """One for a node; `run()` keeps its memory."""

    def __init__(self, parts: Parts, attestations: Attestations, now_s: Callable[[], float] = time.time) -> None:
        self._parts = parts
        self._attestations = attestations
        self._now_s = now_s
        self._memory = Memory()
        self._facts = Facts(0, (), (), ())
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self.numbers()
            await asyncio.sleep(INTERVAL_S)

    def numbers(self) -> Numbers:
        """The numbers now, noted."""
        numbers = read_numbers(self._parts, int(self._now_s()))
        note(self._memory, numbers)
        return numbers

    def node_troubles(self) -> list[dict[str, Any]]:
        """What is wrong with the node itself, for everybody: known also while no store can be read or written, and without any name."""
        numbers = self.numbers()
        return [
            {"kind": trouble.kind, "act": trouble.act, "since_s": trouble.since_s, "what": trouble.what, "do": trouble.do}
            for trouble in node_troubles(self._memory, numbers.now_s)
        ]

    async def troubles(self) -> tuple[Numbers, Facts, list[Trouble]]:
        """Everything that is wrong now."""
        facts = await self._read(None)
        numbers = self.numbers()
        return numbers, facts, build_troubles(self._memory, facts)

    def counts(self, facts: Facts, org: bytes) -> Mapping[str, int]:
        """How many devices of an organization are how."""
        return counts_of(self._memory, replace(facts, devices=tuple(device for device in facts.devices if device.org == org)))

    async def metrics(self) -> str:
        """Prometheus text; what is read from stores may be a minute old."""
        facts = await self._read(FACTS_AGE_S)
        numbers = self.numbers()
        return render(numbers, facts, self._memory)

    async def _read(self, age_s: int | None) -> Facts:
        """Facts no older than that (None: of now), or the last ones if a store cannot be read; one reading at a time."""
        async with self._reading:
            now_s = int(self._now_s())
            if age_s is None or not 0 <= now_s - self._facts.now_s <= age_s:
                try:
                    self._facts = await read_facts(self._parts.evidence, self._parts.ledger, self._attestations, now_s)
                    self._memory.unreadable = None
                except Unavailable as error:
                    self._memory.unreadable = str(error)
            return self._facts
