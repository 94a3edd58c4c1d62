"""Puts the evidence log on the ledger: each new head as a batch, then this validator's vote on it; and proofs of equivocation before both.

In: the evidence log with its rows, the ledger, the node's and the validator's key. Out: transactions. Never anchors what was not looked at
for equivocations before.
"""

import asyncio
import logging
import sqlite3
from contextlib import suppress
from typing import Protocol

from server.evidence.log import EvidenceLog
from shared.errors import MeterproofError, RuleError, Unavailable, VerifyError
from shared.state import BatchValue, DeviceValue, Receipt
from shared.statement import open_statement

from .judging import Judge
from .transactions import Signing, build_tx
from .values import KeyValue, LogValue
from .voting import Voter

BATCH_MAX = 1024
INTERVAL_S = 0.25
RETRY_S = 2.0
PAGE = 1000
_LOG = logging.getLogger("meterproof.anchor")


class Ledger(Protocol):
    """What is asked of the ledger."""

    @property
    def chain_id(self) -> str: ...
    def log(self, origin: str, /) -> LogValue | None: ...
    def batch(self, origin: str, number: int, /) -> BatchValue | None: ...
    def votes_due(self, origin: str, kid: bytes, /, *, after: int, limit: int) -> list[int]: ...
    def device(self, device: bytes, /) -> DeviceValue | None: ...
    def key(self, kid: bytes, /) -> KeyValue | None: ...
    def next_nonce(self, kid: bytes, /) -> int: ...
    async def submit(self, data: bytes, /) -> Receipt: ...


class Anchor:
    """One for a log. `last_error`: what stands in the way now."""

    def __init__(self, ledger: Ledger, log: EvidenceLog, node_key: Signing, validator_key: Signing, interval_s: float = INTERVAL_S) -> None:
        self._ledger = ledger
        self._log = log
        self._node_key = node_key
        self._interval_s = interval_s
        self._voter = Voter(ledger, Judge(ledger, log), log.origin, validator_key, self._submit)
        self._seen_equivocation = -1
        self.last_error: MeterproofError | None = None

    @property
    def withheld(self) -> dict[int, str]:
        """The latest batches that this validator could not vote on yet, with the reason."""
        return self._voter.withheld

    async def run(self) -> None:
        """Until cancelled. A log and a ledger that contradict each other end it: that is for people."""
        while True:
            try:
                await self.anchor()
                self.last_error = None
            except (Unavailable, RuleError) as error:
                self.last_error = error
                _LOG.warning("anchoring waits: %s", error)
                await asyncio.sleep(RETRY_S)
                continue
            await self._wait()

    async def _wait(self) -> None:
        """Until something is due."""
        if self._voter.behind:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(self._voter.wait_s), self._log.moved:
                await self._log.moved.wait_for(lambda: self._log.head.size > self._ledger_log().size)
        await asyncio.sleep(self._interval_s)

    async def anchor(self) -> None:
        """Everything that is due. Raises RuleError, Unavailable to be tried again, VerifyError 270 if the ledger knows another log."""
        try:
            await self._anchor()
        except (OSError, sqlite3.Error) as error:
            raise Unavailable(400, f"the evidence log cannot be read: {error}") from error

    async def _anchor(self) -> None:
        size = self._log.head.size  # the log goes on growing: nothing is anchored that was not looked at for equivocations before
        await self._report_equivocations(size)
        await self._add_batches(size)
        await self._voter.vote()

    def _ledger_log(self) -> LogValue:
        value = self._ledger.log(self._log.origin)
        if value is None:
            raise RuleError(303, f"the ledger has no log {self._log.origin}")
        return value

    async def _submit(self, key: Signing, tx_type: str, body: dict[int, object]) -> Receipt:
        known = self._ledger.key(key.kid)
        if known is None:
            raise RuleError(303, "the ledger does not know this node's key")
        # Between reading the nonce and submit's own check nothing else can run, so no other transaction of this key comes between.
        nonce = self._ledger.next_nonce(key.kid)
        return await self._ledger.submit(build_tx(key, self._ledger.chain_id, known.org, nonce, tx_type, body))

    # --- batches

    async def _add_batches(self, size: int) -> None:
        reader = self._log.reader
        while (anchored := self._ledger_log()).size < size:
            if anchored.size and reader.root(anchored.size) != anchored.root:
                raise VerifyError(270, "the ledger holds another head of this log")
            new_size = min(size, anchored.size + BATCH_MAX)
            proof = reader.consistency_path(anchored.size, new_size)
            body = {1: self._log.origin, 2: anchored.size, 3: new_size, 4: reader.root(new_size), 5: proof}
            await self._submit(self._node_key, "batch", body)
        if anchored.size > self._log.head.size:
            raise VerifyError(270, "the ledger holds more of this log than is here: an old copy was put back")

    # --- equivocation

    async def _report_equivocations(self, size: int) -> None:
        """Suspends every device that signed two statements for one sequence, on both of them as proof; those beyond `size` come later."""
        found = await self._log.store.findings("equivocation", after=self._seen_equivocation, limit=PAGE)
        found = [finding for finding in found if finding["log_index"] < size]
        for finding in found:
            first = await self._log.store.index_of(bytes.fromhex(finding["detail"].split()[-1]))
            if first is not None:
                await self._report(finding["device"], first, finding["log_index"])
            self._seen_equivocation = finding["log_index"]
        if len(found) == PAGE:
            self._seen_equivocation -= 1  # the page may have ended between two findings on one statement
            await self._report_equivocations(size)

    async def _report(self, device: bytes, first: int, second: int) -> None:
        proofs = [self._log.reader.entry(index) for index in (first, second)]
        identities = {open_statement(data)[0].identity for data in proofs}
        value = self._ledger.device(device)
        if value is None or any({one, other} == identities for one, other, _ in value.equivocations):
            return
        try:
            await self._submit(self._node_key, "device.equivocation", {1: device, 2: proofs[0], 3: proofs[1]})
            _LOG.warning("device suspended: two statements for one sequence, entries %d and %d", first, second)
        except RuleError as error:
            _LOG.error("equivocation at entry %d could not be put on the ledger: %s", second, error)
