"""The connection to the node, through a broker that is trusted with nothing.

In: sealed statements of the journal, messages of the node. Out: envelopes, hellos and evidence over MQTT. Frees only what a signed ack of
this origin for this device covers. Never gives up: what cannot be sent now is sent later, gently.
"""

import asyncio
from binascii import hexlify

from edge.clock import Uptime
from edge.mqtt_client import Client
from edge.outbox import Outbox, jitter
from shared import cose, ids, messages
from shared.errors import DecodeError, Unavailable, VerifyError

RECONNECT_MS = 1_000
RECONNECT_MS_MAX = 60_000
SETTLED_MS = 30_000  # a connection that held this long was a good one
HELLO_MS = 10_000
HELLO_MS_MAX = 600_000
REATTEST_MS = 86_400_000
ROWS_MISSING = 232
MESSAGE_BYTES_MAX = 1024
NETWORK_ERRORS = (OSError, EOFError, asyncio.TimeoutError, DecodeError, Unavailable)


class Uplink:
    def __init__(
        self,
        config: object,
        journal: object,
        node: object,
        attester: object,
        build: object,
        sampler: object,
        health: object,
        notebook: object,
        on_freed: object,
    ) -> None:
        self._config = config
        self._journal = journal
        self._node = node
        self._node_kid = cose.kid_of(config.node_key)
        self._attester = attester
        self._device = build.device
        self._sampler = sampler
        self._health = health
        self._notebook = notebook
        self._on_freed = on_freed
        self._uptime = Uptime()
        self._outbox = Outbox(journal)
        self._client = Client(config.broker_host, config.broker_port)  # made once: its buffer needs room in one piece
        device_text = ids.encode_id(ids.DEVICE, build.device)
        self._topics = {what: messages.topic(config.org, device_text, what) for what in messages.TO_NODE + messages.TO_DEVICE}
        self._hello_at_ms = 0
        self._hello_wait_ms = HELLO_MS
        self._acked = False
        self._nonce = b""

    def attest_again(self) -> None:
        """Something that the evidence tells has changed."""
        self._hello_at_ms = 0
        self._journal.on_sealed.set()

    # --- connections

    async def run(self) -> None:
        wait_ms = RECONNECT_MS
        while True:
            started_ms = self._uptime.ms()
            try:
                await self._session()
            except NETWORK_ERRORS as error:
                self._health.count(f"malformed_{error.code}" if isinstance(error, DecodeError) else "disconnects")
            if self._uptime.ms() - started_ms > SETTLED_MS:
                wait_ms = RECONNECT_MS
            await asyncio.sleep(jitter(wait_ms) / 1000)
            wait_ms = min(2 * wait_ms, RECONNECT_MS_MAX)

    async def _session(self) -> None:
        client = self._client
        try:
            # 22 characters that are the device's own: a second connection of it takes over from a half-dead first one.
            client_id = "mp" + hexlify(self._device[1:11]).decode()
            await client.connect(client_id, self._config.broker_user, self._config.broker_password)
            await client.subscribe((self._topics["challenge"], self._topics["ack"]))
            self._health.count("connects")
            self._outbox.forget()
            self._hello_at_ms = 0
            self._hello_wait_ms = HELLO_MS
            self._acked = False
            listener = asyncio.create_task(self._listen(client))
            try:
                await self._send(client, listener)
            finally:
                listener.cancel()
        finally:
            client.close()

    async def _send(self, client: Client, listener: object) -> None:
        """Until the listener ends: publishes what is due, one at a time."""
        while not listener.done():
            now_ms = self._uptime.ms()
            if now_ms >= self._hello_at_ms:
                await self._hello(client, now_ms)
            entry = self._outbox.pick(now_ms)
            if entry is not None:
                await self._publish(client, entry)
                continue
            self._journal.on_sealed.clear()
            try:
                wait_ms = max(1, min(self._outbox.wait_ms, self._hello_at_ms - now_ms))
                await asyncio.wait_for(self._journal.on_sealed.wait(), wait_ms / 1000)
            except asyncio.TimeoutError:
                pass
        await listener

    async def _publish(self, client: Client, entry: object) -> None:
        attempts = self._outbox.apply_sent(entry.identity, self._uptime.ms())
        try:
            envelope = self._journal.envelope(entry.identity)
        except Unavailable:
            # The flash has lost rows that were whole when they were sealed: nobody will ever see them, and the node must be told.
            self._health.count("unreadable")
            self._journal.set_aside(entry.identity, ROWS_MISSING)
            self._on_freed()
            return
        await client.publish(self._topics["bundle"], envelope)
        self._notebook.published(entry.identity)
        self._health.count("published" if attempts == 1 else "published_again")

    async def _hello(self, client: Client, now_ms: int) -> None:
        await client.publish(self._topics["hello"], messages.encode_hello(self._device, self._journal.boot))
        self._hello_at_ms = now_ms + jitter(self._hello_wait_ms)
        self._hello_wait_ms = min(2 * self._hello_wait_ms, HELLO_MS_MAX)

    # --- what the node says

    async def _listen(self, client: Client) -> None:
        try:
            while True:
                topic, payload = await client.receive()
                try:
                    if topic == self._topics["ack"]:
                        await self._on_answer(payload)
                    elif topic == self._topics["challenge"]:
                        await self._on_challenge(client, payload)
                except (DecodeError, VerifyError) as error:
                    self._health.count(f"untrusted_{error.code}")
        except NETWORK_ERRORS:
            self._health.count("connection_lost")
        finally:
            self._journal.on_sealed.set()

    async def _open(self, payload: bytes, content_types: tuple[str, ...]) -> cose.Signed:
        """A message that the node of our config signed. Raises DecodeError, VerifyError 200, 201."""
        signed = cose.decode_sign1(payload, content_types, MESSAGE_BYTES_MAX)
        if signed.kid != self._node_kid:
            raise VerifyError(200, "signed by another key than the node's")
        await self._node.verify(signed.signed, signed.signature)
        return signed

    def _check_addressee(self, message: object) -> None:
        if message.origin != self._config.origin or message.device != self._device:
            raise VerifyError(260, "the node says this of another origin or device")

    async def _on_answer(self, payload: bytes) -> None:
        signed = await self._open(payload, (cose.CT_ACK, cose.CT_REFUSAL))
        if signed.content_type == cose.CT_REFUSAL:
            refusal = messages.decode_refusal(signed.payload)
            self._check_addressee(refusal)
            self._health.count(f"refused_{refusal.code}")
            if not self._outbox.apply_refusal(refusal):
                self._health.count("refusals_ignored")
        else:
            ack = messages.decode_ack(signed.payload)
            self._check_addressee(ack)
            self._health.count("freed", self._outbox.apply_ack(ack, self._uptime.ms()))
            self._health.count("acks")
            self._acked = True
        self._on_freed()
        self._journal.on_sealed.set()

    async def _on_challenge(self, client: Client, payload: bytes) -> None:
        signed = await self._open(payload, (cose.CT_CHALLENGE,))
        challenge = messages.decode_challenge(signed.payload)
        self._check_addressee(challenge)
        if challenge.nonce == self._nonce:
            return  # a duplicate: answered already
        self._nonce = challenge.nonce
        await client.publish(self._topics["attest"], await self._attester.answer(challenge.nonce, self._sampler.table))
        self._health.count("attested")
        # Evidence is not acked: until a statement was, nobody may know us yet, and we ask again.
        self._hello_at_ms = self._uptime.ms() + jitter(REATTEST_MS if self._acked else HELLO_MS_MAX)
        self._hello_wait_ms = HELLO_MS  # a hello that gets no answer then is said again soon, not a day later
        self._outbox.hurry(self._uptime.ms())
        self._journal.on_sealed.set()
