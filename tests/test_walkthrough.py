"""The whole line as a story: a meter is read, the firmware signs and buffers, the backend checks, logs, orders and anchors, and a stranger
verifies one reading offline. Every program here is the real one, in a process of its own; read it from top to bottom.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from server.demo.backend import CLI, Node
from server.demo.fleet import Meter, Site, build_fleet, build_images, write_config
from server.demo.inverter import ScaledClock
from server.demo.processes import Child, Children, free_port
from server.demo.profile import CSV_PATH
from server.keystore import SigningKey
from shared import note
from shared.verify.build import build_zipapp

ROOT = Path(__file__).resolve().parent.parent
SPEED_MILLI = 1_200_000  # a minute of the record takes 50 ms
DAY_S = 86_400
PATIENCE_S = 60


def test_from_a_meter_to_a_proof(tmp_path: Path) -> None:
    with Children(tmp_path / "logs") as children:
        # Somebody founds a node: keys, genesis, settings, and the policy that is handed to verifiers.
        node = Node(tmp_path / "node", children)
        node.init()
        node.start()

        # Two devices run the same firmware, one in MicroPython and one as a gateway in CPython; both read a SunSpec inverter.
        firmware = build_images(tmp_path / "firmware")
        now_ms = time.time_ns() // 1_000_000
        clock = ScaledClock(now_ms // 1000 - 2 * DAY_S, now_ms, SPEED_MILLI)
        inverter_port = start_inverter(children, clock)
        site = Site(tmp_path / "meters", node.org, node.origin, node.node_key, node.broker_port, inverter_port)
        meter, _, _, gateway = build_fleet(children, site, tmp_path / "firmware")
        for device in (meter, gateway):
            write_config(device, site, clock)
            device.child.start()

        # At first start each makes its own key and answers the node's challenge with evidence about itself.
        wait_for(lambda: node.pending().keys() >= {meter.serial, gateway.serial})
        said = node.pending()
        assert said[meter.serial][1].interpreter.startswith("micropython ")
        assert said[gateway.serial][1].interpreter.startswith("cpython ")
        assert said[meter.serial][1].firmware.hex() == firmware["unix"]
        assert said[gateway.serial][1].firmware.hex() == firmware["cpython"]

        # An installer compares the fingerprint and enrols them: key, firmware and metering point are on the ledger from here on.
        for digest in firmware.values():
            node.cli("firmware", "add", digest, "--name", "meterproof-edge", "--version", "0.1.0")
        grid = node.create_point("Grid connection")
        for device in (meter, gateway):
            node.enroll(device, grid, clock.epoch_s)
        wait_for(lambda: node.anchored_size() >= 4)

        # Things go wrong. Nothing that was read may be lost by it, and nothing may be there twice.
        meter.child.kill()
        meter.child.start()
        node.server.kill()
        size_before = taken(meter)
        node.server.start()
        wait_for(lambda: node.anchored_size() >= 8 and taken(meter) > size_before + 60)

        # The devices send what they still hold, and end when the node has signed for all of it.
        for device in (meter, gateway):
            device.child.stop()
            device.child.start("drain")
            assert device.child.wait(PATIENCE_S), device.child.log_tail()
        sealed = len(meter.notebook.sealed) + len(gateway.notebook.sealed)
        wait_for(lambda: node.anchored_size() >= sealed)

        # One reading for a stranger: the file, and the policy that says whom the stranger trusts.
        evidence, policy = tmp_path / "reading.evidence", tmp_path / "node" / "policy.toml"
        node.cli("evidence", "get", meter.id, "100", "-o", str(evidence))
        node.server.stop()

        # What the devices wrote down themselves is what the backend's files hold, recounted from tiles, rows and blocks alone.
        report = node.cli("fsck")
        assert not report["problems"] and not report["derived_problems"] and report["duplicates"] == 0 and report["lost"] == 0
        for device in (meter, gateway):
            taken(device)
            stored = report["devices"][device.id]["sequences"]
            assert {seq for first, count in stored for seq in range(first, first + count)} == set(device.notebook.taken)

    check_as_a_stranger(evidence, policy, tmp_path)


def check_as_a_stranger(evidence: Path, policy: Path, folder: Path) -> None:
    """Nothing runs any more; there is a file, a policy, and Python."""
    build_zipapp(folder / "verify.pyz")
    for verifier in ([*CLI, "verify"], [sys.executable, "-S", "-I", str(folder / "verify.pyz")]):
        proven = run(verifier, evidence, "--policy", policy)
        assert proven.returncode == 0 and "PROVEN under your policy" in proven.stdout, proven
        assert "SERF-0001" in proven.stdout and "simulated" in proven.stdout

        # Without a policy it is consistent, and no more.
        alone = run(verifier, evidence)
        assert alone.returncode == 3 and "trusted by nobody you named" in alone.stdout

        # One byte changed anywhere, and it says at which step it failed.
        data = bytearray(evidence.read_bytes())
        data[len(data) // 2] ^= 1
        (folder / "changed").write_bytes(data)
        changed = run(verifier, folder / "changed", "--policy", policy)
        assert changed.returncode == 1 and "✗" in changed.stdout and "REFUSED" in changed.stdout

        # A node that nobody named proves nothing to this stranger, however consistent its file is.
        stranger = note.encode_vkey("meterproof.ledger/meterproof-demo", SigningKey.generate().raw)
        lines = [f'vkey = "{stranger}"' if line.startswith("vkey") else line for line in policy.read_text().splitlines()]
        (folder / "other.toml").write_text("\n".join(lines))
        untrusted = run(verifier, evidence, "--policy", folder / "other.toml")
        assert untrusted.returncode == 1 and "checkpoint" in untrusted.stdout


def start_inverter(children: Children, clock: ScaledClock) -> int:
    """The measured days on Modbus TCP; gives the port."""
    port = free_port()
    numbers = {
        "--port": port,
        "--start-s": clock.epoch_s,
        "--epoch-s": clock.epoch_s,
        "--wall-ms": clock.wall_ms,
        "--scale-milli": clock.scale_milli,
    }
    options = [text for name, value in numbers.items() for text in (name, str(value))]
    inverter: Child = children.add("inverter", [sys.executable, "-m", "server.demo.inverter", "--csv", str(CSV_PATH), *options], cwd=ROOT)
    inverter.start()
    return port


def taken(device: Meter) -> int:
    """Readings that the device has written down so far; none of them twice."""
    device.notebook.update()
    assert device.notebook.twice == 0
    return len(device.notebook.taken)


def run(verifier: list[str], *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*verifier, *map(str, arguments)], capture_output=True, text=True, timeout=30, cwd=ROOT)


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            pytest.fail("it did not happen in time")
        time.sleep(0.1)
