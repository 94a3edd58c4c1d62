"""The check of board code against MicroPython's stubs: it passes ours, and finds what a board would choke on."""

import pytest

from hardware import type_check
from hardware.build_firmware import ROOT

GOOD = """
import machine
import network
from esp32 import Partition

uart = machine.UART(1, baudrate=9600, tx=machine.Pin(17), rx=machine.Pin(18))
station = network.WLAN(network.WLAN.IF_STA)
station.connect("name", "password")
parts = Partition.find(Partition.TYPE_DATA, label="journal")
"""
WRONG = {
    "machine.UART(1, baud_rate=9600)": "No overload variant",
    "machine.Pin(17, machine.Pin.OUTPUT)": "OUTPUT",
    'machine.WDT(timeout="long")': "incompatible type",
    'network.WLAN(network.WLAN.IF_STA).join("x")': "join",
    "Partition.find(Partition.TYPE_DATA, name='journal')": "Unexpected keyword argument",
    "Partition('journal').writeblocks('0', b'')": "No overload variant",
    "machine.restart()": "restart",
}


@pytest.fixture(scope="module")
def stubs(tmp_path_factory):
    return tmp_path_factory.mktemp("stubs")


def check(code, tmp_path, stubs):
    source = tmp_path / "board_code.py"
    source.write_text(code)
    return type_check.run_mypy([source], stubs)


def test_our_board_code(stubs):
    sources = type_check.board_files()
    assert {path.name for path in sources} >= {"esp32_ports.py", "esp32_start.py", "flash_partition.py"}
    done = type_check.run_mypy(sources, stubs)
    assert done.returncode == 0, done.stdout


def test_right_calls(tmp_path, stubs):
    done = check(GOOD, tmp_path, stubs)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("line", "says"), WRONG.items())
def test_wrong_calls(line, says, tmp_path, stubs):
    done = check(GOOD + line + "\n", tmp_path, stubs)
    assert done.returncode == 1
    assert says in done.stdout


def test_what_only_cpython_has_is_refused(tmp_path, stubs):
    for line in ("import logging", "import time\ntime.monotonic()", "import asyncio\nasyncio.TaskGroup()"):
        assert check(line + "\n", tmp_path, stubs).returncode == 1, line


def test_finding_no_board_code_is_an_error(tmp_path, monkeypatch):
    assert type_check.board_files(ROOT / "server") == []
    monkeypatch.setattr(type_check, "board_files", list)
    with pytest.raises(SystemExit, match="without checking anything"):
        type_check.check_board_code()
