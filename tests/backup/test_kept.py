"""Heads kept on another disk find out a whole home that was put back."""

import asyncio
import shutil
from pathlib import Path

import pytest

from server.backup.agree import agree
from server.backup.kept import FILES, KeptHead, open_kept
from server.backup.restore import open_backup, restore_backup
from server.config import load_config
from server.home import RESTORED, check_agreed
from server.ledger.genesis import decode_genesis
from server.main import Backend
from shared.errors import DecodeError, MeterproofError, Unavailable, VerifyError
from tests.backup.homes import Site, size_of
from tests.backup.test_agree import LEDGER, checkpoint, shown
from tests.cli.running import free_port
from tests.evidence.backend import open_half
from tests.evidence.fleet import ORIGIN, Device
from tests.evidence.whole import genesis

GENESIS = decode_genesis(genesis())


@pytest.fixture
def home(site: Site, tmp_path: Path) -> Path:
    """A copy of the live home, its backups' older half not in it, that keeps its heads."""
    copy = Path(shutil.copytree(site.home, tmp_path / "home"))
    keep_at(copy, tmp_path / "kept")
    return copy


def keep_at(home: Path, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    settings = home / "meterproof.toml"
    text = settings.read_text().replace("port = 8321", f"port = {free_port()}").replace("port = 1883", f"port = {free_port()}")
    settings.write_text(text + f'\n[heads]\ndirectory = "{directory}"\n')


def put(directory: Path, *heads: bytes) -> None:
    for name, data in zip(FILES, heads, strict=True):
        (directory / name).write_bytes(data)


def check_refused(home: Path, code: int, family: type[MeterproofError] = VerifyError) -> None:
    with pytest.raises(family) as refused:
        open_kept(load_config(home), GENESIS)
    assert refused.value.code == code, refused.value


def test_nothing_is_kept_unless_asked(site: Site) -> None:
    kept = open_kept(load_config(site.home), GENESIS)
    assert kept.evidence is None and kept.publisher(site.home / "ledger-log") is None


def test_heads_of_this_home_or_older_ones(site: Site, home: Path, tmp_path: Path) -> None:
    for heads in site.heads:
        put(tmp_path / "kept", *heads)
        assert open_kept(load_config(home), GENESIS).evidence is not None


def test_an_older_home_is_found_out(site: Site, home: Path, tmp_path: Path) -> None:
    """Restored to where it was at half: its own files agree with each other, and only what lies elsewhere tells."""
    put(tmp_path / "kept", *site.heads[1])
    shutil.rmtree(home)
    restore_backup(open_backup(site.half), home)
    keep_at(home, tmp_path / "kept")
    (home / RESTORED).unlink()
    check_refused(home, 274)
    for empty in ("evidence.sqlite", "ledger.sqlite"):
        (home / empty).unlink()
    check_refused(home, 274)


@pytest.mark.parametrize("which", [0, 1])
def test_another_history_is_found_out(site: Site, home: Path, tmp_path: Path, which: int) -> None:
    put(tmp_path / "kept", *site.heads[0])
    (tmp_path / "kept" / FILES[which]).write_bytes(checkpoint(3, bytes(32), (ORIGIN, LEDGER)[which]))
    check_refused(home, 274)


def test_a_directory_that_is_not_the_one_it_was(site: Site, home: Path, tmp_path: Path) -> None:
    check_refused(home, 273)
    assert list((tmp_path / "kept").iterdir()) == []
    put(tmp_path / "kept", site.heads[1][1], site.heads[1][0])
    check_refused(home, 240)
    put(tmp_path / "kept", b"junk", b"junk")
    check_refused(home, 130, DecodeError)
    shutil.rmtree(tmp_path / "kept")
    check_refused(home, 400, Unavailable)


def test_a_file_that_has_gone_is_not_begun_again(tmp_path: Path) -> None:
    keep = KeptHead(tmp_path / "head")
    with pytest.raises(OSError, match="mounted"):
        keep(b"checkpoint")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "head").write_bytes(b"")
    keep(b"checkpoint")
    assert (tmp_path / "head").read_bytes() == b"checkpoint"


def test_heads_kept_elsewhere_count_when_heads_are_agreed(site: Site, home: Path, tmp_path: Path) -> None:
    shutil.rmtree(home)
    restore_backup(open_backup(site.half), home)
    keep_at(home, tmp_path / "kept")
    put(tmp_path / "kept", *site.heads[1])
    with pytest.raises(VerifyError, match="274"):
        agree(load_config(home), shown(tmp_path, *site.heads[0]))
    with pytest.raises(VerifyError, match="273"):
        check_agreed(home)
    put(tmp_path / "kept", *site.heads[0])
    agree(load_config(home), [])
    check_agreed(home)


def test_a_backend_keeps_what_it_publishes(home: Path, tmp_path: Path) -> None:
    """From its first start on, before anybody sees it; without the directory it neither starts nor acks."""
    kept = tmp_path / "kept"
    for name in ("evidence.sqlite", "ledger.sqlite", "registry.sqlite"):
        (home / name).unlink()
    for name in ("evidence-log", "ledger-log"):
        shutil.rmtree(home / name)

    async def start() -> None:
        async with Backend(load_config(home)) as backend:
            assert size_of((kept / FILES[0]).read_bytes()) == backend.evidence.head.size == 0
            assert (kept / FILES[1]).read_bytes() == b""

    asyncio.run(start())
    shutil.rmtree(kept)
    with pytest.raises(Unavailable, match="mounted"):
        asyncio.run(start())


def test_nothing_is_acked_that_was_not_kept(tmp_path: Path) -> None:
    """The other disk goes away and comes back: meanwhile no ack, afterwards nothing is missing or twice."""

    async def story() -> None:
        path, device = tmp_path / "kept", Device("one")
        path.write_bytes(b"")
        async with open_half(tmp_path, device, keep=KeptHead(path)) as half:
            assert (await half.ack(device, device.readings())).log_size == size_of(path.read_bytes()) == 1
            path.rename(tmp_path / "away")
            sent = device.readings()
            await half.send(device, sent)
            assert half.replies() == [] and "mounted" in str(half.log.trouble)
            assert size_of((tmp_path / "evidence-log/checkpoint").read_bytes()) == 1
            (tmp_path / "away").rename(path)
            ack = await half.ack(device, sent)
            assert (ack.log_size, ack.next_seq, half.log.trouble) == (2, device.next_seq, None)
            assert path.read_bytes() == (tmp_path / "evidence-log/checkpoint").read_bytes() == half.log.head.checkpoint

    asyncio.run(story())
