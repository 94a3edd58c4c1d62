"""Statements on their way into the log: what is known of each, and who waits for it.

In: what ingest let in. Out: records and futures. Never decides anything.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.errors import MeterproofError
from shared.types import Ack

from .derive import Entry
from .packing import pack_rows
from .rows import Arrival


@dataclass(frozen=True, slots=True)
class Admission:
    """A statement that ingest let in: its bytes, what came beside it, and what it is judged by."""

    data: bytes
    entry: Entry
    arrival: Arrival


@dataclass(frozen=True, slots=True)
class Logged:
    """A statement is durable: at `index` (None for a duplicate). `ack` is set on the last answer of a round to each device."""

    index: int | None
    ack: Ack | None


@dataclass(eq=False, slots=True)
class Waiting:
    admission: Admission
    future: "asyncio.Future[Logged]"
    index: int | None = None
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = len(self.admission.data) + len(self.admission.arrival.body or b"")

    @property
    def identity(self) -> bytes:
        return self.admission.entry.identity

    @property
    def device(self) -> bytes:
        return bytes(self.admission.entry.statement.device)

    def row(self) -> tuple[object, ...]:
        """As the table of rows has it."""
        arrival = self.admission.arrival
        body = None if arrival.body is None else pack_rows(arrival.body)
        return self.index, arrival.received_s, arrival.height, int(arrival.table_known), arrival.salt, body


def fail(batch: Iterable[Waiting], error: MeterproofError) -> None:
    """Gives those that still wait their error."""
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)
            waiting.future.exception()  # nobody may be waiting any more; that is no reason for a warning
