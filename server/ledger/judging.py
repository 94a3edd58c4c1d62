"""What a validator has to say against a batch of its own log, before it votes.

In: a batch, the evidence log with its rows, the registry as the ledger has it. Out: objections. Never vouches for a statement whose rows it
cannot vouch for: what this process's own ingest checked it takes on that verdict, everything older it reads and checks again, in the same
way as ingest does.
"""

import asyncio
from typing import Protocol

from server import fastcbor
from server.evidence.columns import check_columns
from server.evidence.log import EvidenceLog
from server.evidence.opening import open_statement, verify
from server.evidence.rows import Arrival
from shared import merkle
from shared.errors import DecodeError, RuleError, VerifyError
from shared.state import OBJECTIONS_MAX, BatchValue, DeviceValue, live_key_at

from .context import is_signed_by

CHUNK = 128
OBJECTION_BYTES_MAX = 50_000
_WORD_ONLY = (232, 233)  # nobody else can check these: a vote must name them all


class Devices(Protocol):
    """What is asked of the ledger."""

    def device(self, device: bytes, /) -> DeviceValue | None: ...


class Judge:
    """One for a log."""

    def __init__(self, ledger: Devices, log: EvidenceLog) -> None:
        self._ledger = ledger
        self._log = log

    async def objections(self, batch: BatchValue) -> list[list[object]]:
        """As a vote carries them. Raises VerifyError 270 for a damaged log, 245 if a vote cannot name all, 202 for a signature that this
        machine cannot check, 271 for a damaged ledger, DecodeError 132 for a torn tile."""
        return self._choose(batch, await self._faults(batch))

    def look_again(self) -> None:
        """What was read of the log's files may have been put right since."""
        self._log.reader.forget()

    async def _faults(self, batch: BatchValue) -> dict[int, int]:
        """Log index → code of what is wrong with that statement."""
        if self._log.reader.root(batch.new_size) != batch.root:
            raise VerifyError(270, "the batch is another log than is stored here")
        known_from = min(max(batch.old_size, self._log.checked_from), batch.new_size)
        faults: dict[int, int] = {}
        for low in range(batch.old_size, known_from, CHUNK):
            faults.update(await self._recheck(low, min(low + CHUNK, known_from), batch.height))
        for (device, kid), indices in (await self._log.store.signers(known_from, batch.new_size)).items():
            code = _key_fault(self._ledger.device(device), kid, batch.height)
            if code:
                faults.update(dict.fromkeys(indices, code))
        return faults

    async def _recheck(self, low: int, high: int, height: int) -> dict[int, int]:
        """The same from what is stored, for statements that another process let in."""
        arrivals = await self._log.store.arrivals(low, high)
        faults = {}
        for index, data in enumerate(self._log.reader.entries(low, high), low):
            if merkle.leaf_hash(data) != self._log.reader.node(0, index):
                raise VerifyError(270, f"entry {index} is not what the log commits to")
            code = self._fault(data, arrivals.get(index), height)
            if code:
                faults[index] = code
            await asyncio.sleep(0)
        return faults

    def _fault(self, data: bytes, arrival: Arrival | None, height: int) -> int:
        """Code of the first thing wrong with a stored statement or its rows, 0 for nothing."""
        try:
            signed, statement = open_statement(data)
        except DecodeError:
            return 231
        device = self._ledger.device(statement.device)
        code = _key_fault(device, signed.kid, height)
        if code or device is None:
            return code or 320
        if not is_signed_by(signed, live_key_at(device, signed.kid, height).cose_key, verify):
            return 201
        try:
            salt, body = (None, None) if arrival is None else (arrival.salt, arrival.unpacked())
            check_columns(statement, salt, None if body is None else fastcbor.decode(body))
        except VerifyError as error:
            return error.code
        except DecodeError:
            return 233
        return 0

    def _choose(self, batch: BatchValue, faults: dict[int, int]) -> list[list[object]]:
        """All about rows, others as there is room, since every verifier finds those itself."""
        must = [index for index, code in faults.items() if code in _WORD_ONLY]
        others = [index for index, code in faults.items() if code not in _WORD_ONLY]
        chosen: dict[int, list[object]] = {}
        room = OBJECTION_BYTES_MAX
        for index in must + others:
            objection, size = self._objection(batch, index, faults[index])
            if len(chosen) == OBJECTIONS_MAX or size > room:
                break
            chosen[index] = objection
            room -= size
        if any(index not in chosen for index in must):
            raise VerifyError(245, f"{len(must)} statements lack their rows: more than a vote can name")
        return [chosen[index] for index in sorted(chosen)]

    def _objection(self, batch: BatchValue, index: int, code: int) -> tuple[list[object], int]:
        data = self._log.reader.entry(index)
        path = self._log.reader.inclusion_path(index, batch.new_size)
        return [index, code, data, path], len(data) + 34 * len(path) + 24


def _key_fault(device: DeviceValue | None, kid: bytes, height: int) -> int:
    """0, or why that key could not speak for the device at that height."""
    try:
        live_key_at(device, kid, height)
    except RuleError as error:
        return error.code
    return 0
