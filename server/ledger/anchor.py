"""Puts the evidence log on the ledger: each new head as a batch, then this validator's vote on it; and proofs of equivocation before both.

In: the evidence log with its rows, the ledger, the node's and the validator's key. Out: transactions. Never votes for a statement whose
rows it cannot vouch for: what this process's own ingest checked it takes on that verdict, everything older it reads and checks again.
"""

import asyncio
import logging
from typing import Protocol

from server.evidence.log import EvidenceLog
from server.evidence.rows import Arrival
from shared import bundle, cose, merkle
from shared.errors import DecodeError, MeterproofError, RuleError, Unavailable, VerifyError
from shared.state import OBJECTIONS_MAX, BatchValue, DeviceValue, Receipt, live_key_at
from shared.statement import open_statement

from .transactions import Signing, build_tx
from .values import KeyValue, LogValue

BATCH_MAX = 1024
INTERVAL_S = 0.25
RETRY_S = 2.0
CHUNK = 128
OBJECTION_BYTES_MAX = 50_000
PAGE = 1000
_WORD_ONLY = (232, 233)  # nobody else can check these: a vote must name them all
_LOG = logging.getLogger("meterproof.anchor")


class Ledger(Protocol):
    """What is asked of the ledger."""

    @property
    def chain_id(self) -> str: ...
    def log(self, origin: str, /) -> LogValue | None: ...
    def batch(self, origin: str, number: int, /) -> BatchValue | None: ...
    def device(self, device: bytes, /) -> DeviceValue | None: ...
    def key(self, kid: bytes, /) -> KeyValue | None: ...
    def next_nonce(self, kid: bytes, /) -> int: ...
    async def submit(self, data: bytes, /) -> Receipt: ...


class Anchor:
    """One for a log. `withheld`: batches this validator could not vote on, with the reason; `last_error`: what stands in the way now."""

    def __init__(self, ledger: Ledger, log: EvidenceLog, node_key: Signing, validator_key: Signing, interval_s: float = INTERVAL_S) -> None:
        self._ledger = ledger
        self._log = log
        self._node_key = node_key
        self._validator_key = validator_key
        self._interval_s = interval_s
        self._next_vote: int | None = None
        self._seen_equivocation = -1
        self.withheld: dict[int, str] = {}
        self.last_error: MeterproofError | None = None

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
            async with self._log.moved:
                await self._log.moved.wait_for(lambda: self._log.head.size > self._ledger_log().size)
            await asyncio.sleep(self._interval_s)

    async def anchor(self) -> None:
        """Everything that is due. Raises RuleError, Unavailable to be tried again, VerifyError 270 if the ledger knows another log."""
        size = self._log.head.size  # the log goes on growing: nothing is anchored that was not looked at for equivocations before
        await self._report_equivocations(size)
        await self._add_batches(size)
        await self._add_votes()

    def _ledger_log(self) -> LogValue:
        value = self._ledger.log(self._log.origin)
        if value is None:
            raise RuleError(303, f"the ledger has no log {self._log.origin}")
        return value

    async def _submit(self, key: Signing, tx_type: str, body: dict[int, object]) -> None:
        known = self._ledger.key(key.kid)
        if known is None:
            raise RuleError(303, "the ledger does not know this node's key")
        # Between reading the nonce and submit's own check nothing else can run, so no other transaction of this key comes between.
        await self._ledger.submit(build_tx(key, self._ledger.chain_id, known.org, self._ledger.next_nonce(key.kid), tx_type, body))

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

    # --- votes

    async def _add_votes(self) -> None:
        batches = self._ledger_log().batches
        if self._next_vote is None:
            self._next_vote = self._first_vote_due(batches)
        while self._next_vote < batches:
            await self._vote(self._next_vote)
            self._next_vote += 1

    def _first_vote_due(self, batches: int) -> int:
        """After the last batch this validator voted on: votes are cast in order."""
        number = batches
        while number and not self._has_voted(self._ledger.batch(self._log.origin, number - 1)):
            number -= 1
        return number

    def _has_voted(self, batch: BatchValue | None) -> bool:
        return batch is not None and any(vote.kid == self._validator_key.kid for vote in batch.votes)

    async def _vote(self, number: int) -> None:
        batch = self._ledger.batch(self._log.origin, number)
        if batch is None or self._has_voted(batch) or all(power.kid != self._validator_key.kid for power in batch.snapshot):
            return
        try:
            objections = self._choose(batch, await self._faults(batch))
        except (VerifyError, DecodeError) as error:
            self.withheld[number] = str(error)
            _LOG.error("no vote on batch %d: %s", number, error)
            return
        if objections:
            _LOG.warning("batch %d: objections to %s", number, [(item[0], item[1]) for item in objections])
        await self._submit(self._validator_key, "vote", {1: self._log.origin, 2: number, 3: batch.root, 4: objections})

    async def _faults(self, batch: BatchValue) -> dict[int, int]:
        """Log index → code of what is wrong with that statement. Raises VerifyError 270 if the log itself is damaged."""
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
        try:
            cose.verify_sign1(signed, live_key_at(device, signed.kid, height).cose_key)
        except VerifyError:
            return 201
        try:
            bundle.check_rows(statement, *((None, None) if arrival is None else (arrival.salt, arrival.rows())))
        except VerifyError as error:
            return error.code
        except DecodeError:
            return 233
        return 0

    def _choose(self, batch: BatchValue, faults: dict[int, int]) -> list[list[object]]:
        """As objections: all about rows, others as there is room, since every verifier finds those itself. Raises VerifyError 245."""
        must = [index for index, code in faults.items() if code in _WORD_ONLY]
        others = [index for index in faults if index not in set(must)]
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


def _key_fault(device: DeviceValue | None, kid: bytes, height: int) -> int:
    """0, or why that key could not speak for the device at that height."""
    try:
        live_key_at(device, kid, height)
    except RuleError as error:
        return error.code
    return 0
