"""A restored home signs again only where others have seen its logs end."""

import os
import shutil
from pathlib import Path

import pytest

from server.backup.agree import agree, read_seen
from server.backup.logs import Held, Seen, check_end_shown, check_not_beyond
from server.backup.manifest import node_vkeys
from server.backup.restore import open_backup, restore_backup
from server.cli import main
from server.config import load_config
from server.home import RESTORED, check_agreed, lock_home
from server.keystore import SigningKey, sign_object
from server.ledger.genesis import decode_genesis
from shared import cose, messages, note
from shared.errors import DecodeError, MeterproofError, RuleError, Unavailable, VerifyError
from shared.types import Ack
from tests.backup.homes import Site, size_of
from tests.evidence.backend import NODE
from tests.evidence.fleet import ORIGIN, Device, key_of
from tests.evidence.whole import CHAIN, genesis

LEDGER = f"meterproof.ledger/{CHAIN}"
VKEYS = node_vkeys(decode_genesis(genesis()), ORIGIN)


@pytest.fixture
def home(site: Site, tmp_path: Path) -> Path:
    """Restored from the older backup."""
    restore_backup(open_backup(site.half), tmp_path / "home")
    return tmp_path / "home"


def shown(tmp_path: Path, *heads: bytes) -> list[Path]:
    paths = [tmp_path / f"head {number}" for number in range(len(heads))]
    for path, data in zip(paths, heads, strict=True):
        path.write_bytes(data)
    return paths


def checkpoint(size: int, root: bytes, origin: str = ORIGIN, key: SigningKey = NODE) -> bytes:
    return note.sign_note(note.encode_checkpoint(note.Checkpoint(origin, size, root)), origin, key.raw, key.sign)


def ack(log_size: int, identity: bytes | None, origin: str = ORIGIN, key: SigningKey = NODE) -> bytes:
    payload = messages.encode_ack(Ack(origin, Device("two").id, 1, identity, [], log_size))
    return sign_object(key, cose.CT_ACK, payload)


def check_refused(home: Path, paths: list[Path], code: int) -> None:
    with pytest.raises(MeterproofError) as refused:
        agree(load_config(home), paths)
    assert refused.value.code == code, refused.value
    with pytest.raises(VerifyError, match="273"):
        check_agreed(home)


def test_both_ends_shown_by_a_reader(site: Site, home: Path, tmp_path: Path) -> None:
    evidence, ledger = agree(load_config(home), shown(tmp_path, *site.heads[0]))
    assert (evidence.size, ledger.size) == tuple(size_of(head) for head in site.heads[0])
    check_agreed(home)
    with pytest.raises(RuleError, match="303"):
        agree(load_config(home), shown(tmp_path, *site.heads[0]))


def test_an_ack_shows_the_end_of_the_evidence_log(site: Site, home: Path, tmp_path: Path) -> None:
    agree(load_config(home), shown(tmp_path, site.acks[0], site.heads[0][1]))
    check_agreed(home)


@pytest.mark.parametrize("which", ["evidence checkpoint", "ledger checkpoint", "ack", "evidence file"])
def test_anything_later_is_refused_beside_the_right_heads(site: Site, home: Path, tmp_path: Path, which: str) -> None:
    later = {
        "evidence checkpoint": site.heads[1][0],
        "ledger checkpoint": site.heads[1][1],
        "ack": site.acks[1],
        "evidence file": site.evidence_file,
    }
    check_refused(home, shown(tmp_path, *site.heads[0], later[which]), 274)


def test_what_is_missing_is_counted(site: Site, home: Path, tmp_path: Path) -> None:
    paths = shown(tmp_path, *site.heads[1])
    with pytest.raises(VerifyError, match=r"signed 300, this copy ends at 150: 150 entries are missing") as refused:
        agree(load_config(home), paths)
    assert str(paths[0]) in refused.value.text


def test_a_smaller_head_alone_says_nothing(site: Site, tmp_path: Path) -> None:
    restore_backup(open_backup(site.full), tmp_path / "home")
    check_refused(tmp_path / "home", shown(tmp_path, *site.heads[0]), 273)
    check_refused(tmp_path / "home", shown(tmp_path, site.heads[1][0]), 273)
    check_refused(tmp_path / "home", shown(tmp_path, site.heads[1][1]), 273)
    agree(load_config(tmp_path / "home"), shown(tmp_path, *site.heads[0], *site.heads[1]))


