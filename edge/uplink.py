"""The connection to the node, through a broker that is trusted with nothing.

In: sealed statements of the journal, messages of the node. Out: envelopes, hellos and evidence over MQTT. Frees only what a signed ack of
this origin for this device covers. Never gives up: what cannot be sent now is sent later, gently.
"""

import asyncio
from binascii import hexlify

from edge.clock import Uptime
from edge.memory import let_go
from edge.mqtt_client import Client
from edge.outbox import Outbox, jitter
from shared import cose
from shared.errors import DecodeError, Unavailable, VerifyError

RECONNECT_MS = 1_000
RECONNECT_MS_MAX = 60_000
SETTLED_MS = 30_000  # a connection that held this long was a good one
HELLO_MS = 10_000
HELLO_MS_MAX = 600_000
REATTEST_MS = 86_400_000
ROWS_MISSING = 232
NETWORK_ERRORS = (OSError, EOFError, asyncio.TimeoutError, DecodeError, Unavailable)


def read_answer(uplink: object, payload: bytes) -> tuple:
    from edge import answers  # code is memory

    try:
        return answers.read_answer(uplink, payload)
    finally:
        let_go("answers")


def read_challenge(uplink: object, payload: bytes) -> tuple:
    from edge import answers

    try:
        return answers.read_challenge(uplink, payload)
    finally:
        let_go("answers")


class Uplink:
    """`config`, `device` and `node_kid` are for checking what the node says."""

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
        hello: bytes,
        topics: dict[str, str],
        desk: object,
    ) -> None:
        self.config = config
        self._journal = journal
        self._node = node
        self.node_kid = cose.kid_of(config.node_key)
        self._attester = attester
        self.device = build.device
        self._desk = desk
        self._sampler = sampler
        self._health = health
        self._notebook = notebook
        self._on_freed = on_freed
        self._uptime = Uptime()
        self._outbox = Outbox(journal)
        self._client = Client(config.broker_host, config.broker_port)  # made once: its buffer needs room in one piece
        self._hello_payload = hello
        self._topics = topics
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
            client_id = "mp" + hexlify(self.device[1:11]).decode()
            await client.connect(client_id, self.config.broker_user, self.config.broker_password)
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
        await client.publish(self._topics["hello"], self._hello_payload)
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

    async def _on_answer(self, payload: bytes) -> None:
        async with self._desk:
            signed, refused, message = read_answer(self, payload)
            await self._node.verify(signed.signed, signed.signature)
            self._apply(refused, message)
        self._on_freed()
        self._journal.on_sealed.set()

    def _apply(self, refused: bool, message: object) -> None:
        """An ack or a refusal that the node signed."""
        if refused:
            self._health.count(f"refused_{message.code}")
            if not self._outbox.apply_refusal(message):
                self._health.count("refusals_ignored")
            return
        self._health.count("freed", self._outbox.apply_ack(message, self._uptime.ms()))
        self._health.count("acks")
        self._acked = True

    async def _on_challenge(self, client: Client, payload: bytes) -> None:
        async with self._desk:
            signed, nonce = read_challenge(self, payload)
            await self._node.verify(signed.signed, signed.signature)
            if nonce == self._nonce:
                return  # a duplicate: answered already
            self._nonce = nonce
            evidence = await self._attester.answer(nonce, self._sampler.table)
        await client.publish(self._topics["attest"], evidence)
        self._health.count("attested")
        # Evidence is not acked: until a statement was, nobody may know us yet, and we ask again.
        self._hello_at_ms = self._uptime.ms() + jitter(REATTEST_MS if self._acked else HELLO_MS_MAX)
        self._hello_wait_ms = HELLO_MS  # a hello that gets no answer then is said again soon, not a day later
        self._outbox.hurry(self._uptime.ms())
        self._journal.on_sealed.set()
