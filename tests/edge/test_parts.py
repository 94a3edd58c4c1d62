"""The smaller parts: config, clock, notebook, status, health, attest, time server answers."""

import asyncio
import json
from pathlib import Path

import pytest

from edge import clock, config, gauge, health, image, notebook, ntp
from edge.flash import open_file_flash
from edge.journal import Journal
from hardware.build_firmware import image_hash
from shared.errors import DecodeError, Unavailable
from tests.device.journal_model import context_of
from tests.device.memory_flash import MemoryFlash

GOOD = {
    "org": "mporg1x", "device_dir": "d", "origin": "o", "node_key": "a1", "broker_host": "h", "broker_port": 1883,
    "meter": {"kind": "sunspec", "host": "h", "port": 502, "unit": 1}, "period_s": 60, "clock": {"kind": "system"},
    "flash": {"path": "f", "sectors": 8},
}  # fmt: skip


def test_config_is_read_with_its_defaults(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(GOOD))
    settings = config.read_config(str(path))
    assert (settings.period_s, settings.bundle_count, settings.channel, settings.node_key) == (60, 60, 0, b"\xa1")


@pytest.mark.parametrize(
    "change",
    [
        {"period_s": 0}, {"period_s": True}, {"period_s": "60"}, {"period_s": 86401}, {"bundle_count": 1025}, {"unknown": 1},
        {"org": ""}, {"org": None}, {"node_key": "xy"}, {"meter": {"kind": "sunspec"}}, {"meter": []}, {"broker_port": 65536},
        {"clock": {"kind": "sundial"}}, {"clock": {"kind": "simulated", "epoch_s": 0, "wall_ms": 0}}, {"clock": {}},
        {"clock": {"kind": "simulated", "epoch_s": 0, "wall_ms": 0, "scale_milli": 0}}, {"clock": {"kind": "ntp"}}, {"clock": {"kind": []}},
        {"meter": {"kind": "sunspec", "host": "h", "port": "x", "unit": 1}},
        {"meter": {"kind": 1, "host": "h", "port": 502, "unit": 1}},
        {"meter": {"kind": "sunspec", "host": "", "port": 502, "unit": 1}},
        {"meter": {"kind": "sunspec", "host": "h", "port": 502, "unit": 256}},
        {"clock": {"kind": "ntp", "host": "h", "port": 0}}, {"clock": {"kind": "system", "quality": 3}},
        {"flash": {"path": "f", "sectors": 3}}, {"flash": {"path": "", "sectors": 8}}, {"status_s": -1}, {"hwmodel": "x" * 33},
    ],
)  # fmt: skip
def test_config_refused(change: dict[str, object]) -> None:
    with pytest.raises(DecodeError) as raised:
        config.decode_config(json.dumps(GOOD | change))
    assert raised.value.code == 195


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_config_that_is_no_object(text: str) -> None:
    with pytest.raises(DecodeError) as raised:
        config.decode_config(text)
    assert raised.value.code == 195


def test_config_file_that_is_not_there_or_too_large(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "large"):
        (tmp_path / "large").write_text(" " * (config.CONFIG_BYTES_MAX + 1))
        with pytest.raises(DecodeError) as raised:
            config.read_config(str(path))
        assert raised.value.code == 195


def test_every_field_is_needed() -> None:
    for name in GOOD:
        with pytest.raises(DecodeError):
            config.decode_config(json.dumps({key: value for key, value in GOOD.items() if key != name}))


def test_clock_before_and_after_its_first_sync() -> None:
    mine = clock.build_clock({"kind": "ntp", "host": "h"})
    assert mine.now().quality == clock.UNSYNCED
    assert mine.now().time_s < 5
    mine.apply_sync(1_800_000_000_000, clock.NTP)
    first = mine.first_sync
    assert (first.utc_s, first.quality) == (1_800_000_000, clock.NTP)
    assert abs(mine.now().time_s - 1_800_000_000) < 2
    mine.apply_sync(1_800_000_100_000, clock.NTP)
    assert mine.first_sync == first, "only the first repairs"
    assert mine.now().time_s >= 1_800_000_100


