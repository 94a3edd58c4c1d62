"""init, serve and broker: starting, ending, and being killed."""

import signal
import stat
import time
from pathlib import Path

import pytest

from shared import note
from shared.verify.policy import decode_policy
from tests.cli.running import Node, free_port, run


def test_init_makes_a_home_and_never_overwrites_it(tmp_path: Path) -> None:
    node = Node(tmp_path / "home", "--chain-id", "test-1", "--origin", "example.org/x/evidence")
    for name in ("node", "validator", "admin"):
        assert stat.S_IMODE((node.home / "keys" / f"{name}.key").stat().st_mode) == 0o600
    policy = decode_policy((node.home / "policy.toml").read_bytes())
    assert (policy.chain_id, policy.genesis.hex()) == ("test-1", node.made["genesis"])
    vkey = (node.home / "policy.toml").read_text().split("vkey = ")[1].strip().strip('"')
    assert note.decode_vkey(vkey).name == "meterproof.ledger/test-1"
    before = {path: path.read_bytes() for path in node.home.rglob("*") if path.is_file()}
    assert "302" in run("init", str(node.home), "--org", "Again").err
    assert {path: path.read_bytes() for path in node.home.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "options",
    [
        ("--chain-id", "No Capitals"),
        ("--origin", "has blank"),
        ("--broker-url", "http://x"),
        ("--broker-url", "mqtt://user:secret@x"),
        ("--http-port", "0"),
        ("--unknown-firmware", "maybe"),
    ],
)
def test_init_refuses_nonsense_and_leaves_nothing(tmp_path: Path, options: tuple[str, str]) -> None:
    ran = run("init", str(tmp_path / "home"), "--org", "X", *options)
    assert ran.code == 2 and "secret" not in ran.err
    assert not (tmp_path / "home").exists()


def test_kill_and_start_again(tmp_path: Path) -> None:
    node = Node(tmp_path / "home")
    node.start()
    point = node.json("point", "create", "Kept")["point"]
    node.stop(signal.SIGKILL)
    node.start()  # the broker of the killed one has left the port
    assert [row["point"] for row in node.json("point", "list")] == [point]
    second = run("serve", "--home", str(node.home))
    assert second.code == 4 and "another backend runs" in second.err
    assert node.stop() == 0
    assert "Traceback" not in node.log()
    assert node.json("fsck")["ok"] is True


def test_the_broker_is_started_again(tmp_path: Path) -> None:
    import os

    node = Node(tmp_path / "home")
    node.start()
    try:
        for child in Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        deadline = time.monotonic() + 20
        while not (node.json("status")["broker_starts"] == 2 and node.json("status")["broker_connected"]):
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        assert node.stop() == 0


def test_settings_and_keys_must_fit_the_genesis(tmp_path: Path) -> None:
    node = Node(tmp_path / "home")
    settings = node.home / "meterproof.toml"
    good = settings.read_text()
    settings.write_text(good.replace("meterproof.evidence/", "example.org/"))
    assert "does not give the log" in run("serve", "--home", str(node.home)).err
    settings.write_text(good.replace('chain_id = "meterproof-1"', 'chain_id = "meterproof-2"'))
    assert run("serve", "--home", str(node.home)).code == 2
    settings.write_text(good + "\n[typo]\nx = 1\n")
    assert "typo" in run("serve", "--home", str(node.home)).err
    settings.write_text(good)
    (node.home / "keys/validator.key").write_bytes((node.home / "keys/admin.key").read_bytes())
    assert "validator" in run("serve", "--home", str(node.home)).err


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    import socket

    node = Node(tmp_path / "home")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", node.http_port))
        taken.listen()
        ran = run("serve", "--home", str(node.home))
    assert ran.code == 4 and "cannot listen" in ran.err


def test_a_broker_for_all_the_world_needs_passwords(tmp_path: Path) -> None:
    ran = run("broker", "--host", "0.0.0.0", "--port", str(free_port()))
    assert ran.code == 2 and "password" in ran.err
    node = Node(tmp_path / "home")
    settings = node.home / "meterproof.toml"
    text = settings.read_text()
    settings.write_text(text.replace('[broker]\nhost = "127.0.0.1"', '[broker]\nhost = "0.0.0.0"'))
    assert "password_file" in run("serve", "--home", str(node.home)).err


def test_version_and_verify_need_no_home(tmp_path: Path) -> None:
    assert run("version", "--json").json["meterproof"]
    assert run("verify", str(tmp_path / "nothing")).code == 2
    (tmp_path / "junk").write_bytes(b"junk")
    assert run("verify", str(tmp_path / "junk")).code == 1
