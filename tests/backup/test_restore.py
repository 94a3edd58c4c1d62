"""A backup is restored whole or not at all; whatever was changed in it is refused before anything is written."""

import asyncio
import os
import sqlite3
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.backup import restore
from server.backup.agree import agree
from server.backup.make import make_backup
from server.backup.manifest import BYTES_MAX, FileEntry
from server.backup.restore import open_backup, restore_backup
from server.cli import main
from server.config import load_config
from server.fsck import fsck
from server.main import Backend
from shared.errors import DecodeError, MeterproofError, RuleError, Unavailable, VerifyError
from tests.backup.homes import MADE_S, Site, copy_of, manifest_of, relist, size_of, write_manifest
from tests.cli.running import free_port
from tests.evidence.fleet import key_of

SECRETS = ("admin.key", "node.key", "validator.key")
FILES = (
    "evidence.entries",
    "evidence.sqlite",
    "genesis.cbor",
    "ledger.sqlite",
    "meterproof.toml",
    "policy.toml",
    "registry.sqlite",
    *SECRETS,
)


def restored(backup: Path, home: Path) -> Path:
    restore_backup(open_backup(backup), home)
    return home


def check_refused(backup: Path, home: Path, family: type[MeterproofError] = VerifyError, code: int | None = None) -> None:
    """With that error, and nothing is left where the home would be."""
    with pytest.raises(family) as refused:
        restored(backup, home)
    assert code in (None, refused.value.code), refused.value
    assert not home.exists() and not home.with_name(home.name + ".part").exists()


def test_what_is_restored_is_what_was_there(site: Site, tmp_path: Path) -> None:
    home = restored(site.full, tmp_path / "home")
    for path in home.rglob("*"):
        name = path.relative_to(home)
        if path.is_file() and path.suffix != ".sqlite" and path.name != "RESTORED-NOT-AGREED":
            assert path.read_bytes() == (site.home / name).read_bytes(), name
    report = asyncio.run(fsck(home))
    assert report.ok, report.problems + report.derived_problems
    assert (report.log_size, report.statements) == (300, 300)
    for name in SECRETS:
        assert (home / "keys" / name).stat().st_mode & 0o777 == 0o600


def test_an_older_backup_is_whole_too(site: Site, tmp_path: Path) -> None:
    """Its log ends inside a bundle that the live log has filled meanwhile."""
    report = asyncio.run(fsck(restored(site.half, tmp_path / "home")))
    assert report.ok and report.log_size == 150 == size_of(site.heads[0][0])


def test_an_empty_folder_may_be_there(site: Site, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    assert (restored(site.half, tmp_path / "home") / "meterproof.toml").is_file()


@pytest.mark.parametrize("kind", ["file", "folder with a file", "link to an empty folder", "dangling link"])
def test_what_is_there_is_untouched(site: Site, tmp_path: Path, kind: str) -> None:
    home, other = tmp_path / "home", tmp_path / "other"
    other.mkdir()
    if kind == "file":
        home.write_text("mine")
    elif kind == "folder with a file":
        home.mkdir()
        (home / "mine").write_text("mine")
    else:
        home.symlink_to(other if kind == "link to an empty folder" else tmp_path / "nowhere")
    with pytest.raises(RuleError, match="302"):
        restored(site.half, home)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "other"] and not any(other.iterdir())
    assert kind != "folder with a file" or [path.name for path in home.iterdir()] == ["mine"]


def test_no_folder_to_be_in(site: Site, tmp_path: Path) -> None:
    with pytest.raises(RuleError, match="303"):
        restored(site.half, tmp_path / "not there" / "home")


