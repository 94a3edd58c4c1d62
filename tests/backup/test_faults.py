"""Full disks, kills and two at once: what is made is there whole, or not at all, and what it is made from stays as it was."""

import fcntl
import os
import resource
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from server.backup.folders import new_folder, read_plain, write_new
from server.backup.make import make_backup
from server.backup.restore import open_backup, restore_backup
from shared.errors import DecodeError, RuleError, Unavailable, VerifyError
from tests.backup.homes import MADE_S, Site, manifest_of
from tests.cli.running import CLI, ROOT, Ran


def command(*arguments: str, kill_at: str = "", file_bytes_max: int | None = None) -> Ran:
    """A command that is killed at a point, or on a disk that takes no longer files."""

    def limit() -> None:
        if file_bytes_max is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes_max, file_bytes_max))

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "METERPROOF_KILL_AT": kill_at}
    done = subprocess.run([*CLI, *arguments], capture_output=True, text=True, timeout=60, env=environment, preexec_fn=limit)
    assert "Traceback" not in done.stderr, done.stderr
    return Ran(done.returncode, done.stdout, done.stderr)


def content(folder: Path) -> dict[str, bytes]:
    """Everything but what an SQLite reader leaves beside a database."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal")))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.fixture
def home(site: Site, tmp_path: Path) -> Path:
    return Path(shutil.copytree(site.home, tmp_path / "home"))


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_killed_when_all_but_the_name_is_done(site: Site, home: Path, tmp_path: Path, what: str) -> None:
    source = home if what == "backup" else site.full
    before, out = content(source), tmp_path / "out"
    assert command(what, str(source), str(out), kill_at="folder-filled").code == -signal.SIGKILL
    assert not out.exists() and (tmp_path / "out.part").is_dir()
    (tmp_path / "out.part" / "left").mkdir()
    assert command(what, str(source), str(out)).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "out"]
    assert not (out / "left").exists() and content(source) == before


@pytest.mark.parametrize("file_bytes_max", [0, 10_000, 60_000])
@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_disk_that_fills(site: Site, home: Path, tmp_path: Path, what: str, file_bytes_max: int) -> None:
    """Of the files in a backup one is longer than 60,000 bytes; the others fit or not."""
    source = home if what == "backup" else site.full
    before = content(source)
    ran = command(what, str(source), str(tmp_path / "out"), file_bytes_max=file_bytes_max)
    assert ran.code == 4 and "400" in ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["home"] and content(source) == before


def test_two_at_once(site: Site, home: Path, tmp_path: Path) -> None:
    part = tmp_path / "out.part"
    part.mkdir()
    (part / "theirs").write_text("half done")
    handle = os.open(part, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        for ran in (command("backup", str(home), str(tmp_path / "out")), command("restore", str(site.full), str(tmp_path / "out"))):
            assert ran.code == 4 and "another process" in ran.err
        assert (part / "theirs").exists()
    finally:
        os.close(handle)
    assert command("backup", str(home), str(tmp_path / "out")).code == 0


def test_a_part_that_is_a_link_is_not_followed(home: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("kept")
    (tmp_path / "out.part").symlink_to(tmp_path / "precious")
    with pytest.raises(Unavailable, match="400"):
        make_backup(home, tmp_path / "out", False, MADE_S)
    assert (tmp_path / "precious" / "file").read_text() == "kept"


def test_a_folder_that_appears_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="400"), new_folder(tmp_path / "out") as folder:
        (folder / "ours").write_text("x")
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "theirs").write_text("x")
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]


def test_our_own_mistakes_leave_nothing_either(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "out"):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_never_written_over(tmp_path: Path) -> None:
    write_new(tmp_path / "file", [b"a", b"b"])
    with pytest.raises(FileExistsError):
        write_new(tmp_path / "file", [b"c"])
    assert (tmp_path / "file").read_bytes() == b"ab" and (tmp_path / "file").stat().st_mode & 0o777 == 0o600
    with pytest.raises(VerifyError, match="275"):
        list(read_plain(tmp_path / "file", 1))


# --- homes that cannot be copied


def test_what_was_never_served_has_nothing_to_copy(home: Path, tmp_path: Path) -> None:
    for name in ("registry.sqlite", "evidence.sqlite", "ledger.sqlite"):
        (home / name).unlink()
        with pytest.raises(RuleError, match="303"):
            make_backup(home, tmp_path / "out", False, MADE_S)
    shutil.rmtree(home)
    with pytest.raises(DecodeError, match="195"):
        make_backup(home, tmp_path / "out", False, MADE_S)
    assert list(tmp_path.iterdir()) == []


def test_a_backup_is_not_put_over_anything(site: Site, home: Path, tmp_path: Path) -> None:
    before = content(site.full)
    for out in (site.full, home, home / "meterproof.toml"):
        with pytest.raises(RuleError, match="302"):
            make_backup(home, out, False, MADE_S)
    assert content(site.full) == before


def damages(home: Path) -> Iterator[tuple[str, bytes, int]]:
    """(file, what to write there, the error)."""
    bundle = "evidence-log/tile/entries/000"
    data = (home / bundle).read_bytes()
    yield bundle, data[:300] + bytes([data[300] ^ 1]) + data[301:], 270
    yield bundle, data[:-1], 132
    yield "evidence-log/tile/entries/001.p/44", b"", 132
    yield "genesis.cbor", (home / "genesis.cbor").read_bytes()[:-1] + b"\0", 181
    yield "keys/node.key", (home / "keys/admin.key").read_bytes(), 195


def test_a_damaged_home_is_not_copied(site: Site, home: Path, tmp_path: Path) -> None:
    tried = 0
    for name, broken, code in damages(site.home):
        good = (home / name).read_bytes()
        (home / name).write_bytes(broken)
        with pytest.raises((DecodeError, VerifyError), match=str(code)):
            make_backup(home, tmp_path / "out", False, MADE_S)
        assert not (tmp_path / "out").exists() and not (tmp_path / "out.part").exists()
        (home / name).write_bytes(good)
        tried += 1
    assert tried == 5
    make_backup(home, tmp_path / "out", False, MADE_S)


@pytest.mark.parametrize(
    ("store", "sql", "code"),
    [
        ("evidence", "UPDATE head SET size = size - 1", 270),
        ("evidence", "UPDATE head SET origin = 'example.org/other'", 270),
        ("evidence", "UPDATE head SET checkpoint = (CAST('x' AS BLOB))", 130),
        ("ledger", "UPDATE head SET log_size = log_size - 1", 271),
        ("ledger", "UPDATE head SET genesis = checkpoint", 242),
        ("ledger", "DELETE FROM entry WHERE place = 2", 271),
        ("ledger", "UPDATE entry SET data = x'00' WHERE place = 2", 271),
    ],
)
def test_a_head_that_the_node_did_not_sign_is_not_copied(home: Path, tmp_path: Path, store: str, sql: str, code: int) -> None:
    import sqlite3

    conn = sqlite3.connect(home / f"{store}.sqlite")
    conn.execute(sql)
    conn.commit()
    conn.close()
    with pytest.raises((DecodeError, VerifyError), match=str(code)):
        make_backup(home, tmp_path / "out", False, MADE_S)
    assert not (tmp_path / "out").exists()


# --- secrets


def test_keys_only_when_asked_for(home: Path, tmp_path: Path) -> None:
    made = make_backup(home, tmp_path / "out", False, MADE_S)
    secrets = [path.read_bytes().split()[-1] for path in (home / "keys").iterdir()]
    held = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert len(secrets) == 3 and not any(secret in held for secret in secrets)
    assert not made.manifest.has_keys and len(made.left_out) == 3
    restore_backup(open_backup(tmp_path / "out"), tmp_path / "again")
    assert list((tmp_path / "again/keys").iterdir()) == []


def test_broker_passwords_go_along_with_keys_if_they_lie_in_the_home(home: Path, tmp_path: Path) -> None:
    (home / "secret").mkdir()
    (home / "secret/passwords").write_text("hash")
    (tmp_path / "outside").write_text("password")
    settings = home / "meterproof.toml"
    lines = f'[broker]\npassword_file = "secret/passwords"\nuser_password_file = "{tmp_path}/outside"\n'
    settings.write_text(settings.read_text().replace("[broker]\n", lines))
    made = make_backup(home, tmp_path / "out", True, MADE_S)
    assert made.left_out == (str(tmp_path / "outside"),)
    assert [entry.name for entry in manifest_of(tmp_path / "out").files if "broker" in entry.name] == ["broker.passwords"]
    restore_backup(open_backup(tmp_path / "out"), tmp_path / "again")
    assert (tmp_path / "again/secret/passwords").read_text() == "hash"
    assert make_backup(home, tmp_path / "bare", False, MADE_S).left_out[-1] == str(tmp_path / "outside")
