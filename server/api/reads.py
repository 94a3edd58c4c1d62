"""What the evidence routes read: readings, findings and quarantine as JSON, evidence files as bytes.

In: the evidence log, its store, the ledger. Out: lists of plain values. Never decides who may see them: that is the guard.
"""

import asyncio
from typing import Any, Protocol

from server.evidence.log import EvidenceLog
from server.ingest.quarantine import Quarantine
from server.store.sqlite import fetch
from shared import bundle, ids
from shared.state import DeviceValue
from shared.statement import COUNT_MAX, open_statement

FINDINGS_READ_MAX = 4096
TIMES_READ_MAX = 500


class Devices(Protocol):
    """What is asked of the ledger."""

    def device(self, device: bytes, /) -> DeviceValue | None: ...


class EvidenceFiles(Protocol):
    """Builds evidence files."""

    async def __call__(self, device: bytes, seq: int, /) -> bytes: ...


class EvidenceReads:
    """One for a node."""

    def __init__(self, log: EvidenceLog, quarantine: Quarantine, ledger: Devices, build_file: EvidenceFiles) -> None:
        self._log = log
        self._quarantine = quarantine
        self._ledger = ledger
        self._build_file = build_file

    async def evidence_file(self, device: bytes, seq: int) -> bytes:
        """The file that proves one reading. Raises RuleError 303, and whatever stands against building it."""
        return await self._build_file(device, seq)

    async def readings(self, device: bytes, first_seq: int, count: int) -> list[dict[str, Any]]:
        """At most `count` readings from `first_seq` on, by sequence; one that was signed twice comes twice."""
        found: list[dict[str, Any]] = []
        query = (
            "SELECT log_index FROM statements WHERE device = ? AND first_seq >= ? AND last_seq >= ? ORDER BY first_seq, log_index LIMIT ?"
        )
        values = (device, max(first_seq - COUNT_MAX, 0), first_seq, count)
        for row in await fetch(self._log.store.reader, query, values):
            found += [item for item in await self._bundle(int(row[0])) if item["seq"] >= first_seq]
            if len(found) >= count:
                break
            await asyncio.sleep(0)  # unpacking is work: others may go on between two bundles
        return found[:count]

    async def _bundle(self, index: int) -> list[dict[str, Any]]:
        signed, statement = open_statement(self._log.reader.entry(index))
        arrival = await self._log.store.arrival(index)
        rows = None if arrival is None else arrival.rows()
        if rows is None:
            return []  # erased: the statement stays, the readings do not
        common = {
            "channel": statement.channel,
            "clock": statement.clock,
            "boot": statement.boot,
            "log_index": index,
            "statement": ids.encode_id(ids.STATEMENT, signed.identity),
        }
        readings = bundle.rows_to_readings(statement, rows)
        return [{"seq": r.seq, "time_s": r.time_s, "registers": r.registers, "status": r.status, **common} for r in readings]

    async def findings(self, org: bytes, device: bytes | None, after: int, limit: int) -> list[dict[str, Any]]:
        """Findings about devices of one organization, in log order beyond a log index."""
        owners: dict[bytes, bool] = {}
        found: list[dict[str, Any]] = []
        while len(found) <= limit:
            rows = await self._log.store.findings(device=device, after=after, limit=FINDINGS_READ_MAX)
            more = len(rows) == FINDINGS_READ_MAX
            if more:  # the last statement's findings may go on beyond the read
                rows = [row for row in rows if row["log_index"] < rows[-1]["log_index"]]
            found += [
                {**row, "device": ids.encode_id(ids.DEVICE, row["device"])} for row in rows if self._is_of(row["device"], org, owners)
            ]
            if not more:
                break
            after = rows[-1]["log_index"]
        return await self._with_times(cut_whole(found, limit))

    async def _with_times(self, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Each with the time at which this node received its statement."""
        received_s: dict[int, int] = {}
        indices = sorted({row["log_index"] for row in found})
        for start in range(0, len(indices), TIMES_READ_MAX):
            part = indices[start : start + TIMES_READ_MAX]
            query = f"SELECT log_index, received_s FROM rows WHERE log_index IN ({','.join('?' * len(part))})"  # noqa: S608
            received_s.update((row[0], row[1]) for row in await fetch(self._log.store.reader, query, part))
        return [{**row, "received_s": received_s.get(row["log_index"])} for row in found]

    def _is_of(self, device: bytes, org: bytes, owners: dict[bytes, bool]) -> bool:
        if device not in owners:
            value = self._ledger.device(device)
            owners[device] = value is not None and value.org == org
        return owners[device]

    async def quarantine(self, limit: int) -> list[dict[str, Any]]:
        """Samples of what was not let in, newest first; the bytes in hexadecimal."""
        return [{**row, "body": row["body"].hex()} for row in await self._quarantine.list(limit)]


def cut_whole(found: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """About the first `limit`, never only a part of what was found on one statement: the next page begins with the next statement."""
    if len(found) <= limit:
        return found
    last = found[limit - 1]["log_index"]
    if found[limit]["log_index"] > last:
        return found[:limit]
    before = [row for row in found[:limit] if row["log_index"] < last]
    return before or [row for row in found if row["log_index"] == last]
