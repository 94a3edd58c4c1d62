"""server/keystore.py: keys that stay secret and refuse to be careless."""

import os
import pickle
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from server.keystore import SigningKey, is_known_seed, sign_object
from shared import cose
from shared.errors import MeterproofError, VerifyError

RFC8032_SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def refused(code: int, work: object, *arguments: object) -> str:
    with pytest.raises(MeterproofError) as caught:
        work(*arguments)
    assert caught.value.code == code
    return str(caught.value)


@pytest.mark.parametrize("alg", [cose.EDDSA, cose.ES256])
def test_a_saved_key_is_the_same_key(tmp_path: Path, alg: int) -> None:
    key = SigningKey.generate(alg)
    key.save(tmp_path / "a.key")
    again = SigningKey.load(tmp_path / "a.key")
    assert (again.alg, again.cose_key, again.kid, again.raw) == (key.alg, key.cose_key, key.kid, key.raw)
    signed = cose.decode_sign1(sign_object(again, cose.CT_TX, b"payload"), (cose.CT_TX,))
    cose.verify_sign1(signed, key.cose_key)


def test_ed25519_agrees_with_rfc_8032() -> None:
    key = SigningKey.from_seed(RFC8032_SEED)
    assert key.raw.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155")


def test_p256_signatures_have_low_s_and_verify_elsewhere() -> None:
    key = SigningKey.generate(cose.ES256)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + key.raw)
    for i in range(40):
        signature = key.sign(bytes([i]))
        r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        assert 0 < s <= ORDER // 2
        public.verify(encode_dss_signature(r, s), bytes([i]), ec.ECDSA(hashes.SHA256()))
    assert decode_dss_signature(encode_dss_signature(r, s)) == (r, s)
    assert public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)[1:] == key.raw


def test_an_object_signed_by_one_key_is_not_anothers() -> None:
    signed = cose.decode_sign1(sign_object(SigningKey.generate(), cose.CT_TX, b"x"), (cose.CT_TX,))
    with pytest.raises(VerifyError):
        cose.verify_sign1(signed, SigningKey.generate().cose_key)


def test_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        SigningKey.generate().save(tmp_path / "a.key")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.key").stat().st_mode) == 0o600


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    SigningKey.generate().save(tmp_path / "a.key")
    (tmp_path / "a.key").chmod(mode)
    assert "chmod 600" in refused(430, SigningKey.load, tmp_path / "a.key")


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    first = SigningKey.generate()
    first.save(tmp_path / "a.key")
    refused(302, SigningKey.generate().save, tmp_path / "a.key")
    assert SigningKey.load(tmp_path / "a.key").kid == first.kid


@pytest.mark.parametrize("seed", [RFC8032_SEED, bytes(32), b"\x01" * 32, bytes(range(32)), bytes(range(200, 232)), b"\xff" * 32])
def test_known_keys_are_refused(tmp_path: Path, seed: bytes) -> None:
    SigningKey.from_seed(seed).save(tmp_path / "a.key")
    assert seed.hex() not in refused(351, SigningKey.load, tmp_path / "a.key")


def test_random_keys_are_not_taken_for_known_ones() -> None:
    assert not any(is_known_seed(os.urandom(32)) for _ in range(200))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x" * 300,
        "meterproof-key/1 ed25519 00",
        "meterproof-key/2 ed25519 " + "ab" * 32,
        "meterproof-key/1 rsa " + "ab" * 32,
        "meterproof-key/1 ed25519 " + "zz" * 32,
        "meterproof-key/1 ed25519 " + "ab" * 33,
        "meterproof-key/1 ed25519 " + "ab" * 32 + " more",
        "\u00e9",
    ],
)
def test_other_files_are_no_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.key"
    path.write_text(text)
    path.chmod(0o600)
    shown = refused(112, SigningKey.load, path)
    assert "ab" * 32 not in shown


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in refused(430, SigningKey.load, tmp_path / "none.key")


def test_nothing_shows_the_seed() -> None:
    seed = os.urandom(32)
    key = SigningKey.from_seed(seed)
    shown = f"{key!r} {key} {[key]} {key.__slots__}"
    assert seed.hex() not in shown and repr(seed) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_a_seed_of_another_length_is_no_key() -> None:
    refused(112, SigningKey.from_seed, b"short")
