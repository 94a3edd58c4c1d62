"""What the command line and the backend refuse, with words and exit codes for it."""

import hashlib
import json
import time
from pathlib import Path

import pytest

from server.keystore import SigningKey
from shared import ids
from tests.cli.running import Node, fingerprint_of, new_key, run, text_of
from tests.evidence.fleet import FIRMWARE


def know_firmware(node: Node) -> None:
    if FIRMWARE.hex() not in [row["firmware"] for row in node.json("firmware", "list")]:
        node.cli("firmware", "add", FIRMWARE.hex(), "--name", "edge", "--version", "1")


def enrolled(node: Node, name: str):
    know_firmware(node)
    device = node.new_device(name)
    node.attest(device)
    point = node.json("point", "create", name)["point"]
    node.cli("device", "enroll", text_of(device), "--point", point, "--from", str(device.time_s - 60), "--yes")
    return device


def test_the_last_admin_cannot_be_revoked(node: Node) -> None:
    ran = node.cli("key", "revoke", node.made["keys"]["admin"], code=1)
    assert "(last-admin, 304)" in ran.err


def test_a_second_key_of_an_installer(node: Node, tmp_path: Path) -> None:
    made = run("key", "create", str(tmp_path / "bert.key"), "--alg", "p256", "--json").json
    assert made["key"] in node.cli("key", "add", str(tmp_path / "bert.key.pub"), "--role", "installer", "--name", "Bert").out
    key = tmp_path / "bert.key"
    node.cli("point", "create", "By Bert", key=key)
    assert "301" in node.cli("firmware", "add", "ab" * 32, "--name", "x", "--version", "1", code=1, key=key).err
    assert "302" in node.cli("key", "add", made["cose_key"], "--role", "installer", "--name", "Bert", code=1).err
    node.cli("key", "revoke", made["key"])
    assert "307" in node.cli("point", "create", "Too late", code=1, key=key).err


def test_a_key_that_nobody_knows(node: Node, tmp_path: Path) -> None:
    new_key(tmp_path / "stranger.key")
    assert "303" in node.cli("point", "create", "x", code=1, key=tmp_path / "stranger.key").err


def test_a_key_that_others_can_read_or_everybody_knows(node: Node, tmp_path: Path) -> None:
    key = new_key(tmp_path / "open.key")
    (tmp_path / "open.key").chmod(0o644)
    assert "430" in node.cli("point", "create", "x", code=4, key=tmp_path / "open.key").err
    SigningKey.from_seed(bytes(range(32))).save(tmp_path / "default.key")
    ran = node.cli("point", "create", "x", code=1, key=tmp_path / "default.key")
    assert "(default-key-refused, 351)" in ran.err
    assert bytes(range(32)).hex() not in ran.err + ran.out and key.cose_key.hex() not in ran.err


def test_another_organization_sees_no_rows(node: Node, tmp_path: Path) -> None:
    device = enrolled(node, "private")
    node.exchange(device, "bundle", device.readings().envelope, "ack")
    run("key", "create", str(tmp_path / "eve.key"))
    made = node.json("org", "create", "Others", "--admin-key", str(tmp_path / "eve.key.pub"), "--admin-name", "Eve")
    eve = tmp_path / "eve.key"
    assert node.json("org", "show", made["organization"])["name"] == "Others"
    for arguments in (("evidence", "list", text_of(device)), ("evidence", "get", text_of(device), "0", "-o", str(tmp_path / "x")),
                      ("findings", "--device", text_of(device)), ("quarantine",)):  # fmt: skip
        assert "305" in node.cli(*arguments, code=1, key=eve).err
    assert node.json("findings", key=eve) == []
    assert node.json("device", "pending", key=eve) == []
    assert "303" in node.cli("device", "show-evidence", text_of(device), code=1, key=eve).err
    assert "305" in node.cli("device", "revoke", text_of(device), "--reason", "mine", code=1, key=eve).err
    assert (
        "305" in node.cli("org", "create", "More", "--admin-key", str(tmp_path / "eve.key.pub"), "--admin-name", "E", code=1, key=eve).err
    )


def test_a_stale_nonce_goes_to_quarantine(node: Node) -> None:
    device = node.new_device("stale")
    node.attest(device, bytes(32))
    assert node.json("device", "pending") == [] or text_of(device) not in str(node.json("device", "pending"))
    assert (250, device.topic("attest", node.org)) in [(row["code"], row["topic"]) for row in node.json("quarantine")]


def test_another_key_after_enrolment_goes_to_quarantine(node: Node) -> None:
    device = enrolled(node, "stolen id")
    device.key = SigningKey.generate()
    node.attest(device)
    assert (251, device.topic("attest", node.org)) in [(row["code"], row["topic"]) for row in node.json("quarantine")]
    rows = node.json("device", "show-evidence", text_of(device), "--all")
    assert [(row["verdict"], row["code"]) for row in rows] == [("refused", 251), ("enrolled", 0)]


