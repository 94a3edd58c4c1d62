"""server/bench/brokers: real brokers are named exactly when they are missing, and configured for a backend that may be slow."""

from pathlib import Path

import pytest

from server.bench import brokers
from shared.errors import Unavailable


def test_a_missing_mosquitto_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(brokers.shutil, "which", lambda name, path: None)
    with pytest.raises(Unavailable, match="install the system package 'mosquitto'") as caught:
        brokers.broker_command("mosquitto", tmp_path, 1)
    assert caught.value.code == 460


def test_mosquitto_listens_where_it_is_told_and_remembers_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(brokers.shutil, "which", lambda name, path: "/usr/sbin/mosquitto")
    program, option, config = brokers.broker_command("mosquitto", tmp_path, 1234)
    assert (program, option) == ("/usr/sbin/mosquitto", "-c")
    assert {"listener 1234 127.0.0.1", "persistence false"} <= set(Path(config).read_text().splitlines())


def test_our_own_broker_needs_nothing_else(tmp_path: Path) -> None:
    assert brokers.broker_command("amqtt", tmp_path, 1234)[-2:] == ["--port", "1234"]
