"""`meterproof status` and `findings` with a real backend, a real broker and devices that are in trouble."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time

import aiomqtt

from server.cli.review import status_text
from server.cli.words import printable
from shared import channel
from tests.cli.running import Node, text_of
from tests.cli.test_refusals import enrolled, know_firmware


def test_from_well_to_trouble_and_back(node: Node) -> None:
    """In the order of an operator's bad morning."""
    ran = node.cli("status")
    assert ran.out.startswith("Nothing is wrong.")
    assert "broker        connected, 1 start since the backend's" in ran.out
    device = enrolled(node, "status")
    device.time_s -= 3600
    assert node.exchange(device, "bundle", device.readings().envelope, "ack")
    node.cli("device", "suspend", text_of(device), "--reason", "a test")
    stranger = node.new_device("stranger of status")
    node.attest(stranger)
    node.exchange(stranger, "bundle", stranger.readings().envelope, "ack", 0.1)
    assert node.exchange(device, "bundle", device.readings().envelope, "ack", 0.3) is None
    ran = node.cli("status", code=3)
    assert ran.out.startswith("NEEDS A PERSON (")
    for text in (
        "* suspended, since ",
        "* device-pending, since ",
        "* quarantine-320, since ",
        text_of(device),
        text_of(stranger),
        " s ago)",
    ):
        assert text in ran.out
    assert max(len(line) for line in ran.out.splitlines() if "meterproof/v1/" not in line) <= 80
    value = json.loads(node.cli("status", "--json", code=3).out)
    found = {trouble["kind"]: trouble for trouble in value["troubles"]}
    assert value["needs_person"] == sum(trouble["act"] for trouble in value["troubles"]) >= 3
    assert [item["device"] for item in found["suspended"]["devices"]] == [text_of(device)]
    assert value["devices"] == {"live": 0, "silent": 0, "never_heard": 0, "suspended": 1, "revoked": 0}
    assert "devices       1 suspended" in ran.out
    assert "quarantine    1 device-never-enrolled (320); the oldest of 20" in ran.out
    assert "unacked       nothing waits" in ran.out
    assert found["suspended"]["devices"][0]["points"] == ["status"]
    assert f"{text_of(device)}  status" in ran.out
    assert found["device-pending"]["devices"][0]["points"] == []
    assert found["suspended"]["since_s"] <= value["now_s"]
    assert value["messages"]["silent"] == 1
    node.cli("device", "resume", text_of(device), "--reason", "it was a test")
    assert "suspended" not in {trouble["kind"] for trouble in json.loads(node.cli("status", "--json", code=3).out)["troubles"]}


def test_findings_say_what_they_mean(node: Node) -> None:
    device = enrolled(node, "findings")
    device.time_s -= 3600
    node.exchange(device, "bundle", device.readings().envelope, "ack")
    device.registers = [1, 1]
    node.exchange(device, "bundle", device.readings().envelope, "ack")
    ran = node.cli("findings", "--device", text_of(device))
    assert "register-backward (2)" in ran.out
    assert "A meter total fell." in ran.out and "Do: The meter was replaced" in ran.out
    rows = node.json("findings", "--device", text_of(device))
    row = next(row for row in rows if row["kind"] == "register-backward")
    assert "A meter total fell" in row["what"] and row["do"]
    assert abs(row["received_s"] - time.time()) < 30


def test_a_broker_that_is_killed(node: Node) -> None:
    assert node.process is not None
    children = subprocess.run(["pgrep", "-P", str(node.process.pid)], capture_output=True, text=True).stdout.split()
    os.kill(int(children[0]), signal.SIGKILL)
    deadline = time.monotonic() + 30
    while True:
        troubles = {t["kind"]: t for t in json.loads(node.cli("status", "--json", code=3).out)["troubles"]}
        if "broker-ends" in troubles:
            break
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not troubles["broker-ends"]["act"]
    assert str(node.broker_port) in troubles["broker-ends"]["detail"]
    node.wait_ready()


def test_what_strangers_send_never_reaches_the_terminal(node: Node) -> None:
    async def shout() -> None:
        async with aiomqtt.Client("127.0.0.1", node.broker_port) as client:
            await client.publish("meterproof/v1/x\x1b[2J/y/bundle", b"\xff", qos=1)

    before = node.dealt_with()
    asyncio.run(shout())
    deadline = time.monotonic() + 10
    while node.dealt_with() == before:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    for command in (("quarantine",), ("status",)):
        ran = node.cli(*command, code=3 if command == ("status",) else 0)
        assert "\x1b" not in ran.out
        assert "\\u001b[2J" in ran.out
        assert "\x1b" not in node.cli(*command, "--json", code=3 if command == ("status",) else 0).out


def test_nor_what_a_device_says_of_its_meter(node: Node) -> None:
    know_firmware(node)
    device = node.new_device("rude")
    device.table = channel.encode_table(channel.decode_table(device.table)._replace(make="Acme\x1b[2J\u202e"))
    node.attest(device)
    point = node.json("point", "create", "rude")["point"]
    for command in (("show-evidence", text_of(device)), ("enroll", text_of(device), "--point", point, "--yes")):
        ran = node.cli("device", *command)
        assert "\x1b" not in ran.out and "\u202e" not in ran.out
        assert "Acme\\u001b[2J\\u202e" in ran.out


def test_printable() -> None:
    assert printable("a\tb\x1b\u202e\nü…") == "a\\u0009b\\u001b\\u202e\nü…"


def test_printable_json_is_the_same_json() -> None:
    value = {"a\x9b": "\u202e\U000e0001\U0001f600 \x7f \ud800 ü\n"}
    shown = printable(json.dumps(value, ensure_ascii=False, indent=2))
    assert json.loads(shown) == value
    assert all(letter.isprintable() or letter == "\n" for letter in shown)


def test_many_devices_are_not_all_named() -> None:
    devices = [
        {"device": f"mpdev1{number}", "points": [], "since_s": 900 - number, "detail": "usually every 15 min"} for number in range(8)
    ]
    trouble = {"kind": "silent", "act": True, "since_s": 892, "what": "Silent.", "do": "Look.", "detail": "", "devices_total": 8}
    value = {
        "now_s": 1000, "troubles": [{**trouble, "devices": devices}], "numbers": None, "devices": None, "quarantine": None, "unseen": None,
        "height": 1, "block_time_s": 990,
        "broker_connected": False, "broker_starts": None, "anchored_size": 1, "batches": 1, "chain_id": "c", "evidence_log_size": 1,
        "ledger_log_size": 1, "messages": {}, "uptime_s": 7300,
    }  # fmt: skip
    text = status_text(value)
    assert text.count("mpdev1") == 5
    assert "8 devices" in text and "… and 3 more (--all)" in text
    assert "NOT CONNECTED, not ours" in text and "2 h" in text
    assert status_text(value, show_all=True).count("mpdev1") == 8


def test_status_for_a_watchdog_without_a_backend(node: Node) -> None:
    ran = subprocess.run([sys.executable, "-m", "server.cli", "status", "--url", "http://127.0.0.1:1"], capture_output=True, text=True)
    assert ran.returncode == 4