def test_unknown_firmware_is_not_enrolled_by_accident(node: Node) -> None:
    device = node.new_device("odd firmware", hashlib.sha256(b"odd").digest())
    node.attest(device)
    point = node.json("point", "create", "odd")["point"]
    assert "NOT on the ledger" in node.cli("device", "show-evidence", text_of(device)).out
    assert "252" in node.cli("device", "enroll", text_of(device), "--point", point, "--yes", code=1).err


def test_withdrawn_firmware_is_unknown(node: Node) -> None:
    digest = hashlib.sha256(b"withdrawn").digest()
    node.cli("firmware", "add", digest.hex(), "--name", "edge", "--version", "0")
    device = node.new_device("withdrawn", digest)
    node.attest(device)
    node.cli("firmware", "withdraw", digest.hex())
    point = node.json("point", "create", "withdrawn")["point"]
    assert "252" in node.cli("device", "enroll", text_of(device), "--point", point, "--yes", code=1).err


def test_two_keys_claim_one_device(node: Node) -> None:
    know_firmware(node)
    device = node.new_device("claimed twice")
    node.attest(device)
    honest = fingerprint_of(device)
    device.key, device.boot = SigningKey.generate(), 2
    time.sleep(0.1)
    node.attest(device)
    point = node.json("point", "create", "claimed")["point"]
    assert "--fingerprint" in node.cli("device", "enroll", text_of(device), "--point", point, "--yes", code=1).err
    assert node.json("device", "enroll", text_of(device), "--point", point, "--fingerprint", honest)["key"] == honest


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("device", "show", "mpdev1" + "q" * 34), "checksum"),
        (("device", "show", "nothing"), "mpdev1"),
        (("point", "create"), "Missing argument"),
        (("point", "create", "x", "--zone", "Not a zone!"), "180"),
        (("point", "create", "x", "--parent", "mporg1qqqq"), "mppoint1"),
        (("firmware", "add", "abcd", "--name", "x", "--version", "1"), "64 hexadecimal"),
        (("firmware", "hash", "hardware"), "firmware image"),
        (("key", "add", "zz", "--role", "admin", "--name", "x"), "112"),
        (("key", "add", "zz", "--role", "king", "--name", "x"), "king"),
        (("device", "enroll", ids.encode_id(ids.DEVICE, b"\x01" * 17), "--assign", "7"), "CHANNEL=POINT"),
        (("evidence", "get", ids.encode_id(ids.DEVICE, b"\x01" * 17), "-1", "-o", "x"), "-1"),
        (
            (
                "device",
                "assign",
                ids.encode_id(ids.DEVICE, b"\x01" * 17),
                "--point",
                ids.encode_id(ids.POINT, b"p" * 10),
                "--from",
                "2026-01-01",
            ),
            "not a time",
        ),
        (("nonsense",), "No such command"),
        (("init", "x"), "--org"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_what_is_wrong(node: Node, arguments: tuple[str, ...], text: str) -> None:
    assert text in node.cli(*arguments, code=2).err


@pytest.mark.parametrize(
    ("arguments", "exit_code", "code", "family"),
    [
        (("device", "show", ids.encode_id(ids.DEVICE, b"\x01" * 17)), 1, 303, "RuleError"),
        (("firmware", "hash", "hardware"), 2, 195, "DecodeError"),
        (("point", "create"), 2, None, "UsageError"),
        (("device", "show", "nothing"), 2, None, "UsageError"),
        (("nonsense",), 2, None, "UsageError"),
    ],
)
def test_errors_are_json_too(node: Node, arguments: tuple[str, ...], exit_code: int, code: int | None, family: str) -> None:
    """On stderr, one line; stdout is for what was asked for."""
    ran = node.cli(*arguments, "--json", code=exit_code)
    error = json.loads(ran.err)["error"]
    assert ran.out == ""
    assert error.keys() == {"code", "family", "message"}
    assert (error["code"], error["family"]) == (code, family)
    assert error["message"]


def test_a_device_nobody_heard_of(node: Node) -> None:
    unknown = ids.encode_id(ids.DEVICE, b"\x01" * 17)
    assert "303" in node.cli("device", "show", unknown, code=1).err
    assert "303" in node.cli("device", "show-evidence", unknown, code=1).err
    assert "303" in node.cli("evidence", "get", unknown, "1", "-o", str(node.home / "x"), code=1).err
    assert not (node.home / "x").exists()


def test_no_secret_is_in_the_log_or_the_answers(node: Node) -> None:
    seeds = [(node.home / "keys" / f"{name}.key").read_text().split()[-1] for name in ("node", "validator", "admin")]
    shown = node.log() + run("status", "--json", env={"METERPROOF_HOME": str(node.home)}).out + node.cli("key", "list").out + str(node.made)
    assert not [seed for seed in seeds if seed in shown]


def test_without_a_backend_it_says_so(tmp_path: Path) -> None:
    lonely = Node(tmp_path / "home")
    ran = lonely.cli("status", code=4)
    assert "(network-unavailable, 410)" in ran.err and "meterproof serve" in ran.err
    assert json.loads(lonely.cli("status", "--json", code=4).err)["error"]["code"] == 410
    assert run("status", "--home", str(tmp_path)).code == 2
    assert run("status", "--url", "ftp://x").code == 2
