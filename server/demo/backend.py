"""The node of the demonstration, driven as its operator and installer would: by the `meterproof` command.

In: a home directory. Out: a running broker and backend, and what they answer. Never reaches into the backend's own objects or files.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from server.cli.client import Client
from server.demo.fleet import Meter
from server.demo.processes import Children, free_port, wait_for_port
from shared import attest, channel
from shared.errors import MeterproofError, Unavailable
from shared.types import Evidence

COMMAND_TIMEOUT_S = 60
READY_TIMEOUT_S = 20
CLI = [sys.executable, "-m", "server.cli"]


class Node:
    """One backend and its broker, two processes."""

    def __init__(self, home: Path, children: Children) -> None:
        self.home = home
        self.broker_port = free_port()
        self.http_port = free_port()
        self.broker = children.add("broker", [*CLI, "broker", "--port", str(self.broker_port)])
        self.server = children.add("backend", [*CLI, "serve", "--home", str(home)])
        self.client = Client(f"http://127.0.0.1:{self.http_port}", timeout_s=5.0)
        self.org = self.origin = self.node_key = ""

    def cli(self, *arguments: str) -> Any:
        """Runs a command with --json; its answer. Raises Unavailable 410 with what it said."""
        command = [*CLI, *arguments, "--json"]
        if arguments[0] != "init":
            command += ["--home", str(self.home)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S, stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise Unavailable(410, f"meterproof {' '.join(arguments[:2])}: {done.stderr.strip()[-600:]}")
        return json.loads(done.stdout)

    def init(self) -> None:
        url = f"mqtt://127.0.0.1:{self.broker_port}"
        made = self.cli(
            "init",
            str(self.home),
            "--org",
            "SERF demonstration",
            "--chain-id",
            "meterproof-demo",
            "--http-port",
            str(self.http_port),
            "--broker-url",
            url,
        )
        self.org, self.origin, self.node_key = made["organization"], made["origin"], made["node_key"]

    def start(self) -> None:
        """Returns when devices can be heard: a first hello that nobody takes is repeated only after ten seconds. Raises Unavailable 410."""
        self.broker.start()
        wait_for_port(self.broker_port, self.broker)
        self.server.start()
        wait_for_port(self.http_port, self.server)
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not self.status()["broker_connected"]:
            if time.monotonic() > deadline:
                raise Unavailable(410, f"the backend does not find its broker:\n{self.server.log_tail()}")
            time.sleep(0.05)

    def pending(self) -> dict[str, tuple[dict[str, Any], Evidence]]:
        """Evidence of devices that wait for enrolment, by their meter's serial number; none while the backend is still starting."""
        found = {}
        for row in self.cli("device", "pending") if self._answers() else []:
            evidence = attest.open_evidence(bytes.fromhex(row["evidence"]))[1]
            for table in evidence.channels.values():
                found[channel.decode_table(table).serial] = (row, evidence)
        return found

    def _answers(self) -> bool:
        try:
            self.client.get_json("/v1/status")
        except MeterproofError:
            return False
        return True

    def create_point(self, name: str, parent: str | None = None) -> str:
        under = ["--parent", parent] if parent else []
        return str(self.cli("point", "create", name, "--zone", "America/Denver", *under)["point"])

    def enroll(self, meter: Meter, site: str, from_s: int) -> None:
        """Finds the device by the serial number its evidence says its meter has, and confirms the fingerprint read on the device."""
        row, evidence = self.pending()[meter.serial]
        meter.id, meter.interpreter = row["device"], evidence.interpreter
        meter.point = self.create_point(f"Inverter output {meter.unit}", site)
        self.cli("device", "enroll", meter.id, "--point", meter.point, "--from", str(from_s), "--fingerprint", meter.fingerprint())

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.client.get_json("/v1/status")
        return answer

    def summary(self) -> str:
        """One line for the screen."""
        try:
            status = self.status()
        except MeterproofError:
            return "backend does not answer yet"
        log = f"evidence log {status['evidence_log_size']}, anchored {status['anchored_size']}"
        return f"{log}, batches {status['batches']}, block {status['height']}"

    def anchored_size(self) -> int:
        try:
            return int(self.status()["anchored_size"])
        except MeterproofError:
            return 0

    def readings(self, meter: Meter) -> list[dict[str, Any]]:
        """All readings of a meter that the backend stored."""
        found: list[dict[str, Any]] = []
        while True:
            first = found[-1]["seq"] + 1 if found else 0
            page = self.cli("evidence", "list", meter.id, "--first-seq", str(first), "--count", "5000")
            found += page
            if len(page) < 5000:
                return found
