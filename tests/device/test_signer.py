"""The device's signer: one identity for life, whole or not at all, on both interpreters; on a gateway libsodium signs the same."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from nacl.signing import SigningKey

from edge import signer
from shared import cose, ed25519, sign
from shared.errors import DecodeError, Unavailable, VerifyError
from tests.micropython import HERE, check_json

sys.path.insert(0, str(HERE))
import checks_signer  # noqa: E402

SEED = b"\x05" * 32


@pytest.fixture
def portable(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway without PyNaCl."""
    monkeypatch.setattr(signer, "_SodiumKey", None)
    monkeypatch.setattr(sign, "_sodium", None)


def in_micropython(function: str, given: dict[str, object], tmp_path: Path) -> int:
    path = tmp_path / "given.json"
    path.write_text(json.dumps(given))
    return check_json("checks_signer", function, path)


def device_folder(tmp_path: Path) -> str:
    folder = tmp_path / "a device's folder"  # a space and a quote: on MicroPython the path goes through a shell
    folder.mkdir()
    return str(folder)


def test_signer_with_libsodium(tmp_path: Path) -> None:
    assert checks_signer.check_signer({"folder": device_folder(tmp_path)}) == 27


@pytest.mark.usefixtures("portable")
def test_signer_without_libsodium(tmp_path: Path) -> None:
    assert checks_signer.check_signer({"folder": device_folder(tmp_path)}) == 27


def test_signer_in_micropython(tmp_path: Path) -> None:
    assert in_micropython("check_signer", {"folder": device_folder(tmp_path)}, tmp_path) == 27


def test_power_cut_at_first_boot(tmp_path: Path) -> None:
    assert checks_signer.check_cut_first_boot({"folder": device_folder(tmp_path)}) == 3


def test_power_cut_at_first_boot_in_micropython(tmp_path: Path) -> None:
    assert in_micropython("check_cut_first_boot", {"folder": device_folder(tmp_path)}, tmp_path) == 3


def test_both_interpreters_read_one_key_file(tmp_path: Path) -> None:
    folder = device_folder(tmp_path)
    own = signer.open_signer(folder)
    given = {"folder": folder, "device": own.device.hex(), "kid": own.kid.hex()}
    assert in_micropython("check_identity", given, tmp_path) == checks_signer.check_identity(given) == 1


def device_folder_of(tmp_path: Path, data: bytes) -> str:
    folder = tmp_path / "moved"
    folder.mkdir()
    (folder / signer.FILE_NAME).write_bytes(data)
    return str(folder)


def test_signing_gives_way_in_micropython(tmp_path: Path) -> None:
    assert in_micropython("check_gives_way", {"sign": 40, "verify": 30}, tmp_path) == 2


@pytest.mark.usefixtures("portable")
def test_signing_gives_way_without_libsodium() -> None:
    assert checks_signer.check_gives_way({"sign": 20, "verify": 20}) == 2


def test_both_paths_sign_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = signer.Signer(SEED)
    monkeypatch.setattr(signer, "_SodiumKey", None)
    slow = signer.Signer(SEED)
    assert fast._sodium is not None and slow._sodium is None
    assert fast.cose_key == slow.cose_key == cose.encode_key_ed25519(bytes(SigningKey(SEED).verify_key))
    assert asyncio.run(fast.sign(b"m")) == asyncio.run(slow.sign(b"m")) == SigningKey(SEED).sign(b"m").signature


def test_no_secret_is_shown() -> None:
    own = signer.Signer(SEED)
    assert repr(own) == f"Signer({own.kid.hex()})"
    assert SEED.hex() not in repr(own) + str(own) + repr(ed25519.finish(ed25519.secret_steps(SEED)))


def test_errors_carry_no_key_bytes(tmp_path: Path) -> None:
    folder = device_folder_of(tmp_path, SEED + b"\x02" + bytes(16))
    with pytest.raises(Unavailable) as caught:
        signer.open_signer(folder)
    assert SEED.hex() not in str(caught.value) and str(SEED) not in repr(caught.value)


# --- the known answer at boot


def test_known_answer_holds() -> None:
    signer.known_answer_test()


def wrong_signature(self: signer.Signer, message: bytes) -> bytes:
    return bytes(64)


def accepts_all(alg: int, raw: bytes, message: bytes, signature: bytes) -> None:
    return None


def refuses_all(alg: int, raw: bytes, message: bytes, signature: bytes) -> None:
    raise VerifyError(201, "no")


@pytest.mark.parametrize("broken", [accepts_all, refuses_all])
def test_a_wrong_verifier_stops_the_device(broken: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign, "verify", broken)
    with pytest.raises(Unavailable, match="verifier") as caught:
        signer.known_answer_test()
    assert caught.value.code == 430


def test_a_wrong_signer_stops_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signer.Signer, "sign_now", wrong_signature)
    with pytest.raises(Unavailable, match="signer"):
        signer.known_answer_test()


@pytest.mark.usefixtures("portable")
def test_wrong_arithmetic_stops_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ed25519, "L", ed25519.L + 2)
    with pytest.raises(Unavailable, match="signer"):
        signer.known_answer_test()


# --- the file


def test_the_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        signer.open_signer(device_folder(tmp_path))
    finally:
        os.umask(old)
    assert (tmp_path / "a device's folder" / signer.FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_file_and_folder_are_synced_before_the_key_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    real_fsync, real_rename = os.fsync, os.rename

    def fsync(handle: int) -> None:
        done.append("sync " + os.path.basename(os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def rename(old: str, new: str) -> None:
        done.append("rename")
        real_rename(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    signer.open_signer(device_folder(tmp_path))
    assert done == [f"sync {signer.FILE_NAME}.new", "rename", "sync a device's folder"]


def test_an_unreadable_file_is_no_reason_for_a_new_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = device_folder(tmp_path)
    kept = signer.open_signer(folder).device

    def denied(*_: object, **__: object) -> None:
        raise PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", denied)
        with pytest.raises(Unavailable, match="cannot be read"):
            signer.open_signer(folder)
    assert signer.open_signer(folder).device == kept


# --- the node's key


def test_a_malformed_node_key_is_refused_at_once() -> None:
    with pytest.raises(DecodeError):
        signer.open_node(b"\xa0")


def test_a_small_order_node_key_verifies_nothing() -> None:
    node = signer.open_node(cose.encode_key_ed25519((1).to_bytes(32, "little")))
    with pytest.raises(VerifyError, match="201"):
        asyncio.run(node.verify(b"m", (1).to_bytes(32, "little") + bytes(32)))


def test_a_p256_node_key_cannot_be_checked_on_micropython_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    node = signer.open_node(cose.encode_key_p256(b"\x11" * 64))
    monkeypatch.setitem(sys.modules, "shared.p256", None)
    monkeypatch.delattr(sys.modules["shared"], "p256", raising=False)
    with pytest.raises(VerifyError, match="202"):
        asyncio.run(node.verify(b"m", bytes(64)))
