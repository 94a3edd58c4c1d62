"""Reads the meter every period and makes each reading durable.

In: the meter, the clock. Out: readings in the journal, lines in the notebook. Never skips a round because the meter is silent: that is a
reading too ("no data"), as soon as the meter has once told what it is. Feeds the watchdog once a round.
"""

from hashlib import sha256

from edge import clock as clocks
from edge.memory import forget
from edge.records import Context
from shared.errors import DecodeError

STATUS_OK = 0
STATUS_UNSYNCED = 5
SEEK_S = 2


def count_registers(table: bytes) -> int:
    """Raises DecodeError for what is no channel table."""
    from edge import tables

    try:
        return tables.count_registers(table)
    finally:
        forget("tables")


class TableStore:
    """The channel table last seen, in a file: with a silent meter at boot, readings still have a meaning."""

    def __init__(self, folder: str, channel: int) -> None:
        self._path = f"{folder}/channel-{channel}.cbor"

    def load(self) -> bytes | None:
        try:
            with open(self._path, "rb") as file:
                data = file.read()
            count_registers(data)
        except (OSError, DecodeError):
            return None  # a torn or missing file is written again when the meter answers
        return data

    def save(self, table: bytes) -> None:
        with open(self._path, "wb") as file:
            file.write(table)


class Sampler:
    """`table` is the channel table in use (None before the meter was ever seen). `on_reading(clock quality)` and `on_table()` are called
    after the fact is durable."""

    def __init__(
        self,
        config: object,
        clock: object,
        meter: object,
        journal: object,
        store: object,
        build: object,
        health: object,
        notebook: object,
        on_reading: object,
        on_table: object,
    ) -> None:
        self._config = config
        self._clock = clock
        self._meter = meter
        self._journal = journal
        self._store = store
        self._build = build
        self._health = health
        self._notebook = notebook
        self._on_reading = on_reading
        self._on_table = on_table
        self._context: Context | None = None
        self.table: bytes | None = None
        table = store.load()
        if table is not None:
            self._use(table)

    async def run(self) -> None:
        period_s = self._config.period_s
        while True:
            await self.take()
            self._health.feed()
            now_s = self._clock.now().time_s
            wait_s = period_s - now_s % period_s
            if self.table is None:
                wait_s = min(wait_s, SEEK_S)  # an installer is waiting for the meter to be found
            await self._clock.sleep_until(now_s + wait_s)

    async def take(self) -> None:
        now = self._clock.now()
        registers, status = await self._meter.read()
        if self._meter.table is not None and self._meter.table != self.table:
            self._store.save(self._meter.table)
            self._use(self._meter.table)
            self._on_table()
        if self.table is None:
            self._health.count("meter_never_seen")
            return
        if len(registers) != self._registers:
            registers = [None] * self._registers
        if status == STATUS_OK and now.quality == clocks.UNSYNCED:
            status = STATUS_UNSYNCED
        seq = self._journal.append(self._context_for(now.quality), now.time_s, registers, status)
        self._notebook.taken(seq, now.time_s)
        self._health.count("taken")
        if status not in (STATUS_OK, STATUS_UNSYNCED):
            self._health.count(f"taken_with_status_{status}")
        self._on_reading(now.quality)

    def _use(self, table: bytes) -> None:
        self.table = table
        self._registers = count_registers(table)
        self._context = None

    def _context_for(self, quality: int) -> Context:
        if self._context is None or self._context.clock != quality:
            self._context = Context(
                self._journal.boot,
                self._config.channel,
                quality,
                self._build.tier,
                self._registers,
                sha256(self.table).digest(),
                self._build.firmware,
            )
        return self._context
