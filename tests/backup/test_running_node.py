"""A node that is served and busy is copied, made again elsewhere, and goes on; an old copy may not."""

import stat
from pathlib import Path

from tests.backup.site import Load, ack_for, check_whole, heads_of, moved, start_node
from tests.cli.running import run


def test_backup_under_load_then_move(tmp_path: Path) -> None:
    node, device = start_node(tmp_path / "home")
    try:
        old_sizes = check_backups_under_load(node, device, tmp_path)
        node.stop()
        check_moved(node, device, tmp_path)
        check_old_copy_is_refused(node, tmp_path, old_sizes)
    finally:
        if node.process is not None and node.process.poll() is None:
            node.stop()


def check_backups_under_load(node, device, tmp_path: Path) -> dict[str, int]:
    """Each of them, made while the node works, restores to a home in which everything agrees."""
    sizes = []
    with Load(node, device).running():
        for name in ("one", "two"):
            made = node.json("backup", str(node.home), str(tmp_path / name))
            assert made["keys"] is False and made["left_out"]
            sizes.append(made)
    assert sizes[0]["evidence_log_size"] < sizes[1]["evidence_log_size"] < node.json("status")["evidence_log_size"]
    for name, made in zip(("one", "two"), sizes, strict=True):
        home = tmp_path / f"{name} restored"
        restored = run("restore", str(tmp_path / name), str(home), "--genesis", node.made["genesis"], "--json")
        assert restored.code == 0, restored.err
        report = check_whole(home)
        assert (report["log_size"], report["lost"]) == (made["evidence_log_size"], 0)
        assert report["blocks"] == made["height"]
        assert list((home / "keys").iterdir()) == []
    return sizes[1]


def check_moved(node, device, tmp_path: Path) -> None:
    """Stopped, copied with its keys, restored, agreed, served: the device does not notice."""
    ran = node.cli("backup", str(node.home), str(tmp_path / "last"), "--with-keys")
    assert "PRIVATE KEYS" in ran.out
    assert stat.S_IMODE((tmp_path / "last").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "last/node.key").stat().st_mode) == 0o600
    new = moved(node, tmp_path / "new")
    told = run("restore", str(tmp_path / "last"), str(new.home))
    assert told.code == 0 and "confirm-head" in told.out, told.err
    assert stat.S_IMODE((new.home / "keys/node.key").stat().st_mode) == 0o600
    for command in (("serve", "--home", str(new.home)), ("backup", str(new.home), str(tmp_path / "unagreed"))):
        refused = run(*command)
        assert refused.code == 1 and "273" in refused.err and "RESTORED-NOT-AGREED" in refused.err
    assert not (tmp_path / "unagreed").exists()
    check_whole(new.home)
    agreed = run("confirm-head", str(new.home), *heads_of(node.home, tmp_path))
    assert agreed.code == 0, agreed.err
    assert run("confirm-head", str(new.home), *heads_of(node.home, tmp_path)).code == 1
    new.start()
    try:
        before = new.json("status")["evidence_log_size"]
        ack = ack_for(new, device)
        assert (ack.next_seq, ack.log_size, ack.missing) == (device.next_seq, before + 1, [])
    finally:
        assert new.stop() == 0
    assert "Traceback" not in new.log()
    assert check_whole(new.home)["log_size"] == before + 1
    check_left_home_is_found_out(node, new.home, tmp_path)


def check_left_home_is_found_out(node, new_home: Path, tmp_path: Path) -> None:
    """The old home, whole and without a mark, is behind now: the heads kept elsewhere tell."""
    for log, kept in (("evidence-log", "evidence"), ("ledger-log", "ledger")):
        assert (tmp_path / f"kept/{kept}.checkpoint").read_bytes() == (new_home / log / "checkpoint").read_bytes()
    before = (tmp_path / "kept/evidence.checkpoint").read_bytes()
    served = run("serve", "--home", str(node.home))
    assert served.code == 1 and "274" in served.err and "1 entries are missing here" in served.err
    assert (tmp_path / "kept/evidence.checkpoint").read_bytes() == before


def check_old_copy_is_refused(node, tmp_path: Path, old: dict[str, int]) -> None:
    """The home of a backup after which the node went on stays marked, whatever is shown, as long as the later head is."""
    home = tmp_path / "two restored"
    keys = sorted((node.home / "keys").iterdir())
    for key in keys:
        (home / "keys" / key.name).write_bytes(key.read_bytes())
        (home / "keys" / key.name).chmod(0o600)
    late = heads_of(node.home, tmp_path)
    own = heads_of(home, tmp_path / "keep") if (tmp_path / "keep").mkdir() is None else []
    refused = run("confirm-head", str(home), *own, *late)
    assert refused.code == 1 and "274" in refused.err and f"ends at {old['evidence_log_size']}" in refused.err
    served = run("serve", "--home", str(home))
    assert served.code == 1 and "273" in served.err
    assert check_whole(home)["log_size"] == old["evidence_log_size"]
