"""A broker that changes, forges, reorders, repeats and withholds, between a real device and the real backend: it can delay readings, and
nothing else."""

import asyncio

import aiomqtt

from server.main import Backend
from shared import cose, messages
from shared.bundle import decode_envelope
from shared.codes import CODES
from shared.statement import open_statement
from tests.e2e.broker import Forger, Shuffler, Spoiler, pass_on, withhold_answers
from tests.e2e.site import Site, until
from tests.evidence.fleet import Device as Simulated
from tests.evidence.fleet import evidence_of

P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def test_it_can_delay_and_nothing_else(site: Site) -> None:
    async def story() -> None:
        async with site.opened(), Backend(site.config) as backend:
            broker, device = site.broker, site.device
            await device.start()
            await site.enroll(backend)

            # The node acks, but what arrives are acks for everything by somebody else: the device frees nothing for them.
            forger = Forger(site.node_key)
            broker.to_device = forger
            await until(lambda: forger.forged >= 6)
            await until(lambda: sum(int(n) for name, n in device.status.items() if name.startswith("untrusted")) >= 6)
            assert device.count("freed") == 0 and device.count("acks") == 0

            # Nothing arrives at all. The backend has long logged what the device sends again and again.
            broker.to_device = withhold_answers
            duplicates = backend.ingest.counts["duplicates"]
            await until(lambda: backend.ingest.counts["duplicates"] > duplicates)
            assert device.count("freed") == 0

            # Every second bundle has one byte changed; the answers pass.
            spoiler = Spoiler(each=2)
            broker.to_device, broker.to_node = pass_on, spoiler
            await until(lambda: len(spoiler.spoiled) >= 4)

            # Every two bundles change places, and come twice.
            shuffler = Shuffler()
            broker.to_node = shuffler
            await until(lambda: shuffler.shuffled >= 3 and device.count("freed") >= 8)

            broker.to_node = pass_on
            await site.drain()
            assert backend.ingest.counts["quarantined"] >= 4
        await site.check_whole()
        assert set(spoiler.spoiled) <= set(site.identities()), "what was spoiled came again, unspoiled"
        assert not broker.refusals

    asyncio.run(story())


def test_rows_spoiled_again_and_again_are_only_delayed(gateway: Site) -> None:
    """Whoever spoils the rows of one statement three times makes the node refuse it. The device still has them as it signed them: it
    ignores the refusal, says so, and sends them again till they come through."""

    async def story() -> None:
        async with gateway.opened(), Backend(gateway.config) as backend:
            broker, device = gateway.broker, gateway.device
            victims: list[bytes] = []

            def spoil(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
                """Other registers for the fifth statement of the device, whenever it comes."""
                if not topic.endswith("/bundle"):
                    return [(topic, payload)]
                envelope = decode_envelope(payload)
                if envelope.rows is None:
                    return [(topic, payload)]
                if envelope.statement not in victims:
                    victims.append(envelope.statement)
                if victims.index(envelope.statement) != 4:
                    return [(topic, payload)]
                data = bytearray(payload)
                data[payload.index(envelope.salt)] ^= 1
                return [(topic, bytes(data))]

            await device.start()
            await gateway.enroll(backend)
            broker.to_node = spoil
            await until(lambda: broker.refusals)
            assert {CODES[refusal.code] for refusal in broker.refusals} == {"rows-not-signed"}
            await until(lambda: device.count("refusals_ignored") >= 1)
            assert device.count("refused_233") >= 1 and device.count("gaps") == 0 and device.count("losses") == 0
            broker.to_node = pass_on
            await gateway.drain()
        await gateway.check_whole()
        assert open_statement(victims[4])[0].identity in gateway.identities()

    asyncio.run(story())


def test_a_signature_turned_to_n_minus_s_is_nobodys(gateway: Site) -> None:
    """A secure element's statement on real MQTT: with the high s it verifies elsewhere. Here it is no statement, before and after the true
    one."""

    async def story() -> None:
        async with gateway.opened(), Backend(gateway.config) as backend:
            meter = Simulated("secure element", alg=cose.ES256)
            org = gateway.config.org
            await attest_and_enroll(gateway, backend, meter)
            sent = meter.readings()
            twin = sent.envelope.replace(sent.statement, high_twin(sent.statement))
            async with aiomqtt.Client("127.0.0.1", gateway.broker.port, identifier="device") as client:
                for round_ in (1, 2):
                    await client.publish(meter.topic("bundle", org), twin, qos=1)
                    await until(lambda round_=round_: backend.ingest.counts["quarantined"] == round_)
                    assert len(gateway.broker.acks) == round_ - 1
                    await client.publish(meter.topic("bundle", org), sent.envelope, qos=1)
                    await until(lambda round_=round_: len(gateway.broker.acks) == round_)
        assert gateway.entries() == [sent.statement]
        assert {ack.next_seq for ack in gateway.broker.acks} == {3}
        await gateway.report()

    asyncio.run(story())


def high_twin(data: bytes) -> bytes:
    s = P256_ORDER - int.from_bytes(data[-32:], "big")
    return data[:-32] + s.to_bytes(32, "big")


async def attest_and_enroll(site: Site, backend: Backend, meter: Simulated) -> None:
    """What a device says about itself, sent to the backend on MQTT; the site's people do the rest."""
    async with aiomqtt.Client("127.0.0.1", site.broker.port, identifier="device") as client:
        await client.subscribe(meter.topic("challenge", site.config.org), qos=1)
        await until(lambda: backend.mqtt.connected)
        await client.publish(meter.topic("hello", site.config.org), messages.encode_hello(meter.id, meter.boot), qos=1)
        message = await asyncio.wait_for(anext(client.messages), 20)
        nonce = messages.decode_challenge(cose.decode_sign1(message.payload, (cose.CT_CHALLENGE,)).payload).nonce
        await client.publish(meter.topic("attest", site.config.org), evidence_of(meter, nonce), qos=1)
        await site.enroll(backend)
