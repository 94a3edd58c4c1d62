"""The line as its people walk it: init, serve, firmware, point, enrolment, a statement, an ack, a proof. One story in order."""

import hashlib
import time
from pathlib import Path

import pytest

from shared import cose, messages
from tests.cli.running import Node, fingerprint_of, run, text_of
from tests.evidence.fleet import Device


def image(folder: Path) -> Path:
    """A firmware image with what does not belong to one."""
    for name, text in {
        "shared/a.py": "a",
        "edge/main.py": "m",
        "edge/b.mpy": "b",
        "shared/verify/cli.py": "not on a device",
        "edge/__pycache__/main.cpython-311.py": "cache",
        "edge/notes.txt": "notes",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_the_story(node: Node, tmp_path: Path) -> None:
    firmware = add_firmware(node, tmp_path)
    device = node.new_device("main path", bytes.fromhex(firmware))
    point = make_points(node)
    enroll(node, device, point)
    send_and_prove(node, device, tmp_path)
    change_standing(node, device)
    check_everything_again(node)


def add_firmware(node: Node, tmp_path: Path) -> str:
    digest = node.cli("firmware", "hash", str(image(tmp_path / "image"))).out.strip()
    from shared import cbor

    entries = [
        [name, hashlib.sha256(text.encode()).digest()] for name, text in (("edge/b.mpy", "b"), ("edge/main.py", "m"), ("shared/a.py", "a"))
    ]
    assert digest == hashlib.sha256(cbor.encode(entries)).hexdigest()
    node.cli("firmware", "add", digest, "--name", "meterproof-edge", "--version", "0.1.0")
    assert [row["firmware"] for row in node.json("firmware", "list")] == [digest]
    return digest


def make_points(node: Node) -> str:
    site = node.json("point", "create", "Site", "--zone", "Europe/Berlin")["point"]
    point = node.json("point", "create", "Roof", "--zone", "Europe/Berlin", "--parent", site)["point"]
    listed = {row["point"]: row["parent"] for row in node.json("point", "list")}
    assert listed == {site: None, point: site}
    return point


def enroll(node: Node, device: Device, point: str) -> None:
    name = text_of(device)
    challenge = cose.decode_sign1(node.challenge(device), (cose.CT_CHALLENGE,))
    cose.verify_sign1(challenge, bytes.fromhex(node.made["node_key"]))
    node.attest(device, messages.decode_challenge(challenge.payload).nonce)
    assert [(row["device"], row["key"]) for row in node.json("device", "pending")] == [(name, fingerprint_of(device))]
    shown = node.cli("device", "show-evidence", name).out
    for text in (
        name,
        fingerprint_of(device),
        "same device as at enrolment and no more",
        "known on the ledger",
        "cpython 3.11.7",
        "SN-1",
        "Example M1",
    ):
        assert text in shown
    wrong = node.cli("device", "enroll", name, "--point", point, "--fingerprint", fingerprint_of(Device("another")), code=1)
    assert "251" in wrong.err
    stopped = run("device", "enroll", name, "--point", point, env={"METERPROOF_HOME": str(node.home)}, stdin="n\n")
    assert stopped.code == 130
    assert fingerprint_of(device) in stopped.out
    node.cli("device", "enroll", name, "--point", point, "--from", str(device.time_s - 60), "--fingerprint", device.key.kid.hex(":"))
    assert node.json("device", "pending") == []
    value = node.json("device", "show", name)
    assert (value["status"], value["firmware"], value["assignments"][0]["point"]) == ("live", device.firmware.hex(), point)
    assert value["assignments"][0]["serial"] == "SN-1"
    assert value["evidence"] == node.json("device", "show-evidence", name)["evidence_hash"]
    again = node.cli("device", "enroll", name, "--point", point, "--yes", code=1)
    assert "302" in again.err or "already" in again.err


def send_and_prove(node: Node, device: Device, tmp_path: Path) -> None:
    name = text_of(device)
    sent = device.readings(5)
    data = node.exchange(device, "bundle", sent.envelope, "ack")
    assert data is not None
    signed = cose.decode_sign1(data, (cose.CT_ACK,))
    cose.verify_sign1(signed, bytes.fromhex(node.made["node_key"]))
    ack = messages.decode_ack(signed.payload)
    assert (ack.next_seq, ack.identity, ack.log_size, ack.missing) == (5, sent.identity, 1, [])
    rows = node.json("evidence", "list", name, "--first-seq", "1", "--count", "3")
    assert [(row["seq"], row["registers"]) for row in rows] == [(1, [1010, 5010]), (2, [1020, 5020]), (3, [1030, 5030])]
    path = tmp_path / "reading.evidence"
    get_evidence(node, name, path)
    proven = run("verify", str(path), "--policy", str(node.home / "policy.toml"))
    assert proven.code == 0, proven.out
    assert run("verify", str(path)).code == 3
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / "forged").write_bytes(flipped)
    assert run("verify", str(tmp_path / "forged"), "--policy", str(node.home / "policy.toml")).code == 1
    assert "302" in node.cli("evidence", "get", name, "3", "-o", str(path), code=1).err
    assert node.json("status")["evidence_log_size"] == 1


def get_evidence(node: Node, name: str, path: Path) -> None:
    """Waits for the batch and its vote."""
    deadline = time.monotonic() + 15
    while run("evidence", "get", name, "3", "-o", str(path), env={"METERPROOF_HOME": str(node.home)}).code != 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def change_standing(node: Node, device: Device) -> None:
    name = text_of(device)
    node.cli("device", "suspend", name, "--reason", "inspection")
    held = device.readings()
    assert node.exchange(device, "bundle", held.envelope, "ack", 1.0) is None
    node.cli("device", "resume", name, "--reason", "inspected")
    assert node.exchange(device, "bundle", held.envelope, "ack") is not None
    other = node.json("point", "create", "Other roof")["point"]
    node.cli("device", "assign", name, "--point", other)
    assert [item["point"] for item in node.json("device", "show", name)["assignments"] if item["to_s"] is None] == [other]
    node.cli("device", "revoke", name, "--reason", "sold")
    refusal = node.exchange(device, "bundle", device.readings().envelope, "ack")
    assert refusal is not None
    assert messages.decode_refusal(cose.decode_sign1(refusal, (cose.CT_REFUSAL,)).payload).code == 322
    assert "322" in node.cli("device", "resume", name, "--reason", "bought back", code=1).err


def check_everything_again(node: Node) -> None:
    report = node.json("fsck")
    assert (report["ok"], report["readings"], report["statements"], report["lost"]) == (True, 8, 2, 0)
    assert "everything agrees" in node.cli("fsck").out


def test_lists_of_findings_and_quarantine_are_shown(node: Node) -> None:
    assert {row["kind"] for row in node.json("findings")} <= {"not-assigned", "clock-ahead"}
    stranger = node.new_device("stranger")
    node.exchange(stranger, "bundle", stranger.readings().envelope, "ack", 0.5)
    assert [(row["code"], row["topic"]) for row in node.json("quarantine")] == [(320, stranger.topic("bundle", node.org))]
    assert "device-never-enrolled" in node.cli("quarantine").out


@pytest.mark.parametrize("name", ["org", "key", "device", "firmware", "point"])
def test_lists_are_readable(node: Node, name: str) -> None:
    assert node.cli(name, "list").out.strip()
