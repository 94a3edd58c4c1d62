"""The agent against a broker that lies and a node that fails: nothing is freed without a verified ack, nothing is lost without a word."""

import asyncio
import dataclasses

from nacl.signing import SigningKey

from shared import cose, messages
from shared.bundle import decode_envelope
from shared.statement import open_statement
from tests.edge.conftest import Site
from tests.edge.device import until
from tests.edge.node import Node


@dataclasses.dataclass
class Once:
    """Something that happened."""

    happened: bool = False


def test_puback_frees_nothing(site: Site) -> None:
    """The broker takes and acknowledges everything; the node never sees it."""

    async def story() -> None:
        async with site.running(start=False) as running:
            seen: list[bytes] = []
            running.broker.to_node = lambda topic, payload: seen.append(payload) or ([] if topic.endswith("bundle") else [(topic, payload)])
            await running.device.start()
            await until(lambda: running.device.count("unacked") >= 6)
            assert running.device.count("freed") == 0
            running.broker.to_node = lambda topic, payload: [(topic, payload)]
            await until(lambda: running.device.count("freed") >= 6, 40)
            running.node.check_no_equivocation()
            assert running.node.lost == set()

    asyncio.run(story())


def test_killed_between_seal_and_publish(site: Site) -> None:
    """The statement was sealed, nobody has seen it: after the restart it is the same one, and the only one for its sequences."""

    async def story() -> None:
        async with site.running(start=False) as running:
            node, device = running.node, running.device
            await running.broker.stop()
            await device.start()
            await until(lambda: len(device.lines("sealed")) >= 2)
            await device.kill()
            sealed = [bytes.fromhex(line[0]) for line in device.lines("sealed")]
            assert device.lines("published") == []
            await running.broker.start()
            await device.start()
            await until(lambda: set(sealed) <= {identity for identity, _, _ in node.log})
            await until(lambda: node.next_seq() > max(int(line[1]) for line in device.lines("sealed")[: len(sealed)]))
            node.check_no_equivocation()

    asyncio.run(story())


def test_killed_after_publishing_before_the_ack(site: Site) -> None:
    async def story() -> None:
        async with site.running(start=False) as running:
            node, device = running.node, running.device
            node.acking = False
            await device.start()
            await until(lambda: len(node.log) >= 3)
            await device.kill()
            before = [identity for identity, _, _ in node.log]
            node.acking = True
            await device.start()
            await until(lambda: node.duplicates >= 3)
            await until(lambda: device.count("freed") >= 4)
            assert [identity for identity, _, _ in node.log][: len(before)] == before
            node.check_no_equivocation()

    asyncio.run(story())


def test_forged_acks_free_nothing(site: Site) -> None:
    """Another key under the node's name, another key under its own, another device, another origin, an altered signature, a statement for
    an ack."""

    async def story() -> None:
        async with site.running(start=False) as running:
            node, device = running.node, running.device
            node.acking = False
            await device.start()
            await until(lambda: len(node.log) >= 3)
            stranger = SigningKey.generate()
            strangers_kid = cose.kid_of(cose.encode_key_ed25519(bytes(stranger.verify_key)))
            good = node.sign(cose.CT_ACK, node.build_ack())
            forged = [
                node.sign(cose.CT_ACK, node.build_ack(), key=stranger),
                node.sign(cose.CT_ACK, node.build_ack(), key=stranger, kid=strangers_kid),
                node.sign(cose.CT_ACK, node.build_ack(device=b"\x01" + bytes(16))),
                node.sign(cose.CT_ACK, node.build_ack(origin="example.org/other")),
                good[:-1] + bytes([good[-1] ^ 1]),
                good + b"\x00",
                node.sign(cose.CT_CHALLENGE, node.build_ack()),
                decode_envelope(node.received[0]).statement,
                b"",
            ]
            for message in forged:
                await node.broker.publish(node.topic("ack", node.device), message)
            # With an empty one and what comes after it the device has read them all.
            await until(lambda: sum(int(n) for name, n in device.status.items() if name.startswith("untrusted")) >= len(forged))
            assert device.count("freed") == 0
            assert device.count("connects") == 1
            node.acking = True
            await until(lambda: device.count("freed") >= 3, 40)

    asyncio.run(story())


