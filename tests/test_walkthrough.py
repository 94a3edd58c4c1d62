"""The whole line as a story: a meter is read, the firmware signs and buffers, the backend checks, logs, orders and anchors, and a stranger
verifies one reading offline. Every program here is the real one, in a process of its own. Read it from top to bottom.

The programs are started by the demonstration's own helpers (server/demo); what a stranger does with the file is in tests/stranger.py.
"""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from server.demo.backend import Node
from server.demo.fleet import Meter, Site, build_fleet, build_images, start_inverter, write_config
from server.demo.inverter import ScaledClock
from server.demo.processes import Children, free_port
from server.demo.profile import CSV_PATH
from tests.stranger import Stranger, change_a_byte, forge

SPEED_MILLI = 1_200_000  # a minute of the record takes 50 ms
DAY_S = 86_400
PATIENCE_S = 60


def test_from_a_meter_to_a_proof(tmp_path: Path) -> None:
    evidence, policy = tmp_path / "reading.evidence", tmp_path / "node" / "policy.toml"
    with Children(tmp_path / "logs") as children:
        node = found_a_node(tmp_path / "node", children)
        clock = run_an_inverter(children, inverter_port := free_port())
        firmware = build_images(tmp_path / "firmware")
        site = Site(tmp_path / "meters", node.org, node.origin, node.node_key, node.broker_port, inverter_port)
        meter, _, _, gateway = build_fleet(children, site, tmp_path / "firmware")
        for device in (meter, gateway):
            write_config(device, site, clock)
            device.child.start()

        devices_say_what_they_are(node, meter, gateway, firmware)
        an_installer_enrols_them(node, (meter, gateway), firmware, clock)
        everything_is_killed_and_goes_on(node, meter)
        devices_send_all_they_hold(node, (meter, gateway))

        # One reading for a stranger: a file, and the policy that says whom this stranger trusts.
        node.cli("evidence", "get", meter.id, "10", "-o", str(evidence))
        node.server.stop()
        files_hold_what_devices_wrote_down(node, (meter, gateway))

    # Nothing runs any more. There is a file, a policy, and Python: the command, and one file that needs nothing installed.
    for stranger in (Stranger.with_command(), Stranger.with_zipapp(tmp_path / "verify.pyz")):
        a_stranger_verifies(stranger, evidence, policy)
        a_stranger_refuses(stranger, evidence, policy)


def found_a_node(home: Path, children: Children) -> Node:
    """Somebody founds a node: keys, genesis, settings, and the policy that is handed to verifiers. A broker runs beside it."""
    node = Node(home, children)
    node.init()
    node.start()
    return node


def run_an_inverter(children: Children, port: int) -> ScaledClock:
    """It replays two measured days on Modbus TCP, on a scaled clock that every signed statement will call "simulated"."""
    now_ms = time.time_ns() // 1_000_000
    clock = ScaledClock(now_ms // 1000 - 2 * DAY_S, now_ms, SPEED_MILLI)
    start_inverter(children, port, CSV_PATH, clock, clock.epoch_s)
    return clock


def devices_say_what_they_are(node: Node, meter: Meter, gateway: Meter, firmware: dict[str, str]) -> None:
    """Two devices run the same firmware, in real MicroPython and in CPython. At first start each makes its own key and answers the node's
    challenge with evidence about itself."""
    wait_for(lambda: node.pending().keys() >= {meter.serial, gateway.serial})
    said = {serial: evidence for serial, (_, evidence) in node.pending().items()}
    assert said[meter.serial].interpreter.startswith("micropython ")
    assert said[meter.serial].firmware.hex() == firmware["unix"]
    assert said[gateway.serial].interpreter.startswith("cpython ")
    assert said[gateway.serial].firmware.hex() == firmware["cpython"]


def an_installer_enrols_them(node: Node, devices: tuple[Meter, ...], firmware: dict[str, str], clock: ScaledClock) -> None:
    """The installer compares each fingerprint with the one that the device shows: from here on, key, firmware and metering point are on
    the ledger. Readings become bundles, bundles go into the evidence log, its head goes to the ledger in batches, validators vote."""
    for digest in firmware.values():
        node.cli("firmware", "add", digest, "--name", "meterproof-edge", "--version", "0.1.0")
    roof = node.create_point("Roof")
    for device in devices:
        node.enroll(device, roof, clock.epoch_s)
    wait_for(lambda: node.anchored_size() >= 4)


def everything_is_killed_and_goes_on(node: Node, meter: Meter) -> None:
    """SIGKILL to the meter and to the backend, in the middle of whatever they are doing."""
    meter.child.kill()
    node.server.kill()
    meter.child.start()
    before = taken(meter)
    wait_for(lambda: taken(meter) >= before + 30)  # it reads on, with nobody there to send to
    node.server.start()
    wait_for(lambda: node.anchored_size() >= 8)


def devices_send_all_they_hold(node: Node, devices: tuple[Meter, ...]) -> None:
    """They sign and send what is left, and end when the node has signed for all of it."""
    for device in devices:
        device.child.stop()
        device.child.start("drain")
    for device in devices:
        assert device.child.wait(PATIENCE_S), device.child.log_tail()
    killed, _ = devices
    assert taken(killed) > 0 and killed.notebook.boots == 3
    wait_for(lambda: node.anchored_size() >= sum(len(device.notebook.sealed) for device in devices))


def files_hold_what_devices_wrote_down(node: Node, devices: tuple[Meter, ...]) -> None:
    """Counted again from tiles, rows and blocks alone; none twice, none missing."""
    report = node.cli("fsck")
    assert report["ok"] and report["duplicates"] == report["lost"] == 0
    for device in devices:
        assert taken(device) > 0 and stored(report, device) == set(device.notebook.taken)


def a_stranger_verifies(stranger: Stranger, evidence: Path, policy: Path) -> None:
    proven = stranger.verifies(evidence, policy)
    assert proven.code == 0 and "PROVEN under your policy" in proven.text
    assert "SERF-0001" in proven.text and "simulated" in proven.text  # which meter, and how good its clock was

    # Without a policy it is consistent, and no more than that.
    alone = stranger.verifies(evidence, None)
    assert alone.code == 3 and "trusted by nobody you named" in alone.text


def a_stranger_refuses(stranger: Stranger, evidence: Path, policy: Path) -> None:
    """One byte changed: the step is named. A forgery that is perfect in itself, same chain, same meter, but under fresh keys: consistent,
    and refused under the policy."""
    changed = stranger.verifies(change_a_byte(evidence), policy)
    assert changed.code == 1 and "✗" in changed.text and "REFUSED" in changed.text

    forged = forge(policy, evidence.with_name("forged.evidence"))
    assert stranger.verifies(forged, None).code == 3
    refused = stranger.verifies(forged, policy)
    assert refused.code == 1 and "✗ checkpoint" in refused.text and "REFUSED" in refused.text


def taken(device: Meter) -> int:
    """Readings that the device has written down so far; none of them twice."""
    device.notebook.update()
    assert device.notebook.twice == 0
    return len(device.notebook.taken)


def stored(report: dict, device: Meter) -> set[int]:
    """Sequences of the device that the backend's files hold."""
    return {seq for first, count in report["devices"][device.id]["sequences"] for seq in range(first, first + count)}


def wait_for(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not ready():
        if time.monotonic() > end:
            pytest.fail("it did not happen in time")
        time.sleep(0.1)