def test_a_scaled_clock_never_passes_the_hosts() -> None:
    now_ms = clock.wall_ms()
    mine = clock.build_clock({"kind": "simulated", "epoch_s": now_ms // 1000 - 10, "wall_ms": now_ms, "scale_milli": 10**8})
    asyncio.run(asyncio.sleep(0.01))
    assert mine.now().quality == clock.SIMULATED
    assert abs(mine.now_ms() - clock.wall_ms()) < 1000


def test_sleep_ends_when_the_clock_is_set() -> None:
    async def story() -> None:
        mine = clock.build_clock({"kind": "ntp", "host": "h"})
        sleeper = asyncio.create_task(mine.sleep_until(1))
        await asyncio.sleep(0.05)
        mine.apply_sync(1_800_000_000_000, clock.NTP)
        await asyncio.wait_for(sleeper, 3)

    asyncio.run(story())


def test_sleep_ends_although_the_clock_went_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day back is no day without a reading."""

    async def story() -> None:
        mine = clock.build_clock({"kind": "system"})
        monkeypatch.setattr(clock, "SLEEP_MS_MAX", 20)
        sleeper = asyncio.create_task(mine.sleep_until(mine.now().time_s + 1))
        await asyncio.sleep(0.05)
        monkeypatch.setattr(clock, "wall_ms", lambda: 86_400_000)
        await asyncio.wait_for(sleeper, 5)

    asyncio.run(story())


def ntp_answer(nonce: bytes, **changes: int) -> bytearray:
    packet = bytearray(48)
    packet[0], packet[1] = 0x24, 2
    packet[24:32] = nonce
    packet[40:44] = (1_800_000_000 + ntp.UNIX_S & 0xFFFFFFFF).to_bytes(4, "big")
    packet[44] = 0x80
    for at, value in changes.items():
        packet[int(at[1:])] = value
    return packet


def test_time_servers_answer() -> None:
    nonce = b"12345678"
    assert ntp.read_answer(ntp_answer(nonce), nonce) == 1_800_000_000_500
    era = ntp_answer(nonce)
    era[40:44] = (100).to_bytes(4, "big")
    assert ntp.read_answer(era, nonce) == ((1 << 32) + 100 - ntp.UNIX_S) * 1000 + 500, "after 2036"


@pytest.mark.parametrize("change", [{"b0": 0x23}, {"b0": 0xE4}, {"b1": 0}, {"b1": 16}, {"b24": 0}, {"b31": 0}])
def test_time_server_not_believed(change: dict[str, int]) -> None:
    nonce = b"12345678"
    with pytest.raises(DecodeError) as raised:
        ntp.read_answer(ntp_answer(nonce, **change), nonce)
    assert raised.value.code == 108


def test_time_server_with_no_time_or_a_short_answer() -> None:
    nonce = b"12345678"
    packet = ntp_answer(nonce)
    packet[40:44] = bytes(4)
    for bad in (packet, ntp_answer(nonce)[:47], b""):
        with pytest.raises(DecodeError):
            ntp.read_answer(bad, nonce)


def test_a_clock_without_answers_for_a_day_is_an_rtc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ntp, "STALE_AFTER_MS", -1)
    mine = clock.build_clock({"kind": "ntp", "host": "h"})
    mine.apply_sync(1_800_000_000_000, clock.NTP)

    async def story() -> None:
        keeping = asyncio.create_task(ntp.keep_synced(mine, {"host": "127.0.0.1", "port": 1}, health.Health(), lambda: None))
        while mine.now().quality == clock.NTP:
            await asyncio.sleep(0.02)
        keeping.cancel()

    asyncio.run(asyncio.wait_for(story(), 10))
    assert mine.now().quality == clock.RTC


def journal_with(readings: int) -> Journal:
    journal = Journal(MemoryFlash(8))
    boot = journal.start_boot()
    for i in range(readings):
        journal.append(context_of(boot), 1000 + i, [1, 2, 3, 4], 0)
    return journal


def test_book_is_closed_after_a_kill(tmp_path: Path) -> None:
    """One reading durable, but not written down: it is, at the next start, from the journal. Nothing else is made up."""
    path = tmp_path / "book"
    book = notebook.Notebook(str(path))
    for seq in range(3):
        book.taken(seq, 1000 + seq)
    notebook.close_book(book, journal_with(4))
    assert path.read_text().splitlines()[-1] == "taken 3 1003"
    notebook.close_book(book, journal_with(4))
    notebook.close_book(book, journal_with(9))
    assert len(path.read_text().splitlines()) == 4
    book.close()
    first = notebook.Notebook(str(tmp_path / "new"))
    notebook.close_book(first, journal_with(1))
    assert notebook.last_taken(first.path) == 0
    notebook.close_book(notebook.Notebook(None), journal_with(1))


def test_status_names_the_oldest_reading_not_acked() -> None:
    journal = journal_with(100)
    assert gauge.oldest_unsent_s(journal) == 1000
    free_h, whole_h = gauge.gauge(journal, 3600)
    assert 0 < free_h <= whole_h
    assert gauge.oldest_unsent_s(journal_with(0)) is None
    settings = config.decode_config(json.dumps(GOOD))
    line = gauge.build_line(settings, clock.build_clock({"kind": "system"}), journal, health.Health())
    assert line.startswith("status time_s=")
    assert "next_seq=100 unsealed=100 unacked=0 losses=0" in line


def test_watchdog_is_fed_and_counters_are_bounded() -> None:
    class Dog:
        fed = 0

        def feed(self) -> None:
            self.fed += 1

    dog = Dog()
    counters = health.Health(dog)
    counters.feed()
    for i in range(200):
        counters.count(f"name{i}")
    assert dog.fed == 1
    assert len(counters.counters) <= health.COUNTERS_MAX + 1
    assert counters.counters["other"] > 100


def test_firmware_hash_is_the_builders(images: dict[str, Path]) -> None:
    for folder in images.values():
        assert image.image_hash(str(folder)) == image_hash(folder)


def test_firmware_hash_sees_every_file_of_the_image_and_no_other(tmp_path: Path) -> None:
    for name in ("edge/a.py", "edge/meters/b.mpy", "shared/c.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    before = image.image_hash(str(tmp_path))
    for name in ("shared/verify/d.py", "edge/__pycache__/a.pyc", "edge/__pycache__/x.py", "edge/notes.txt", "other/e.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert image.image_hash(str(tmp_path)) == before
    (tmp_path / "edge/meters/b.mpy").write_text("y")
    assert image.image_hash(str(tmp_path)) != before


@pytest.mark.parametrize(
    ("path", "root"), [("/x/image/edge/attest.py", "/x/image"), ("/edge/attest.py", "/"), ("edge/attest.mpy", "."), ("attest.py", ".")]
)
def test_image_root(path: str, root: str) -> None:
    assert image.image_root(path) == root


def test_flash_file_grows_and_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "flash"
    path.write_bytes(b"\xff" * 5000)  # a kill during the first start
    flash = open_file_flash(str(path), 4)
    flash.program(4096, b"\x12\x34")
    flash.close()
    flash = open_file_flash(str(path), 4)
    buffer = bytearray(3)
    flash.read_into(4096, buffer)
    assert bytes(buffer) == b"\x12\x34\xff"
    with pytest.raises(ValueError, match="bit cannot be set"):
        flash.program(4096, b"\xff")
    with pytest.raises(Unavailable) as raised:
        open_file_flash(str(path), 4)
    assert raised.value.code == 400, "two agents on one flash would sign one sequence twice"
    flash.erase(1)
    flash.read_into(4096, buffer)
    assert bytes(buffer) == b"\xff" * 3
    flash.close()
    (tmp_path / "large").write_bytes(b"\xff" * 20000)
    with pytest.raises(ValueError, match="larger"):
        open_file_flash(str(tmp_path / "large"), 4)
    with pytest.raises(ValueError, match="sectors"):
        open_file_flash(str(tmp_path / "small"), 3)
