"""The board tables: generated files are up to date, and a table that cannot work is refused."""

import copy
import hashlib
import struct
import xml.etree.ElementTree as ElementTree

import pytest

from hardware import tables
from hardware.tables import BoardError, check_board, read_board


def test_generated_files_are_the_tables():
    stale = [str(path) for path, text in tables.generated_files().items() if not path.exists() or path.read_text() != text]
    assert not stale, "run: python hardware/build_firmware.py --boards"


def test_a_changed_table_shows_in_every_generated_file():
    board = copy.deepcopy(read_board("esp32s3"))
    board["rs485"]["tx_pin"] = 21
    assert "RS485_TX_PIN = 21\n" in tables.firmware_constants(board)
    assert "| GPIO 21 | DI |" in tables.pin_table(board)
    board["flash"]["partition"][4]["size"] = 0x200000
    assert "journal, data, undefined, 0x400000, 0x200000\n" in tables.partitions_csv(board)


def test_boards_have_their_constants():
    from edge.boards import esp32s3, rpi, unix

    for module in (esp32s3, rpi, unix):
        board = read_board(module.BOARD)
        assert board["journal"]["sectors"] == module.JOURNAL_SECTORS
    assert (esp32s3.RS485_TX_PIN, esp32s3.RS485_RX_PIN, esp32s3.RS485_DE_RE_PIN) == (17, 18, 16)
    assert rpi.RS485_PORT == "/dev/serial0"


def set_at(board, path, value):
    *way, last = path
    for step in way:
        board = board[step]
    board[last] = value


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("rs485", "rx_pin"), 17, "already"),
        (("led", "pin"), 17, "already"),
        (("rs485", "tx_pin"), 19, "reserved"),
        (("rs485", "tx_pin"), 49, "no GPIO"),
        (("rs485", "tx_pin"), -1, "no GPIO"),
        (("rs485", "tx_pin"), True, "no GPIO"),
        (("rs485", "baud_default"), 230400, "baud"),
        (("rs485", "baud_default"), 100, "baud"),
        (("journal", "sectors"), 3, "sectors"),
        (("journal", "sectors"), 512, "size of its partition"),
        (("journal", "partition"), "nowhere", "no partition"),
        (("flash", "size_bytes"), 0x400000, "do not fit"),
        (("flash", "partition", 0, "offset"), 0x8000, "overlaps"),
        (("flash", "partition", 2, "offset"), 0x18000, "not aligned"),
        (("flash", "partition", 3, "offset"), 0x300000, "overlaps"),
        (("flash", "partition", 3, "size"), 100, "not aligned"),
        (("flash", "partition", 3, "size"), 0, "not aligned"),
        (("flash", "partition", 3, "subtype"), "ext4", "unknown type"),
        (("flash", "partition", 3, "name"), "a-name-of-16-bytes"[:16], "too long"),
        (("wire", 0, "board"), "rs485.cts_pin", "no pin of the table"),
        (("wire", 0, "board"), "rs485.baud_max", "no pin of the table"),
        (("title",), 7, "title"),
    ],
)
def test_impossible_board(path, value, says):
    board = copy.deepcopy(read_board("esp32s3"))
    set_at(board, path, value)
    with pytest.raises(BoardError, match=says):
        check_board(board)


def test_table_under_another_name(tmp_path, monkeypatch):
    (tmp_path / "esp32c3.toml").write_text((tables.BOARDS_DIR / "esp32s3.toml").read_text())
    monkeypatch.setattr(tables, "BOARDS_DIR", tmp_path)
    with pytest.raises(BoardError, match="names itself"):
        read_board("esp32c3")


def test_readme_without_a_place_for_the_table():
    with pytest.raises(BoardError, match="no place"):
        tables.fill_readme("nothing here", read_board("rpi"))


def test_partition_table_as_the_bootloader_reads_it():
    board = read_board("esp32s3")
    data = tables.encode_partitions(board)
    assert len(data) == 0xC00
    found = []
    at = 0
    while data[at : at + 2] == b"\xaa\x50":
        kind, subtype, offset, size, name, flags = struct.unpack_from("<BBII16sI", data, at + 2)
        found.append((kind, subtype, offset, size, name.rstrip(b"\0").decode(), flags))
        at += 32
    assert [(f[2], f[3], f[4]) for f in found] == [(p["offset"], p["size"], p["name"]) for p in board["flash"]["partition"]]
    assert [(f[0], f[1]) for f in found] == [(1, 2), (1, 1), (0, 0), (1, 0x81), (1, 6)]
    assert all(f[5] == 0 for f in found)
    assert data[at : at + 32] == b"\xeb\xeb" + b"\xff" * 14 + hashlib.md5(data[:at]).digest()
    assert set(data[at + 32 :]) == {0xFF}


@pytest.mark.parametrize("name", ["esp32s3", "rpi"])
def test_pictures_show_every_wire(name):
    board = read_board(name)
    text = (tables.ROOT / "hardware" / f"wiring-{name}.svg").read_text()
    shown = ["".join(node.itertext()) for node in ElementTree.fromstring(text).iter() if node.tag.endswith("text")]
    for wire in board["wire"]:
        assert tables.wire_label(board, wire) in shown
        assert wire["part"] in shown
    assert board["tried"] in shown


def test_page_says_what_was_not_tried():
    text = (tables.ROOT / "hardware" / "README.md").read_text()
    for name in ("esp32s3", "rpi"):
        assert f"**{read_board(name)['tried']}**" in text