def test_broker_that_duplicates_and_reorders(site: Site) -> None:
    async def story() -> None:
        async with site.running(start=False) as running:
            node, device, broker = running.node, running.device, running.broker
            held: list[tuple[str, bytes]] = []

            def shuffle(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
                """Every message waits for the next one, goes after it, and twice."""
                if topic.endswith(("hello", "attest", "challenge")):
                    return [(topic, payload)]
                held.append((topic, payload))
                if len(held) < 2:
                    return []
                first, second = held.pop(0), held.pop(0)
                return [second, first, second]

            broker.to_node = shuffle
            await device.start()
            await until(lambda: len(node.log) >= 8 and device.count("freed") >= 6, 40)
            node.check_no_equivocation()
            assert node.duplicates > 0
            assert node.lost == set()
            assert [reading.seq for reading in node.readings()][:30] == list(range(30))

    asyncio.run(story())


def test_lost_bundle_is_sent_again_because_the_ack_says_so(site: Site) -> None:
    """The third bundle vanishes at the broker: the acks after it name its range, and it comes well before its own time is up."""

    async def story() -> None:
        async with site.running(start=False) as running:
            node, device = running.node, running.device
            lost = Once()

            def lose_third(topic: str, payload: bytes) -> list[tuple[str, bytes]]:
                if topic.endswith("bundle") and len(node.log) == 2 and not lost.happened:
                    lost.happened = True
                    return []
                return [(topic, payload)]

            running.broker.to_node = lose_third
            await device.start()
            await until(lambda: len(node.log) >= 6)
            assert lost.happened
            firsts = [statement.first_seq for _, statement, _ in node.log]
            assert firsts != sorted(firsts), "it came after later ones"
            await until(lambda: device.count("freed") >= 5)
            assert node.missing() == []

    asyncio.run(story())


def test_full_journal_drops_the_oldest_and_says_so(site: Site) -> None:
    """A published bundle, never acked, falls out of a full journal: a gap statement names it, and nothing is signed twice."""

    async def story() -> None:
        flash = {"path": str(site.folder / "flash"), "sectors": 4}
        async with site.running(start=False, flash=flash) as running:
            node, device = running.node, running.device
            node.acking = False
            running.device.config["clock"]["scale_milli"] = 100_000
            await device.start()
            await until(lambda: device.count("losses") >= 3 or device.count("gaps") >= 1, 60)
            published = {line[0] for line in device.lines("published")}
            node.acking = True
            await until(lambda: "gap" in node.kinds() and device.count("freed") >= 5, 60)
            await device.kill()
            gap = next(statement for _, statement, _ in node.log if statement.kind == "gap")
            assert all(lost.reason == 1 for lost in gap.lost)
            dropped = [line for line in device.lines("sealed") if int(line[1]) in node.lost]
            assert published & {line[0] for line in dropped}, "a published bundle was dropped"
            node.check_no_equivocation()
            known = node.logged | node.lost
            end = node.next_seq()
            assert end > max(max(node.lost), 40)
            assert set(device.taken()[:end]) <= known

    asyncio.run(story())


def test_refused_statement_is_set_aside(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.running(start=False) as running:
            node, device = running.node, running.device
            node.acking = False
            await device.start()
            await until(lambda: len(node.log) >= 2)
            await node.send_refusal(node.log[0][0], 322)
            await until(lambda: device.count("refused_322") == 1)
            before = len(node.received)
            await asyncio.sleep(1.5)
            first = node.log[0][0]
            later = [open_statement(decode_envelope(payload).statement)[0].identity for payload in node.received[before:]]
            assert first not in later

    asyncio.run(story())


def test_not_enrolled_keeps_everything_and_retries(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.running(start=False) as running:
            node, device = running.node, running.device
            node.enrolled = False
            await device.start()
            await until(lambda: device.count("unacked") >= 8)
            assert device.count("freed") == 0
            first = {open_statement(decode_envelope(payload).statement)[0].identity for payload in node.received}
            assert len(first) <= 4, "no more than the window"
            node.enrolled = True
            await until(lambda: device.count("freed") >= 8, 40)
            assert node.readings()[0].seq == 0

    asyncio.run(story())


def test_broker_goes_down_and_comes_back(site: Site) -> None:
    async def story() -> None:
        async with site.running() as running:
            node, device = running.node, running.device
            await until(lambda: len(node.log) >= 2)
            await running.broker.stop()
            bundles = len(node.log)
            await until(lambda: device.count("unacked") >= 3)
            await running.broker.start()
            await until(lambda: len(node.log) > bundles + 3 and device.count("unacked") <= 1, 40)
            assert len(node.hellos) >= 2, "it announces itself on every connection"
            assert len(set(running.broker.client_ids)) == 1
            node.check_no_equivocation()
            assert node.lost == set()

    asyncio.run(story())


def test_challenge_must_be_the_nodes(gateway: Site) -> None:
    """Another node's challenge is not answered; neither is one for another device, nor the same twice."""

    async def story() -> None:
        async with gateway.running() as running:
            node, device = running.node, running.device
            await until(lambda: node.evidence and node.evidence[-1].channels)
            answered = len(node.evidence)
            stranger = Node()
            challenge = messages.encode_challenge(messages.Challenge(node.origin, node.device, b"n" * 32, 1))
            other = messages.encode_challenge(messages.Challenge(node.origin, b"\x01" + bytes(16), b"m" * 32, 1))
            mine = node.sign(cose.CT_CHALLENGE, challenge)
            for message in (stranger.sign(cose.CT_CHALLENGE, challenge), node.sign(cose.CT_CHALLENGE, other), mine, mine):
                await running.broker.publish(node.topic("challenge", node.device), message)
            await until(lambda: device.count("untrusted_200") == 1 and device.count("untrusted_260") == 1)
            await until(lambda: len(node.evidence) == answered + 1)
            assert node.evidence[-1].nonce == b"n" * 32
            await asyncio.sleep(0.5)
            assert len(node.evidence) == answered + 1

    asyncio.run(story())


def test_broker_that_speaks_no_mqtt(gateway: Site) -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        async with gateway.running(broker_port=server.sockets[0].getsockname()[1]) as running:
            await until(lambda: running.device.count("malformed_160") >= 2)
            assert running.device.count("taken") > 0
        server.close()

    asyncio.run(story())
