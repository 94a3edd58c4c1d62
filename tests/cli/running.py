"""A real backend as its people see it: the command line, a port, a broker. Contains no test itself."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiomqtt

from server.keystore import SigningKey
from shared import ids, messages
from tests.evidence.fleet import Device, evidence_of

ROOT = Path(__file__).resolve().parent.parent.parent
CLI = [sys.executable, "-m", "server.cli"]
TIMEOUT_S = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def run(*arguments: str, env: dict[str, str] | None = None, stdin: str = "") -> Ran:
    """One command as a process of its own; never a traceback."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    done = subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, input=stdin)
    assert "Traceback" not in done.stderr + done.stdout, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


class Node:
    """A home, and the process that serves it."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.http_port, self.broker_port = free_port(), free_port()
        made = run(
            "init", str(home), "--org", "Sunny Fields", "--http-port", str(self.http_port), "--broker-port", str(self.broker_port),
            "--json", *options,
        )  # fmt: skip
        assert made.code == 0, made.err
        self.made = made.json
        self.org = ids.decode_id(ids.ORG, self.made["organization"])
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.home / "serve.log").open("ab") as log:
            environment = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process = subprocess.Popen([*CLI, "serve", "--home", str(self.home)], stdout=log, stderr=log, env=environment)
        self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 30
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/v1/status", timeout=2) as answer:
                    if json.load(answer)["broker_connected"]:
                        return
            except OSError:
                pass
            assert self.process is not None and self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)

    def log(self) -> str:
        return (self.home / "serve.log").read_text()

    def cli(self, *arguments: str, code: int = 0, key: Path | None = None) -> Ran:
        """Runs a command in this home and checks how it ends."""
        environment = {"METERPROOF_HOME": str(self.home)}
        if key is not None:
            environment["METERPROOF_KEY"] = str(key)
        ran = run(*arguments, env=environment)
        assert ran.code == code, f"exit {ran.code}\n{ran.out}\n{ran.err}"
        return ran

    def json(self, *arguments: str, key: Path | None = None) -> Any:
        return self.cli(*arguments, "--json", key=key).json

    # --- as a device

    def exchange(self, device: Device, what: str, payload: bytes, answer: str, timeout_s: float = 10.0) -> bytes | None:
        """Publishes as a device and gives the answer on its topic, or None."""

        async def story() -> bytes | None:
            async with aiomqtt.Client("127.0.0.1", self.broker_port) as client:
                await client.subscribe(device.topic(answer, self.org), qos=1)
                await client.publish(device.topic(what, self.org), payload, qos=1)
                try:
                    async with asyncio.timeout(timeout_s):
                        async for message in client.messages:
                            return bytes(message.payload)
                except TimeoutError:
                    return None
            return None

        return asyncio.run(story())

    def challenge(self, device: Device) -> bytes:
        """The signed challenge for a hello."""
        data = self.exchange(device, "hello", messages.encode_hello(device.id, device.boot), "challenge")
        assert data is not None
        return data

    def attest(self, device: Device, nonce: bytes | None = None) -> None:
        """Hello and evidence; returns when the backend has dealt with it."""
        from shared import cose

        if nonce is None:
            signed = cose.decode_sign1(self.challenge(device), (cose.CT_CHALLENGE,))
            nonce = messages.decode_challenge(signed.payload).nonce
        before = self.dealt_with()
        self.exchange(device, "attest", evidence_of(device, nonce), "ack", 0.05)
        deadline = time.monotonic() + 10
        while self.dealt_with() == before:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def dealt_with(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/v1/status", timeout=5) as answer:
            counts = json.load(answer)["messages"]
        return int(counts.get("attested", 0) + counts.get("quarantined", 0))

    def new_device(self, name: str, firmware: bytes | None = None) -> Device:
        """A device with a clock that is right, and ids that no other test run has."""
        device = Device(f"{name} {self.home}")
        device.time_s = int(time.time())
        if firmware is not None:
            device.firmware = firmware
        return device


def text_of(device: Device) -> str:
    return str(ids.encode_id(ids.DEVICE, device.id))


def fingerprint_of(device: Device) -> str:
    return str(ids.encode_id(ids.KEY, device.key.kid))


def new_key(path: Path) -> SigningKey:
    key = SigningKey.generate()
    key.save(path)
    return key
