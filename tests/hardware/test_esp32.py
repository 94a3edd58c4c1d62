"""The ESP32's board code on a simulated board: pins, direction of the bus, watchdog, partition, restart after a fault."""

import asyncio
import importlib
import json
import sys
import time
import types

import pytest

from edge.boards import esp32s3

MODULES = ("edge.boards.esp32_ports", "edge.boards.esp32_start", "edge.flash_partition")


class Board:
    """What happened on it, in order."""

    def __init__(self):
        self.events = []
        self.answer = b""
        self.connects_after = 1
        self.partition = bytearray(b"\xff" * 4096 * 8)


def fake_machine(board):
    class Pin:
        OUT = 1

        def __init__(self, number, mode=None, value=None):
            self.number = number
            if mode is not None:
                board.events.append(("pin", number, value))

        def on(self):
            board.events.append(("pin", self.number, 1))

        def off(self):
            board.events.append(("pin", self.number, 0))

    class UART:
        def __init__(self, number, **settings):
            board.events.append(("uart", number, settings["baudrate"], settings["tx"].number, settings["rx"].number))

        def read(self, count=None):
            taken, board.answer = board.answer[:count], board.answer[len(board.answer[:count]) :]
            return taken or None

        def write(self, data):
            board.events.append(("write", data))

        def flush(self):
            board.events.append(("flush",))

    class WDT:
        def __init__(self, timeout):
            board.events.append(("watchdog", timeout))

        def feed(self):
            board.events.append(("fed",))

    def reset():
        raise SystemExit("reset")

    return types.SimpleNamespace(Pin=Pin, UART=UART, WDT=WDT, reset=reset)


def fake_network(board):
    class WLAN:
        IF_STA = 0

        def __init__(self, interface):
            self.polls = 0

        def active(self, on):
            board.events.append(("active", on))

        def connect(self, ssid, password):
            board.events.append(("connect", ssid))

        def isconnected(self):
            self.polls += 1
            return self.polls > board.connects_after

    return types.SimpleNamespace(WLAN=WLAN)


def fake_esp32(board):
    class Partition:
        TYPE_DATA = 1

        @classmethod
        def find(cls, kind, label):
            return [cls()] if label == "journal" else []

        def info(self):
            return (1, 6, 0x400000, len(board.partition), "journal", False)

        def readblocks(self, block, buffer, offset):
            at = block * 4096 + offset
            buffer[:] = board.partition[at : at + len(buffer)]

        def writeblocks(self, block, data, offset):
            at = block * 4096 + offset
            board.partition[at : at + len(data)] = data

        def ioctl(self, operation, block):
            assert operation == 6
            board.partition[block * 4096 : block * 4096 + 4096] = b"\xff" * 4096

    return types.SimpleNamespace(Partition=Partition)


@pytest.fixture
def board(monkeypatch):
    board = Board()
    for name, fake in (("machine", fake_machine), ("network", fake_network), ("esp32", fake_esp32)):
        monkeypatch.setitem(sys.modules, name, fake(board))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)

    async def sleep_ms(duration):
        board.events.append(("slept", duration))
        await asyncio.sleep(0)

    monkeypatch.setattr(asyncio, "sleep_ms", sleep_ms, raising=False)
    monkeypatch.setattr(time, "sleep_ms", lambda duration: board.events.append(("slept", duration)), raising=False)
    monkeypatch.setattr(sys, "print_exception", lambda error: board.events.append(("fault", str(error))), raising=False)
    yield board
    for name in MODULES:
        sys.modules.pop(name, None)


@pytest.fixture
def ports(board):
    return importlib.import_module("edge.boards.esp32_ports")


def test_bus_is_driven_only_while_bytes_leave(board, ports):
    bus = ports.Rs485()
    board.answer = b"left over"
    bus.send(b"request")
    assert board.events == [
        ("uart", 1, 9600, esp32s3.RS485_TX_PIN, esp32s3.RS485_RX_PIN),
        ("pin", esp32s3.RS485_DE_RE_PIN, 0),
        ("pin", esp32s3.RS485_DE_RE_PIN, 1),
        ("write", b"request"),
        ("flush",),
        ("pin", esp32s3.RS485_DE_RE_PIN, 0),
    ]
    assert board.answer == b""