@pytest.mark.parametrize("size", [1, 77, 150])
def test_another_history_is_refused(site: Site, home: Path, tmp_path: Path, size: int) -> None:
    check_refused(home, shown(tmp_path, *site.heads[0], checkpoint(size, bytes(32))), 274)
    check_refused(home, shown(tmp_path, *site.heads[0], checkpoint(3, bytes(32), LEDGER)), 274)


def test_an_acked_statement_must_be_there_and_in_time(site: Site, home: Path, tmp_path: Path) -> None:
    check_refused(home, shown(tmp_path, *site.heads[0], ack(150, bytes(32))), 274)
    identity = messages.decode_ack(cose.decode_sign1(site.acks[0], (cose.CT_ACK,)).payload).identity
    check_refused(home, shown(tmp_path, *site.heads[0], ack(149, identity)), 274)
    agree(load_config(home), shown(tmp_path, *site.heads[0], ack(150, identity), ack(0, None)))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (checkpoint(150, bytes(32), key=key_of("stranger")), 240),
        (checkpoint(150, bytes(32), "example.org/other"), 240),
        (ack(150, None, key=key_of("stranger")), 200),
        (ack(150, None, "example.org/other"), 240),
        (ack(150, None)[:-1], 100),
        (checkpoint(150, bytes(32)).replace(b"\n150\n", b"\n151\n"), 201),
        (sign_object(NODE, cose.CT_REFUSAL, b""), 111),
        (b"", 130),
        (b"junk", 130),
        (b"\xa1\x00\x00", 140),
        (bytes(70_000), 275),
    ],
)
def test_what_is_no_head_of_this_node(site: Site, home: Path, tmp_path: Path, data: bytes, code: int) -> None:
    check_refused(home, shown(tmp_path, *site.heads[0], data), code)


def test_the_log_of_one_origin_may_not_speak_for_the_other(site: Site, home: Path, tmp_path: Path) -> None:
    """A note signed under the evidence log's name whose text is of the ledger log."""
    text = note.encode_checkpoint(note.Checkpoint(LEDGER, 5, bytes(32)))
    check_refused(home, shown(tmp_path, *site.heads[0], note.sign_note(text, ORIGIN, NODE.raw, NODE.sign)), 240)


def test_not_while_something_runs_there(site: Site, home: Path, tmp_path: Path) -> None:
    with lock_home(home), pytest.raises(Unavailable, match="400"):
        agree(load_config(home), shown(tmp_path, *site.heads[0]))
    assert (home / RESTORED).exists()


def held(size: int) -> Held:
    return Held("evidence log", ORIGIN, size, lambda at: b"%032d" % at)


def test_an_empty_log_needs_no_head_but_takes_none_larger() -> None:
    check_not_beyond(held(0), [])
    check_end_shown(held(0), [])
    with pytest.raises(VerifyError, match="274"):
        check_not_beyond(held(0), [Seen("reader", ORIGIN, 1, b"%032d" % 1)])


def test_heads_of_other_logs_do_not_count() -> None:
    with pytest.raises(VerifyError, match="273"):
        check_end_shown(held(5), [Seen("reader", LEDGER, 5, b"%032d" % 5)])
    seen = [Seen("reader", LEDGER, 9, bytes(32)), Seen("reader", ORIGIN, 5, b"%032d" % 5)]
    check_not_beyond(held(5), seen)
    check_end_shown(held(5), seen)


def test_reading_a_head_says_where_it_came_from(site: Site) -> None:
    assert read_seen("a", site.heads[0][0], VKEYS).source == "a"
    assert read_seen("b", site.evidence_file, VKEYS).origin == LEDGER
    with pytest.raises(DecodeError):
        read_seen("c", site.evidence_file[:-1], VKEYS)


def test_the_command(site: Site, home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = [str(path) for path in shown(tmp_path, *site.heads[1])]
    assert main(["confirm-head", str(home), *late]) == 1
    assert "274" in capsys.readouterr().err and (home / RESTORED).exists()
    assert main(["confirm-head", str(home)]) == 1
    assert "273" in capsys.readouterr().err and (home / RESTORED).exists()
    right = [str(path) for path in shown(tmp_path, *site.heads[0])]
    assert main(["confirm-head", str(home), *right, "--json"]) == 0
    assert '"evidence_log_size": 150' in capsys.readouterr().out and not (home / RESTORED).exists()
    assert main(["confirm-head", str(home)]) == 1
    shutil.rmtree(home)
    assert main(["confirm-head", str(home), *right]) == 2
    assert not os.path.exists(home)
