"""The MQTT shell against the real broker in its own process: acks come back, a broker that dies is found again, floods are counted."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from server.ingest.mqtt import Broker, MqttShell
from shared import cose, messages
from tests.evidence.backend import Half, open_half
from tests.evidence.fleet import Device

ROOT = Path(__file__).parents[2]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def broker_on(port: int) -> AsyncIterator[None]:
    command = [sys.executable, "-m", "server.cli", "broker", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stderr=asyncio.subprocess.DEVNULL)
    try:
        async with asyncio.timeout(20):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.1)
        yield
    finally:
        process.kill()
        await process.wait()


def test_a_password_is_never_shown() -> None:
    assert "hunter2" not in repr(MqttShell(Broker("127.0.0.1", 1, "node", "hunter2"))._broker)


async def connected(shell: MqttShell, times: int) -> None:
    async with asyncio.timeout(20):
        while not shell.connected or shell.counts["connects"] < times:
            await asyncio.sleep(0.02)


async def ask(port: int, meter: Device, envelope: bytes) -> messages.Ack:
    """What a device does: subscribe, publish, wait for the ack."""
    async with aiomqtt.Client("127.0.0.1", port, identifier="device") as client:
        await client.subscribe(meter.topic("ack"), qos=1)
        await client.publish(meter.topic(), envelope, qos=1)
        async with asyncio.timeout(20):
            async for message in client.messages:
                return messages.decode_ack(cose.decode_sign1(message.payload, (cose.CT_ACK,)).payload)
    raise AssertionError("no ack")


def test_bundles_are_acked_through_a_broker_that_dies_in_between(tmp_path: Path) -> None:
    async def story() -> None:
        port, meter = free_port(), Device("m1")
        shell = MqttShell(Broker("127.0.0.1", port))

        async def publish_too(half: Half) -> None:
            half.ingest._publish = shell.publish

        async with open_half(tmp_path, meter) as half:
            await publish_too(half)
            running = asyncio.create_task(shell.run(half.ingest))
            await shell.publish(meter.topic("ack"), b"nobody there")
            assert shell.counts["unsent"] == 1
            async with broker_on(port):
                await connected(shell, 1)
                assert (await ask(port, meter, meter.readings().envelope)).next_seq == 3
            async with broker_on(port):
                await connected(shell, 2)
                assert (await ask(port, meter, meter.readings().envelope)).next_seq == 6
            assert shell.counts["taken"] == 2 and half.log.head.size == 2
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    asyncio.run(story())


def message_of(payload: bytes, topic: str = "meterproof/v1/a/b/bundle") -> aiomqtt.Message:
    return aiomqtt.Message(topic, payload, 1, False, 1, None)


def test_a_flood_is_dropped_and_counted() -> None:
    async def story() -> None:
        shell = MqttShell(Broker("127.0.0.1", 1), queue_max=2)
        for number in range(5):
            shell._take(message_of(bytes([number])))
        assert (shell.counts["taken"], shell.counts["dropped"]) == (2, 3)

    asyncio.run(story())


def test_bytes_are_bounded_as_well() -> None:
    async def story() -> None:
        shell = MqttShell(Broker("127.0.0.1", 1), queue_bytes_max=1000)
        for number in range(5):
            shell._take(message_of(bytes([number]) * 400))
        assert (shell.counts["taken"], shell.counts["dropped"]) == (2, 3)

    asyncio.run(story())


def test_a_payload_longer_than_any_message_of_ours_is_dropped() -> None:
    async def story() -> None:
        shell = MqttShell(Broker("127.0.0.1", 1))
        shell._take(message_of(bytes(65_536)))
        shell._take(message_of(bytes(65_535)))
        assert (shell.counts["taken"], shell.counts["dropped"]) == (1, 1)

    asyncio.run(story())


class Slow:
    """Knows one topic, and answers when it is told to."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.may_answer = asyncio.Event()

    def expects(self, topic: str) -> bool:
        return topic == "known"

    async def accept(self, topic: str, payload: bytes) -> Coroutine[Any, Any, None]:
        self.seen.append(payload)
        return self._answer()

    async def _answer(self) -> None:
        await self.may_answer.wait()


@asynccontextmanager
async def working(ingest: Slow, **options: int) -> AsyncIterator[MqttShell]:
    """A shell without a broker."""
    shell = MqttShell(Broker("127.0.0.1", 1), **options)
    running = asyncio.create_task(shell.run(ingest))
    await asyncio.sleep(0)
    try:
        yield shell
    finally:
        running.cancel()
        await asyncio.wait({running})


def test_strangers_are_shed_first() -> None:
    async def story() -> None:
        async with working(Slow(), queue_max=10) as shell:
            for number in range(8):
                shell._take(message_of(bytes([number]), "stranger"))
            for number in range(8):
                shell._take(message_of(bytes([number]), "known"))
            assert shell.counts == {"taken": 10, "dropped-unknown": 3, "dropped": 3}

    asyncio.run(story())


def test_what_waits_for_its_answer_is_not_taken_again_but_afterwards_it_is() -> None:
    async def story() -> None:
        ingest = Slow()
        async with working(ingest) as shell:
            for _ in range(3):
                shell._take(message_of(b"x"))
            await until(lambda: ingest.seen)
            shell._take(message_of(b"x"))
            assert shell.counts == {"taken": 1, "dropped-again": 3}
            shell._take(message_of(b"x", "another topic"))
            ingest.may_answer.set()
            await until(lambda: not shell._unanswered)
            shell._take(message_of(b"x"))
            await until(lambda: len(ingest.seen) == 3)
            assert shell.counts == {"taken": 3, "dropped-again": 3}

    asyncio.run(story())


def test_answers_that_hang_stop_the_work_and_no_more_than_their_number_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.ingest.mqtt.ANSWERS_MAX", 3)

    async def story() -> None:
        ingest = Slow()
        async with working(ingest, queue_max=100) as shell:
            for number in range(20):
                shell._take(message_of(bytes([number])))
            await until(lambda: len(shell._answers) == 3)
            await asyncio.sleep(0.1)
            assert (len(shell._answers), len(ingest.seen)) == (3, 4)
            ingest.may_answer.set()
            await until(lambda: not shell._unanswered)
            assert len(ingest.seen) == 20

    asyncio.run(story())


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


def test_a_bug_in_ingest_ends_the_shell() -> None:
    class Broken:
        def expects(self, topic: str) -> bool:
            return True

        async def accept(self, topic: str, payload: bytes) -> None:
            raise ZeroDivisionError

    async def story() -> None:
        shell = MqttShell(Broker("127.0.0.1", 1))
        shell._take(message_of(b"x"))
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(shell.run(Broken()), 5)
        assert ended.value.subgroup(ZeroDivisionError)

    asyncio.run(story())
