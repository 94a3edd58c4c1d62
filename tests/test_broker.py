"""server/broker.py: a device reaches its own topics and no other; and server/supervisor.py keeps a child running."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest

from server.broker import build_broker_config, is_topic_allowed, set_password
from server.supervisor import Supervisor
from shared import ids
from shared.errors import DecodeError, RuleError
from tests.cli.running import CLI, free_port, run

ORG = ids.encode_id(ids.ORG, b"o" * 10)
ONE = f"{ORG}/" + ids.encode_id(ids.DEVICE, b"\x01" + b"1" * 16)
OTHER = f"{ORG}/" + ids.encode_id(ids.DEVICE, b"\x01" + b"2" * 16)
BASE = "meterproof/v1"


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        (ONE, f"{BASE}/{ONE}/bundle", True),
        (ONE, f"{BASE}/{ONE}/#", True),
        (ONE, f"{BASE}/{OTHER}/ack", False),
        (ONE, f"{BASE}/{ONE}", False),
        (ONE, f"{BASE}/{ONE}x/ack", False),
        (ONE, f"{BASE}/+/+/ack", False),
        (ONE, f"{BASE}/{ORG}/+/ack", False),
        (ONE, "#", False),
        (ONE, "meterproof/#", False),
        (ONE, "$SYS/#", False),
        ("node", f"{BASE}/+/+/bundle", True),
        ("node", "#", False),
        ("nobody", f"{BASE}/nobody/bundle", False),
        ("", f"{BASE}//bundle", False),
    ],
)
def test_topics(user: str, topic: str, allowed: bool) -> None:
    assert is_topic_allowed(user, topic) is allowed


def test_anonymous_only_on_loopback(tmp_path: Path) -> None:
    assert any("Anonymous" in name for name in build_broker_config("127.0.0.1", 1, None).plugins)
    for arguments in (("0.0.0.0", 1, None), ("10.0.0.1", 1, None), ("127.0.0.1", 1, tmp_path / "none")):
        with pytest.raises(DecodeError) as caught:
            build_broker_config(*arguments)
        assert caught.value.code == 195


def test_passwords_are_hashed_and_replaced(tmp_path: Path) -> None:
    path = tmp_path / "passwords"
    set_password(path, "node", "first")
    set_password(path, ONE, "other")
    set_password(path, "node", "second")
    text = path.read_text()
    assert [line.split(":")[0] for line in text.splitlines()] == [ONE, "node"]
    assert "first" not in text and "second" not in text and path.stat().st_mode & 0o077 == 0
    for name in ("admin", "x:y", ORG, f"{ORG}/{ORG}"):
        with pytest.raises(RuleError):
            set_password(path, name, "x")


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """A broker with three users; their password is their name reversed."""
    path, port = tmp_path / "passwords", free_port()
    for name in ("node", ONE, OTHER):
        made = run("broker", "passwd", str(path), name, env={"METERPROOF_PASSWORD": name[::-1]})
        assert made.code == 0 and name[::-1] not in made.out
    process = subprocess.Popen([*CLI, "broker", "--port", str(port), "--password-file", str(path)], stderr=subprocess.PIPE)
    try:
        wait_for(port)
        yield port
    finally:
        process.send_signal(signal.SIGTERM)
        _, shown = process.communicate(timeout=20)
        assert process.returncode == 0 and b"Traceback" not in shown, shown


def wait_for(port: int) -> None:
    import socket

    deadline = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def client(port: int, name: str | None, password: str | None = None) -> aiomqtt.Client:
    return aiomqtt.Client("127.0.0.1", port, username=name, password=password if password is not None or name is None else name[::-1])


async def next_message(listener: aiomqtt.Client, timeout_s: float) -> bytes | None:
    try:
        async with asyncio.timeout(timeout_s):
            async for message in listener.messages:
                return bytes(message.payload)
    except TimeoutError:
        pass
    return None


def test_who_may_connect(broker: int) -> None:
    async def story() -> None:
        for name, password in ((None, None), (ONE, "wrong"), ("nobody", "x"), (ONE, "")):
            with pytest.raises(aiomqtt.MqttError):
                async with client(broker, name, password):
                    pass
        async with client(broker, ONE):
            pass

    asyncio.run(story())


def test_what_may_pass(broker: int) -> None:
    async def story() -> None:
        async with client(broker, "node") as node, client(broker, ONE) as one, client(broker, OTHER) as other:
            await node.subscribe(f"{BASE}/+/+/bundle", qos=1)
            await one.subscribe(f"{BASE}/{ONE}/ack", qos=1)
            await refused_subscription(other, f"{BASE}/{ONE}/ack")
            await refused_subscription(other, "#")
            await one.publish(f"{BASE}/{ONE}/bundle", b"mine", qos=1)
            assert await next_message(node, 5) == b"mine"
            await other.publish(f"{BASE}/{ONE}/bundle", b"forged", qos=1)
            assert await next_message(node, 1) is None
            await node.publish(f"{BASE}/{ONE}/ack", b"yes", qos=1)
            assert await next_message(one, 5) == b"yes"
            assert await next_message(other, 1) is None

    asyncio.run(story())


async def refused_subscription(of: aiomqtt.Client, topic: str) -> None:
    granted = await of.subscribe(topic, qos=1)
    assert all(int(getattr(code, "value", code)) == 0x80 for code in granted)


# --- supervisor


def supervise(story: Any, *command: str) -> Supervisor:
    supervisor = Supervisor("test", command, backoff_first_s=0.05)

    async def whole() -> None:
        task = asyncio.create_task(supervisor.run())
        try:
            async with asyncio.timeout(20):
                await story(supervisor)
        finally:
            task.cancel()
            await asyncio.wait({task})

    asyncio.run(whole())
    return supervisor


async def until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.02)


def test_a_child_that_ends_is_started_again_and_at_the_end_stopped() -> None:
    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.starts >= 3)

    assert supervise(story, sys.executable, "-c", "").pid is None


def test_a_child_that_stays_is_stopped_with_us() -> None:
    seen: list[int | None] = []

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.pid is not None)
        seen.append(supervisor.pid)

    supervisor = supervise(story, sys.executable, "-c", "import time; time.sleep(60)")
    assert seen[0] is not None and supervisor.pid is None
    with pytest.raises(ProcessLookupError):
        os.kill(seen[0], 0)


def test_a_child_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.supervisor.STOP_TIMEOUT_S", 0.3)
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"

    async def story(supervisor: Supervisor) -> None:
        await until(lambda: supervisor.pid is not None)
        await asyncio.sleep(0.5)

    assert supervise(story, sys.executable, "-c", code).pid is None
