"""server/config.py: settings are checked by name, type and sense."""

from pathlib import Path

import pytest

from server.config import Config, build_config, is_loopback, load_config, split_broker_url
from shared import ids
from shared.errors import DecodeError

ORG = b"o" * 10
GOOD = f"""
format = "meterproof/config/1"
chain_id = "test-1"
organization = "{ids.encode_id(ids.ORG, ORG)}"
origin = "example.org/x/evidence"
"""


def load(tmp_path: Path, text: str) -> Config:
    (tmp_path / "meterproof.toml").write_text(text)
    return load_config(tmp_path)


def test_defaults(tmp_path: Path) -> None:
    config = load(tmp_path, GOOD)
    assert (config.chain_id, config.org, config.origin) == ("test-1", ORG, "example.org/x/evidence")
    assert (config.api_url, config.mqtt_address, config.unknown_firmware) == ("http://127.0.0.1:8321", ("127.0.0.1", 1883), "refuse")
    assert config.key_path("node") == tmp_path / "keys" / "node.key"
    assert config.broker_password() is None and not config.mqtt_tls


def test_everything_set(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hunter2\n")
    broker = '[broker]\nurl = "mqtts://b.example:99"\nuser = "node"\nuser_password_file = "secret"\n'
    config = load(
        tmp_path,
        GOOD + broker + '[http]\nhost = "::1"\nport = 9\n[attestation]\nunknown_firmware = "flag"\n[evidence]\nack_after = "local"\n',
    )
    assert (config.mqtt_address, config.mqtt_tls, config.api_url, config.unknown_firmware) == (
        ("b.example", 99),
        True,
        "http://[::1]:9",
        "flag",
    )
    assert config.broker_password() == "hunter2" and "hunter2" not in repr(config)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not toml",
        GOOD.replace("config/1", "config/2"),
        GOOD.replace("chain_id", "chain"),
        GOOD.replace('"test-1"', "7"),
        GOOD.replace("mporg1", "mporg2"),
        GOOD + "extra = 1\n",
        GOOD + "[extra]\nx = 1\n",
        GOOD + "http = 1\n",
        GOOD + '[http]\nport = "80"\n',
        GOOD + "[http]\nport = true\n",
        GOOD + "[http]\nport = 0\n",
        GOOD + "[broker]\nport = 65536\n",
        GOOD + '[broker]\nhost = "0.0.0.0"\n',
        GOOD + '[broker]\nurl = "http://x"\n',
        GOOD + '[broker]\nurl = "mqtt://u:p@x"\n',
        GOOD + '[broker]\nurl = "mqtt://x:port"\n',
        GOOD + '[attestation]\nunknown_firmware = "perhaps"\n',
        GOOD + '[evidence]\nack_after = "mirrored(2)"\n',
        GOOD + '[heads]\ndirectory = "relative"\n',
        GOOD + "[heads]\ndirectory = 1\n",
        GOOD + '[heads]\nfolder = "/elsewhere"\n',
        GOOD + "# " + "x" * 20000,
    ],
)
def test_what_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        load(tmp_path, text)
    assert caught.value.code == 195


def test_heads_are_kept_outside_the_home_only(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).heads_directory is None
    assert load(tmp_path, GOOD + '[heads]\ndirectory = "/elsewhere"\n').heads_directory == Path("/elsewhere")
    (tmp_path.parent / f"{tmp_path.name} link").symlink_to(tmp_path)
    for inside in (tmp_path, tmp_path / "heads", tmp_path / "x/../heads", tmp_path.parent / f"{tmp_path.name} link" / "heads"):
        with pytest.raises(DecodeError, match="outside the home"):
            load(tmp_path, GOOD + f'[heads]\ndirectory = "{inside}"\n')


def test_a_missing_file_tells_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(DecodeError, match="meterproof init"):
        load_config(tmp_path)


def test_a_broker_for_all_the_world_with_passwords_is_fine() -> None:
    document = {
        "format": "meterproof/config/1",
        "chain_id": "test-1",
        "organization": ids.encode_id(ids.ORG, ORG),
        "origin": "o",
        "broker": {"host": "0.0.0.0", "password_file": "passwords"},
    }
    assert build_config(Path("/home"), document).broker_password_file == Path("/home/passwords")


def test_addresses() -> None:
    assert split_broker_url("mqtt://h") == ("h", 1883) and split_broker_url("mqtts://h/") == ("h", 8883)
    assert [is_loopback(host) for host in ("localhost", "127.0.0.9", "::1", "0.0.0.0", "example.org")] == [True, True, True, False, False]