def test_bus_is_let_go_when_sending_fails(board, ports, monkeypatch):
    bus = ports.Rs485()

    def broken(data):
        raise OSError("no")

    monkeypatch.setattr(bus._uart, "write", broken)
    with pytest.raises(OSError):
        bus.send(b"request")
    assert board.events[-1] == ("pin", esp32s3.RS485_DE_RE_PIN, 0)


def test_answer_comes_in_parts_or_not_at_all(board, ports):
    bus = ports.Rs485(19200, parity=0)
    board.answer = b"12345678"
    assert asyncio.run(bus.receive(5, 1000)) == b"12345"
    assert asyncio.run(bus.receive(5, 50)) == b"678"
    assert asyncio.run(bus.receive(5, 50)) == b""


@pytest.mark.parametrize("baud", [0, 299, 115201])
def test_limits_of_the_transceiver(board, ports, baud):
    with pytest.raises(ValueError, match="baud"):
        ports.Rs485(baud)


def test_network(board, ports):
    assert ports.connect_network("home", "secret")
    assert ("connect", "home") in board.events
    board.connects_after = 10**9
    assert not ports.connect_network("home", "secret")
    assert sum(event[0] == "slept" for event in board.events) <= 302


def test_watchdog_is_fed_while_rounds_come_and_starves_after_they_stop(board, ports):
    watchdog = ports.Watchdog(round_s=60)
    assert board.events == [("watchdog", 60_000)]

    def fed(times):
        board.events.clear()
        for _ in range(times):
            watchdog.guard_once()
        return len(board.events)

    rounds_missed = 3 * 12 + 12  # three rounds and the hardware's own time, in steps of 5 s
    for _ in range(5):
        watchdog.feed()
        assert fed(12) == 12
    watchdog.feed()
    assert fed(1000) == rounds_missed
    watchdog.feed()
    assert fed(1) == 1


def test_rare_readings_do_not_restart_the_board(board, ports):
    watchdog = ports.Watchdog(round_s=86_400)
    for _ in range(86_400 // 5):
        watchdog.guard_once()
    assert board.events.count(("fed",)) == 86_400 // 5


def test_partition(board):
    partition = importlib.import_module("edge.flash_partition")
    flash = partition.PartitionFlash("journal")
    assert flash.sectors == 8
    flash.program(4096 + 3, b"\x01\x02")
    found = bytearray(4)
    flash.read_into(4096 + 2, found)
    assert found == b"\xff\x01\x02\xff"
    flash.erase(1)
    assert board.partition == b"\xff" * 4096 * 8
    with pytest.raises(OSError):
        partition.PartitionFlash("nowhere")


def test_start_runs_the_agent_with_the_board_s_ports_and_restarts_after_a_fault(board, monkeypatch, tmp_path):
    start = importlib.import_module("edge.boards.esp32_start")
    settings = types.SimpleNamespace(period_s=60, flash={"path": "journal", "sectors": 8})
    ran = []

    async def run(given, node, flash_port, watchdog):
        await asyncio.sleep(0)
        ran.append((given, node, type(flash_port).__name__, type(watchdog).__name__))
        raise OSError("the bus burnt down")

    monkeypatch.setattr("edge.device.run", run)
    monkeypatch.setattr("edge.device.read_settings", lambda path: settings)
    monkeypatch.setattr("edge.device.prepare", lambda given: "the node's key")
    monkeypatch.setattr(start, "WIFI_PATH", str(tmp_path / "wifi.json"))
    (tmp_path / "wifi.json").write_text(json.dumps({"ssid": "home", "password": "secret"}))
    with pytest.raises(SystemExit, match="reset"):
        start.start()
    assert ran == [(settings, "the node's key", "PartitionFlash", "Watchdog")]
    assert ("fault", "the bus burnt down") in board.events
    assert board.events[-1] == ("slept", 10_000)


def test_start_without_settings_restarts_too(board, monkeypatch, tmp_path):
    start = importlib.import_module("edge.boards.esp32_start")
    monkeypatch.setattr(start, "WIFI_PATH", str(tmp_path / "nothing.json"))
    with pytest.raises(SystemExit, match="reset"):
        start.start()
    assert any(event[0] == "fault" for event in board.events)
