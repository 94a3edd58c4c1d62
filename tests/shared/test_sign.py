"""One verification rule whichever library is there: libsodium, cryptography, or nothing."""

import builtins
import hashlib
import importlib
import sys
from collections.abc import Callable, Iterator

import nacl.bindings
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from shared import cose, ed25519, p256, sign, sodium
from shared.errors import VerifyError

MESSAGE = b"a Sig_structure"
KEY = SigningKey(hashlib.sha256(b"test_sign").digest())
RAW, SIGNATURE = bytes(KEY.verify_key), KEY.sign(MESSAGE).signature


def refusal(*arguments: object) -> int:
    with pytest.raises(VerifyError) as caught:
        sign.verify(*arguments)
    return caught.value.code


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Makes packages unimportable and loads shared.sign as a process without them would."""
    kept = {name: sys.modules[name] for name in ("shared.sign", "shared.sodium", "shared.p256") if name in sys.modules}
    real = builtins.__import__

    def forbid(*packages: str) -> None:
        def importing(name: str, *rest: object, **options: object) -> object:
            if name.split(".")[0] in packages:
                raise ImportError(name)
            return real(name, *rest, **options)  # type: ignore[arg-type]

        for name in kept:
            monkeypatch.delitem(sys.modules, name)
            monkeypatch.delattr(sys.modules["shared"], name.split(".")[1])
        monkeypatch.setattr(builtins, "__import__", importing)

    yield forbid
    monkeypatch.undo()
    for name, module in kept.items():
        sys.modules[name] = module
        setattr(sys.modules["shared"], name.split(".")[1], module)


def test_eddsa_through_libsodium() -> None:
    assert sign._sodium is sodium
    sign.verify(cose.EDDSA, RAW, MESSAGE, SIGNATURE)
    assert refusal(cose.EDDSA, RAW, MESSAGE + b"x", SIGNATURE) == 201


def test_eddsa_without_pynacl(without: Callable[..., None]) -> None:
    without("nacl")
    fresh = importlib.import_module("shared.sign")
    assert fresh is not sign and fresh._sodium is None
    fresh.verify(cose.EDDSA, RAW, MESSAGE, SIGNATURE)
    with pytest.raises(VerifyError, match="201"):
        fresh.verify(cose.EDDSA, RAW, MESSAGE + b"x", SIGNATURE)


@pytest.mark.parametrize(
    ("raw", "signature"),
    [(RAW + b"\0", SIGNATURE), (RAW[:31], SIGNATURE), (b"", SIGNATURE), (RAW, b""), (RAW, SIGNATURE[:63]), (RAW, SIGNATURE + b"\0")],
)
def test_wrong_lengths_are_wrong_signatures_everywhere(raw: bytes, signature: bytes) -> None:
    for verifier in (sodium.verify, ed25519.verify, sign.verify_ed25519):
        with pytest.raises(VerifyError) as caught:
            verifier(raw, MESSAGE, signature)
        assert caught.value.code == 201


def accept_all(signed: bytes, raw: bytes) -> bytes:
    return signed[64:]


def refuse_all(signed: bytes, raw: bytes) -> bytes:
    raise BadSignatureError("no")


@pytest.mark.parametrize("other_rule", [accept_all, refuse_all])
def test_a_libsodium_with_another_rule_is_not_used(
    other_rule: Callable[[bytes, bytes], bytes], without: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    without()
    monkeypatch.setattr(nacl.bindings, "crypto_sign_open", other_rule)
    with pytest.raises(ImportError, match="another rule"):
        importlib.import_module("shared.sodium")
    assert importlib.import_module("shared.sign")._sodium is None


@pytest.mark.parametrize("alg", [0, -37, -47, 8, 7, None])
def test_other_algorithms_are_unsupported(alg: object) -> None:
    assert refusal(alg, RAW, MESSAGE, SIGNATURE) == 202


# --- ES256


def es256() -> tuple[bytes, int, int]:
    """A key and a signature (r, s) with the low s."""
    key = ec.derive_private_key(int.from_bytes(hashlib.sha256(b"p256").digest(), "big"), ec.SECP256R1())
    numbers = key.public_key().public_numbers()
    r, s = decode_dss_signature(key.sign(MESSAGE, ec.ECDSA(SHA256())))
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big"), r, min(s, p256.N - s)


def joined(r: int, s: int) -> bytes:
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_es256_low_s_only() -> None:
    raw, r, s = es256()
    sign.verify(cose.ES256, raw, MESSAGE, joined(r, s))
    p256.verify_any_s(raw, MESSAGE, joined(r, p256.N - s))
    assert refusal(cose.ES256, raw, MESSAGE, joined(r, p256.N - s)) == 201


def test_es256_refuses_what_is_out_of_range_or_wrong() -> None:
    raw, r, s = es256()
    n = p256.N
    for bad in ((0, s), (r, 0), (n, s), (r, n), (2**256 - 1, s), (r ^ 1, s), (r, s ^ 1), (s, r % (n // 2))):
        assert refusal(cose.ES256, raw, MESSAGE, joined(*bad)) == 201
    assert refusal(cose.ES256, raw, MESSAGE + b"x", joined(r, s)) == 201
    assert refusal(cose.ES256, raw, MESSAGE, joined(r, s)[:63]) == 201
    assert refusal(cose.ES256, raw, MESSAGE, joined(r, s) + b"\0") == 201


def test_es256_refuses_keys_that_are_no_point() -> None:
    raw, r, s = es256()
    for bad in (raw[:63] + bytes([raw[63] ^ 1]), bytes(64), b"\xff" * 64, raw[:63], raw + b"\0", RAW):
        assert refusal(cose.ES256, bad, MESSAGE, joined(r, s)) == 201


def test_es256_without_cryptography_is_unsupported(without: Callable[..., None]) -> None:
    raw, r, s = es256()
    without("cryptography")
    fresh = importlib.import_module("shared.sign")
    with pytest.raises(VerifyError, match="202"):
        fresh.verify(cose.ES256, raw, MESSAGE, joined(r, s))
    fresh.verify(cose.EDDSA, RAW, MESSAGE, SIGNATURE)