# --- what lies in the folder is not what the manifest lists


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("fault", ["first", "middle", "last", "shorter", "longer", "empty", "missing", "link", "folder", "pipe"])
def test_a_changed_file_is_refused(site: Site, tmp_path: Path, name: str, fault: str) -> None:
    backup = copy_of(site.half, tmp_path)
    path = backup / name
    data = bytearray(path.read_bytes())
    if fault in ("first", "middle", "last"):
        data[{"first": 0, "middle": len(data) // 2, "last": -1}[fault]] ^= 1
    changed = {"shorter": bytes(data[:-1]), "longer": bytes(data) + b"\0", "empty": b""}.get(fault, bytes(data))
    path.unlink()
    if fault == "link":
        path.symlink_to(site.half / name)
    elif fault == "folder":
        path.mkdir()
    elif fault == "pipe":
        os.mkfifo(path)
    elif fault != "missing":
        path.write_bytes(changed)
    check_refused(backup, tmp_path / "home", VerifyError, 275)


def test_every_byte_of_the_manifest_counts(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    data = (backup / "manifest").read_bytes()
    for at in range(len(data)):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        (backup / "manifest").write_bytes(broken)
        with pytest.raises((DecodeError, VerifyError)):
            open_backup(backup)
    for broken in (b"", data[:-1], data + b"\0", bytes(20_000)):
        (backup / "manifest").write_bytes(broken)
        check_refused(backup, tmp_path / "home", MeterproofError)


def test_only_the_node_that_the_genesis_names_lists_a_backup(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    write_manifest(backup, manifest_of(backup), key_of("stranger"))
    check_refused(backup, tmp_path / "home", VerifyError, 200)


def test_the_expected_chain_is_pinned(site: Site) -> None:
    genesis = manifest_of(site.half).genesis_hash
    assert open_backup(site.half, genesis).manifest.origin
    with pytest.raises(VerifyError, match="242"):
        open_backup(site.half, bytes(32))


# --- what only somebody with the node's key could sign


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "keys/../../evil", "", ".", "manifest", "evidence.sqlite-wal", "sub/node.key"])
def test_no_name_leads_anywhere(site: Site, tmp_path: Path, name: str) -> None:
    backup = copy_of(site.half, tmp_path)
    manifest = manifest_of(backup)
    files = sorted((*manifest.files, FileEntry(name, 3, sha256(b"abc").digest())), key=lambda entry: entry.name)
    write_manifest(backup, replace(manifest, files=tuple(files)))
    check_refused(backup, tmp_path / "home", DecodeError, 196)
    assert not list(tmp_path.glob("**/evil"))


@pytest.mark.parametrize("name", ["../passwords", "keys/../../passwords", "/passwords"])
def test_settings_lead_nowhere_either(site: Site, tmp_path: Path, name: str) -> None:
    backup = copy_of(site.half, tmp_path)
    (backup / "broker.passwords").write_bytes(b"x")
    settings = backup / "meterproof.toml"
    place = str(tmp_path) + name if name.startswith("/") else name
    settings.write_text(settings.read_text().replace("[broker]\n", f'[broker]\npassword_file = "{place}"\n'))
    manifest = manifest_of(backup)
    write_manifest(
        backup, replace(manifest, files=tuple(sorted((*manifest.files, FileEntry("broker.passwords", 1, b"x" * 32)), key=lambda e: e.name)))
    )
    relist(backup)
    check_refused(backup, tmp_path / "home", VerifyError, 275)
    assert not (tmp_path / "passwords").exists()


def test_a_password_may_not_take_the_place_of_a_store(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    (backup / "broker.passwords").write_bytes(b"x")
    settings = backup / "meterproof.toml"
    settings.write_text(settings.read_text().replace("[broker]\n", '[broker]\npassword_file = "ledger.sqlite"\n'))
    manifest = manifest_of(backup)
    write_manifest(
        backup, replace(manifest, files=tuple(sorted((*manifest.files, FileEntry("broker.passwords", 1, b"x" * 32)), key=lambda e: e.name)))
    )
    relist(backup)
    check_refused(backup, tmp_path / "home", Unavailable, 400)


@pytest.mark.parametrize("name", sorted(BYTES_MAX))
def test_sizes_are_bounded(site: Site, tmp_path: Path, name: str) -> None:
    backup = copy_of(site.half, tmp_path)
    manifest = manifest_of(backup)
    files = {entry.name: entry for entry in manifest.files}
    files[name] = FileEntry(name, BYTES_MAX[name] + 1, bytes(32))
    write_manifest(backup, replace(manifest, files=tuple(files[key] for key in sorted(files))))
    check_refused(backup, tmp_path / "home", DecodeError, 196)


def swap_entries(data: bytes) -> bytes:
    first = 2 + int.from_bytes(data[:2], "big")
    second = first + 2 + int.from_bytes(data[first : first + 2], "big")
    return data[first:second] + data[:first] + data[second:]


@pytest.mark.parametrize(
    ("change", "code"),
    [(swap_entries, 270), (lambda data: data[: -len(data) // 3], 275), (lambda data: data + b"\0\0", 270), (lambda data: b"", 270)],
    ids=["another order", "torn", "one more", "none"],
)
def test_entries_must_make_the_signed_root(site: Site, tmp_path: Path, change, code: int) -> None:
    backup = copy_of(site.half, tmp_path)
    path = backup / "evidence.entries"
    path.write_bytes(change(path.read_bytes()))
    relist(backup)
    check_refused(backup, tmp_path / "home", VerifyError, code)


@pytest.mark.parametrize("name", ["evidence.sqlite", "ledger.sqlite"])
def test_stores_of_another_instant_are_refused(site: Site, tmp_path: Path, name: str) -> None:
    backup = copy_of(site.half, tmp_path)
    (backup / name).write_bytes((site.full / name).read_bytes())
    relist(backup)
    check_refused(backup, tmp_path / "home", VerifyError, 275)


@pytest.mark.parametrize("junk", [b"", b"not a database" * 100])
def test_a_store_that_is_none(site: Site, tmp_path: Path, junk: bytes) -> None:
    backup = copy_of(site.half, tmp_path)
    (backup / "evidence.sqlite").write_bytes(junk)
    relist(backup)
    check_refused(backup, tmp_path / "home", MeterproofError)


def test_ledger_entries_must_make_the_signed_root(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    conn = sqlite3.connect(backup / "ledger.sqlite")
    conn.execute("UPDATE entry SET data = (SELECT data FROM entry WHERE place = 0) WHERE place = 3")
    conn.commit()
    conn.close()
    relist(backup)
    check_refused(backup, tmp_path / "home", VerifyError, 271)


@pytest.mark.parametrize("change", [{"origin": "example.org/other"}, {"chain_id": "other-chain"}, {"genesis_hash": bytes(32)}])
def test_a_manifest_of_another_chain(site: Site, tmp_path: Path, change: dict[str, object]) -> None:
    backup = copy_of(site.half, tmp_path)
    relist(backup, **change)
    check_refused(backup, tmp_path / "home", VerifyError, 242)


def test_heads_that_nobody_signed_or_of_the_other_log(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    evidence, ledger = site.heads[0]
    for change in ({"evidence": ledger}, {"ledger": evidence}, {"evidence": evidence.replace(b"\n150\n", b"\n151\n")}):
        relist(backup, **change)
        check_refused(backup, tmp_path / "home", VerifyError)


def test_keys_that_the_genesis_does_not_name(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    (backup / "validator.key").write_bytes((backup / "admin.key").read_bytes())
    relist(backup)
    check_refused(backup, tmp_path / "home", DecodeError, 195)


def test_settings_of_another_log(site: Site, tmp_path: Path) -> None:
    backup = copy_of(site.half, tmp_path)
    settings = backup / "meterproof.toml"
    settings.write_text(settings.read_text().replace("example.org/test", "example.org/other"))
    relist(backup)
    check_refused(backup, tmp_path / "home", VerifyError, 275)


def test_room_is_looked_for_before_anything_is_written(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    total = sum(entry.size_bytes for entry in manifest_of(site.half).files)
    monkeypatch.setattr(restore.shutil, "disk_usage", lambda _: SimpleNamespace(free=total))
    with pytest.raises(Unavailable, match="are free"):
        restored(site.half, tmp_path / "home")
    assert list(tmp_path.iterdir()) == []


def test_a_home_without_a_statement_or_a_block(tmp_path: Path) -> None:
    """Served once, and nothing came: both logs are empty."""
    home = tmp_path / "home"
    ports = ("--http-port", str(free_port()), "--broker-port", str(free_port()))
    assert main(["init", str(home), "--org", "Nobody yet", *ports]) == 0

    async def serve(place: Path) -> int:
        async with Backend(load_config(place)) as backend:
            return int(backend.evidence.head.size + backend.ledger.log_size)

    assert asyncio.run(serve(home)) == 0
    made = make_backup(home, tmp_path / "backup", True, MADE_S)
    assert (made.evidence_size, made.ledger_size, made.manifest.ledger) == (0, 0, None)
    again = restored(tmp_path / "backup", tmp_path / "again")
    assert asyncio.run(fsck(again)).ok
    with pytest.raises(VerifyError, match="273"):
        asyncio.run(serve(again))
    agree(load_config(again), [])
    assert asyncio.run(serve(again)) == 0
