"""Builds the evidence file of one reading (SPEC section 12).

In: device and sequence; the log, its rows, one consistent proof of the ledger. Out: the file's bytes. Never builds a file that says more
than is proven: not anchored, not voted on, objected to, or without its rows is an error that says so.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from shared import bundle, merkle, state
from shared.errors import RuleError, Unavailable, VerifyError
from shared.state import BatchValue
from shared.statement import open_statement
from shared.types import Reading, Statement
from shared.verify.evidence import EvidenceFile, encode_evidence_file

from .log import EvidenceLog


class LogHead(Protocol):
    """An evidence log as the ledger knows it."""

    @property
    def size(self) -> int: ...
    @property
    def batches(self) -> int: ...


class Ledger(Protocol):
    """What is asked of the ledger."""

    def log(self, origin: str, /) -> LogHead | None: ...
    def batch(self, origin: str, number: int, /) -> BatchValue | None: ...
    def prove(self, keys: Sequence[bytes], /) -> Any: ...


class EvidenceFileBuilder:
    """One for a node."""

    def __init__(self, ledger: Ledger, log: EvidenceLog) -> None:
        self._ledger = ledger
        self._log = log

    async def build(self, device: bytes, seq: int, /) -> bytes:
        """The file. Raises RuleError 303 (no such reading), Unavailable 450 (not anchored or voted on yet), VerifyError 244, 232, 233."""
        index = await self._log.store.find_reading(device, seq)
        if index is None or index >= self._log.head.size:
            raise RuleError(303, "no such reading is in the log")
        data = self._log.reader.entry(index)
        _, statement = open_statement(data)
        salt, readings = await self._readings(index, statement)
        table = await self._log.store.channel_table(statement.channel_table)
        if table is None:
            raise RuleError(303, "the device never showed the channel table that gives the reading its meaning")
        number = find_batch(self._ledger, self._log.origin, index)
        proof = self._ledger.prove([state.batch_key(self._log.origin, number), state.device_key(device)])
        (batch_value, batch_proof), (device_value, device_proof) = proof.values
        batch = _check_counts(batch_value, index)
        place = seq - statement.first_seq
        file = EvidenceFile(
            leaf=bundle.reading_leaf(bundle.reading_salt(salt, place), readings[place]),
            place=place,
            path=merkle.inclusion_path(place, bundle.leaf_hashes(salt, readings)),
            statement=data,
            log_index=index,
            log_path=self._log.reader.inclusion_path(index, batch.new_size),
            origin=self._log.origin,
            batch_number=number,
            batch_value=batch_value,
            batch_proof=batch_proof,
            device_value=device_value,
            device_proof=device_proof,
            channel_table=table,
            block_leaf=proof.block_leaf,
            block_path=proof.path,
            params=proof.params,
            checkpoint=proof.checkpoint,
        )
        return encode_evidence_file(file)

    async def _readings(self, index: int, statement: Statement) -> tuple[bytes, list[Reading]]:
        arrival = await self._log.store.arrival(index)
        if arrival is None or arrival.salt is None:
            raise VerifyError(232, "the rows of this reading are not stored here any more")
        return arrival.salt, bundle.check_rows(statement, arrival.salt, arrival.rows())


def find_batch(ledger: Ledger, origin: str, index: int) -> int:
    """Number of the batch that holds a log index. Raises Unavailable 450 while none does."""
    log = ledger.log(origin)
    if log is None or index >= log.size:
        raise Unavailable(450, "the statement is not on the ledger yet")
    low, high = 0, log.batches
    while low < high:
        middle = (low + high) // 2
        batch = ledger.batch(origin, middle)
        if batch is None:
            break
        if batch.old_size <= index < batch.new_size:
            return middle
        low, high = (low, middle) if index < batch.old_size else (middle + 1, high)
    raise VerifyError(271, "the batches on the ledger have a hole")


def _check_counts(batch_value: bytes, index: int) -> BatchValue:
    """The batch, if its votes count for this statement."""
    batch = state.decode_batch_value(batch_value)
    try:
        state.check_counts(batch, index)
    except VerifyError as error:
        if error.code == 243:
            raise Unavailable(450, f"the batch waits for votes: {error.text}") from error
        raise
    return batch
