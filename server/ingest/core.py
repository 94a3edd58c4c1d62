"""Ingest: one message in, at most one answer out, whatever the transport.

In: topic and payload. Out: statements in the evidence log; acks, refusals and challenges through `publish`; samples in quarantine. Never
answers what it could not verify, never acks what is not durable.
"""

from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from functools import lru_cache
from typing import Any, Protocol

from server.evidence.admission import Admission, Logged
from server.evidence.columns import Columns
from server.evidence.derive import Entry
from server.evidence.log import SET_ASIDE, EvidenceLog
from server.evidence.rows import Arrival
from server.evidence.span import build_span
from server.keystore import SigningKey, sign_object
from shared import attest, channel, cose, messages
from shared.errors import DecodeError, MeterproofError, RuleError, Unavailable, VerifyError
from shared.types import ChannelTable, Refusal

from . import checks
from .quarantine import Quarantine

Publish = Callable[[str, bytes], Awaitable[None]]
Answer = Coroutine[Any, Any, None]
MISMATCHES_MAX = 3  # rows of one statement that do not match, before it is refused
IDENTITIES_MAX = 1024
TABLES_MAX = 1024
TOPICS_MAX = 4096
EXPECTED_MAX = 65_536


class Ledger(Protocol):
    """What is asked of the ledger's committed state."""

    @property
    def height(self) -> int: ...
    def device(self, device: bytes, /) -> Any: ...


class Attestations(Protocol):
    """The verifier of device evidence (registry/attestation.py)."""

    async def hello(self, org: bytes, device: bytes, payload: bytes, now_s: int) -> bytes: ...
    async def evidence(self, org: bytes, device: bytes, payload: bytes, now_s: int) -> Any: ...
    async def of_device(self, device: bytes) -> Any: ...


