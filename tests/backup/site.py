"""A node as a process with an enrolled device that can send all the while. Contains no test."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import aiomqtt

from shared import cose, messages
from shared.types import Ack
from tests.cli.running import Node, fingerprint_of, run, text_of
from tests.evidence.fleet import Device


def start_node(home: Path) -> tuple[Node, Device]:
    """Served, with one device enrolled; its heads are kept beside the home."""
    node = Node(home)
    kept = home.with_name("kept")
    kept.mkdir()
    settings = home / "meterproof.toml"
    settings.write_text(settings.read_text() + f'\n[heads]\ndirectory = "{kept}"\n')
    node.start()
    device = node.new_device("backed up")
    device.time_s -= 400 * 86400  # under load its readings are of days
    node.cli("firmware", "add", device.firmware.hex(), "--name", "meterproof-edge", "--version", "0.1.0")
    point = node.json("point", "create", "Roof")["point"]
    node.attest(device)
    arguments = ("--point", point, "--from", str(device.time_s - 60), "--fingerprint", fingerprint_of(device))
    node.cli("device", "enroll", text_of(device), *arguments)
    return node, device


def ack_for(node: Node, device: Device, count: int = 5) -> Ack:
    """Sends one bundle and gives the ack."""
    data = node.exchange(device, "bundle", device.readings(count).envelope, "ack")
    assert data is not None
    return messages.decode_ack(cose.decode_sign1(data, (cose.CT_ACK,)).payload)


def moved(node: Node, home: Path) -> Node:
    """The same node over another home."""
    other = object.__new__(Node)
    other.__dict__.update(node.__dict__ | {"home": home, "process": None})
    return other


class Load:
    """A device that sends without waiting, until the block ends; then everything it sent is in the log."""

    def __init__(self, node: Node, device: Device) -> None:
        self._node, self._device = node, device
        self._ending = threading.Event()
        self.last: Ack | None = None

    @contextlib.contextmanager
    def running(self) -> Iterator["Load"]:
        thread = threading.Thread(target=lambda: asyncio.run(self._send()))
        thread.start()
        try:
            yield self
        finally:
            self._ending.set()
            thread.join(60)
            assert not thread.is_alive()
        assert self.last is not None and self.last.next_seq == self._device.next_seq

    async def _send(self) -> None:
        async with aiomqtt.Client("127.0.0.1", self._node.broker_port) as client:
            await client.subscribe(self._device.topic("ack", self._node.org), qos=1)
            topic = self._device.topic("bundle", self._node.org)
            async with asyncio.timeout(60):
                listening = asyncio.create_task(self._listen(client))
                while not self._ending.is_set():
                    await client.publish(topic, self._device.readings(3).envelope, qos=1)
                await listening

    async def _listen(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            self.last = messages.decode_ack(cose.decode_sign1(bytes(message.payload), (cose.CT_ACK,)).payload)
            if self._ending.is_set() and self.last.next_seq == self._device.next_seq:
                return


def heads_of(home: Path, target: Path) -> list[str]:
    """What a reader keeps of a node: copies of its two published checkpoints."""
    paths = []
    for log in ("evidence-log", "ledger-log"):
        path = target / f"{log}.checkpoint"
        path.write_bytes((home / log / "checkpoint").read_bytes())
        paths.append(str(path))
    return paths


def check_whole(home: Path) -> dict[str, int]:
    """fsck's counts; everything must agree."""
    ran = run("fsck", "--home", str(home), "--json")
    assert ran.code == 0, ran.out + ran.err
    report: dict[str, int] = ran.json
    return report