class Ingest:
    """One for a node. `counts`: what happened to messages since the start."""

    def __init__(
        self,
        ledger: Ledger,
        log: EvidenceLog,
        attestations: Attestations,
        quarantine: Quarantine,
        key: SigningKey,
        publish: Publish,
        now_s: Callable[[], int],
    ) -> None:
        self._ledger = ledger
        self._log = log
        self._attestations = attestations
        self._quarantine = quarantine
        self._key = key
        self._publish = publish
        self._now_s = now_s
        self.counts: Counter[str] = Counter()
        self._mismatches: OrderedDict[bytes, int] = OrderedDict()
        self._tables: OrderedDict[bytes, ChannelTable] = OrderedDict()
        self._expected: OrderedDict[str, None] = OrderedDict()  # topics of devices, without their last part
        self._unknown: OrderedDict[tuple[bytes, bytes], None] = OrderedDict()  # tables that a device has not shown

    def expects(self, topic: str) -> bool:
        """Whether a device at this topic had something logged lately: asked of every message while not all can be taken, so it must cost
        next to nothing, and a ledger's look-up does not."""
        return topic.rpartition("/")[0] in self._expected

    async def handle(self, topic: str, payload: bytes) -> None:
        """Everything about one message, until it is answered."""
        answer = await self.accept(topic, payload)
        if answer is not None:
            await answer

    async def accept(self, topic: str, payload: bytes) -> Answer | None:
        """The part that must be done in the order of arrival; the rest comes back to be awaited beside it."""
        self.counts["received"] += 1
        try:
            org, device, what = _parse_topic(topic)
            if what == "bundle":
                return await self._bundle(topic, org, device, payload)
            if what == "hello":
                return self._hello(topic, org, device, payload)
            if what == "attest":
                return self._attest(topic, org, device, payload)
            raise DecodeError(160, "not a topic towards the node")
        except Unavailable:
            self.counts["unavailable"] += 1
            return None
        except MeterproofError as error:
            return self._set_aside(topic, payload, error)

    # --- attestation

    async def _hello(self, topic: str, org: bytes, device: bytes, payload: bytes) -> None:
        try:
            challenge = await self._attestations.hello(org, device, payload, self._now_s())
        except MeterproofError as error:
            await self._set_aside(topic, payload, error)
            return
        self.counts["challenged"] += 1
        await self._publish(_reply_topic(topic, "challenge"), challenge)

    async def _attest(self, topic: str, org: bytes, device: bytes, payload: bytes) -> None:
        try:
            await self._attestations.evidence(org, device, payload, self._now_s())
        except MeterproofError as error:
            await self._set_aside(topic, payload, error)
            return
        self.counts["attested"] += 1
        for known in [pair for pair in self._unknown if pair[0] == device]:
            del self._unknown[known]

    # --- bundles

    async def _bundle(self, topic: str, org: bytes, device: bytes, payload: bytes) -> Answer | None:
        opened = checks.open_bundle(payload)
        checks.check_topic(device, opened.statement)
        height, value = self._ledger.height, self._ledger.device(device)
        checks.check_signature(opened, value)
        try:
            checks.check_live(opened, value, org, self._log.origin, height)
        except RuleError as error:
            if error.code == checks.SILENT:
                self.counts["silent"] += 1
                return None
            if error.code not in checks.REFUSED:
                raise
            if self._log.awaits(opened.signed.identity):
                self.counts["undecided"] += 1  # that copy gets the answer
                return None
            if await self._log.store.index_of(opened.signed.identity) is None:
                return self._refuse(topic, opened, error)
            # Logged while it was live: "will not be logged" would be a lie. It gets the ack that its device has missed.
        try:
            columns = checks.check_rows(opened)
        except VerifyError as error:
            return self._mismatch(topic, payload, opened, error)
        admission = await self._admission(opened, columns, value, height)
        return self._answer(topic, payload, self._log.enqueue(admission))

    async def _admission(self, opened: checks.Opened, columns: Columns | None, value: Any, height: int) -> Admission:
        statement = opened.statement
        table = await self._table(statement.device, statement.channel_table) if statement.kind == "readings" else None
        received_s = self._now_s()
        span = None if columns is None else build_span(columns, table)
        entry = Entry(opened.signed.identity, opened.signed.kid, statement, span, received_s, value, table)
        return Admission(opened.data, entry, Arrival(received_s, height, table is not None, opened.salt, opened.body))

    async def _answer(self, topic: str, payload: bytes, logged: Awaitable[Logged]) -> None:
        """Waits for the commit, then acks: once for all statements of a device in one round, since acks are cumulative."""
        try:
            done = await logged
        except MeterproofError as error:
            await self._set_aside(topic, payload, error)
            return
        self.counts["duplicates" if done.index is None else "logged"] += 1
        _remember(self._expected, topic.rpartition("/")[0], None, EXPECTED_MAX)
        if done.ack is not None:
            self.counts["acked"] += 1
            await self._publish(_reply_topic(topic, "ack"), sign_object(self._key, cose.CT_ACK, messages.encode_ack(done.ack)))

    async def _refuse(self, topic: str, opened: checks.Opened, error: MeterproofError) -> None:
        """A signed no: the device sets the statement aside and goes on."""
        self.counts["refused"] += 1
        refusal = Refusal(self._log.origin, opened.statement.device, opened.signed.identity, error.code, error.text)
        await self._publish(_reply_topic(topic, "ack"), sign_object(self._key, cose.CT_REFUSAL, messages.encode_refusal(refusal)))

    async def _mismatch(self, topic: str, payload: bytes, opened: checks.Opened, error: VerifyError) -> None:
        """Rows that are not what was signed: silence, so that they are sent again; a refusal when that did not help."""
        self.counts["mismatched"] += 1
        identity = opened.signed.identity
        times = self._mismatches.pop(identity, 0) + 1
        self._mismatches[identity] = times
        if len(self._mismatches) > IDENTITIES_MAX:
            self._mismatches.popitem(last=False)
        await self._set_aside(topic, payload, error)
        if times >= MISMATCHES_MAX and not await self._may_be_logged(identity):  # "will not be logged" must be true
            await self._refuse(topic, opened, VerifyError(233, "the rows never matched what was signed"))

    async def _may_be_logged(self, identity: bytes) -> bool:
        """Whether a copy with the right rows is in the log or on its way; asked twice, since one may come during the look-up."""
        return self._log.awaits(identity) or await self._log.store.index_of(identity) is not None or self._log.awaits(identity)

    async def _set_aside(self, topic: str, payload: bytes, error: MeterproofError) -> None:
        """Into quarantine, if there is room to write at all; what could only not be done now comes again."""
        if isinstance(error, Unavailable) and error.code != SET_ASIDE:
            self.counts["unavailable"] += 1
            return
        self.counts["quarantined"] += 1
        try:
            await self._quarantine.put(topic, payload, error, self._now_s())
        except Unavailable:
            self.counts["quarantine-skipped"] += 1

    # --- channel tables

    async def _table(self, device: bytes, table_hash: bytes) -> ChannelTable | None:
        """The channel table a statement names, if this device (or one with the same meter) ever showed it."""
        table = self._tables.get(table_hash)
        if table is not None or (device, table_hash) in self._unknown:
            return table
        data = await self._log.store.channel_table(table_hash) or await self._shown_table(device, table_hash)
        if data is None:
            _remember(self._unknown, (device, table_hash), None)
            return None
        table = channel.decode_table(data)
        _remember(self._tables, table_hash, table)
        return table

    async def _shown_table(self, device: bytes, table_hash: bytes) -> bytes | None:
        """From the evidence this device gave; kept for good then, since it gives logged numbers their meaning."""
        for row in await self._attestations.of_device(device):
            evidence = attest.decode_evidence(cose.decode_sign1(row.evidence, (cose.CT_EAT,), attest.EVIDENCE_BYTES_MAX).payload)
            for data in evidence.channels.values():
                if channel.table_hash(data) == table_hash:
                    await self._log.store.keep_tables([data])
                    return bytes(data)
        return None


def _remember(cache: "OrderedDict[Any, Any]", key: Any, value: Any, count_max: int = TABLES_MAX) -> None:
    cache[key] = value
    cache.move_to_end(key)
    if len(cache) > count_max:
        cache.popitem(last=False)


@lru_cache(TOPICS_MAX)
def _parse_topic(topic: str) -> tuple[bytes, bytes, str]:
    """`messages.parse_topic`: two checksums that every bundle of a device would pay again."""
    org, device, what = messages.parse_topic(topic)
    return org, device, what


def _reply_topic(topic: str, what: str) -> str:
    """Ids have one text form, so a topic that was parsed is what would be made anew."""
    return f"{topic.rpartition('/')[0]}/{what}"
