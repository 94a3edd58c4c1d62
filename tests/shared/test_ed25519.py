"""Our Ed25519 and SHA-512 agree with libsodium and hashlib, on both interpreters and on hostile input."""

import hashlib
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_sign_open
from nacl.exceptions import CryptoError
from nacl.signing import SigningKey

from shared import combs, ed25519, edwards, sha512
from shared.errors import VerifyError
from tests.micropython import HERE, check_json

sys.path.insert(0, str(HERE))
import checks_ed25519  # noqa: E402

L, P = ed25519.L, edwards.P
LENGTHS = (0, 1, 31, 47, 63, 64, 79, 80, 111, 112, 127, 128, 191, 192, 239, 240, 255, 256, 300, 1000)


def pseudo(*parts: object) -> bytes:
    return hashlib.sha512(repr(parts).encode()).digest()


def filled(length: int) -> bytes:
    return b"".join(pseudo(length, i) for i in range(length // 64 + 1))[:length]


def libsodium(raw: bytes, message: bytes, signature: bytes) -> bool:
    if len(raw) != 32:  # PyNaCl hands a key of any length to the library
        return False
    try:
        crypto_sign_open(signature + message, raw)
    except (CryptoError, ValueError):
        return False
    return True


# --- points, slowly and plainly, independent of the comb


def add(p: tuple[int, int], q: tuple[int, int]) -> tuple[int, int]:
    d = -121665 * pow(121666, -1, P)
    k = d * p[0] * q[0] * p[1] * q[1]
    x = (p[0] * q[1] + q[0] * p[1]) * pow(1 + k, -1, P) % P
    return x, (p[1] * q[1] + p[0] * q[0]) * pow(1 - k, -1, P) % P


def times(n: int, p: tuple[int, int]) -> tuple[int, int]:
    result = (0, 1)
    while n:
        if n & 1:
            result = add(result, p)
        p, n = add(p, p), n >> 1
    return result


def encode(p: tuple[int, int]) -> bytes:
    return (p[1] | (p[0] & 1) << 255).to_bytes(32, "little")


BASE = (combs._BASE_X, combs._BASE_Y)


def torsion() -> list[tuple[int, int]]:
    """The eight points of small order, found by multiplying points of the curve by L."""
    y = 2
    while True:
        y += 1
        try:
            x = ed25519.finish(combs.recover_x_steps(y))
        except VerifyError:
            continue
        generator = times(L, (x, y))
        found = [times(i, generator) for i in range(8)]
        if len(set(found)) == 8:
            return found


TORSION = torsion()


# --- cases for both interpreters


def sha512_cases() -> list[list[str]]:
    return [[filled(n).hex(), hashlib.sha512(filled(n)).hexdigest()] for n in LENGTHS]


def signing_cases() -> list[list[str]]:
    cases = []
    for number, length in enumerate(LENGTHS):
        key = SigningKey(pseudo("seed", number)[:32])
        message = filled(length)
        cases.append([bytes(key).hex(), bytes(key.verify_key).hex(), message.hex(), key.sign(message).signature.hex()])
    return cases


def mutations() -> list[tuple[bytes, bytes, bytes]]:
    """A right signature, and what a hostile sender makes of it."""
    key, message = SigningKey(pseudo("key")[:32]), b"reading"
    raw, good = bytes(key.verify_key), key.sign(message).signature
    r, s = good[:32], int.from_bytes(good[32:], "little")
    cases = [(raw, message, good), (raw, b"", good), (raw[:31], message, good), (raw + b"\x00", message, good), (b"", message, good)]
    cases += [(raw, message, good[:length]) for length in (0, 1, 32, 63)] + [(raw, message, good + b"\x00")]
    cases += [(raw, message, r + number.to_bytes(32, "little")) for number in (0, L, s + L, L - s, s + 2 * L, 2**256 - 1, 2**255 | s)]
    for bit in range(0, 512, 37):
        flipped = bytearray(good)
        flipped[bit >> 3] ^= 1 << (bit & 7)
        cases.append((raw, message, bytes(flipped)))
    for bit in range(0, 256, 29):
        changed = bytearray(raw)
        changed[bit >> 3] ^= 1 << (bit & 7)
        cases.append((bytes(changed), message, good))
    return cases


def mixed_order() -> list[tuple[bytes, bytes, bytes]]:
    """A + T and R + T' for every pair of small-order points, s as the cofactored equation wants it: cofactorless accepts only some."""
    a, nonce = 1234567890123456789, 987654321987654321
    cases = []
    for i, in_key in enumerate(TORSION):
        raw = encode(add(times(a, BASE), in_key))
        for j, in_r in enumerate(TORSION):
            r, message = encode(add(times(nonce, BASE), in_r)), bytes([i, j])
            h = int.from_bytes(hashlib.sha512(r + raw + message).digest(), "little")
            cases.append((raw, message, r + ((nonce + h * a) % L).to_bytes(32, "little")))
    return cases


def small_and_not_canonical() -> list[tuple[bytes, bytes, bytes]]:
    """Keys and R of small order in every encoding, keys with y ≥ p; s such that a lax verifier accepts."""
    ys = sorted({y for _, y in TORSION} | set(range(P, 2**255)))
    encodings = [(y | sign << 255).to_bytes(32, "little") for y in ys for sign in (0, 1)]
    key = SigningKey(pseudo("key")[:32])
    good = key.sign(b"m").signature
    s_of_base = encode(BASE) + (1).to_bytes(32, "little")  # R = B, s = 1 fits every key of order dividing h
    cases = [(raw, b"m", signature) for raw in encodings for signature in (s_of_base, good, raw + bytes(32))]
    return cases + [(bytes(key.verify_key), b"m", r + good[32:]) for r in encodings]


def verdict_cases() -> list[list[object]]:
    cases = mutations() + mixed_order() + small_and_not_canonical()
    return [[raw.hex(), message.hex(), signature.hex(), libsodium(raw, message, signature)] for raw, message, signature in cases]


SLICE_CASES = [["sign", 40], ["verify with a table", 30], ["verify", 100], ["table", 70]]
CASES = {"check_sha512": sha512_cases, "check_signing": signing_cases, "check_verdicts": verdict_cases}


@pytest.mark.parametrize("check", CASES)
def test_cpython(check: str) -> None:
    cases = CASES[check]()
    assert getattr(checks_ed25519, check)(cases) == len(cases)


@pytest.mark.parametrize("check", CASES)
def test_micropython(check: str, tmp_path: Path) -> None:
    cases = CASES[check]()
    path = tmp_path / "cases.json"
    path.write_text(json.dumps(cases))
    assert check_json("checks_ed25519", check, path) == len(cases)


def test_micropython_gives_way_often(tmp_path: Path) -> None:
    path = tmp_path / "slices.json"
    path.write_text(json.dumps(SLICE_CASES))
    assert check_json("checks_ed25519", "check_slices", path) == len(SLICE_CASES)


def test_the_hostile_cases_reach_both_verdicts() -> None:
    verdicts = [case[3] for case in verdict_cases()]
    mixed = [libsodium(*case) for case in mixed_order()]
    assert verdicts[0] is True and sum(verdicts[1 : len(mutations())]) == 0
    assert 0 < sum(mixed) < len(mixed)
    assert sum(verdicts) == 1 + sum(mixed)


# --- properties


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=300))
def test_any_seed_and_message_as_libsodium(seed: bytes, message: bytes) -> None:
    key = SigningKey(seed)
    assert ed25519.public_key(seed) == bytes(key.verify_key)
    assert ed25519.sign(seed, message) == key.sign(message).signature


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=40), st.binary(max_size=40), st.binary(max_size=70))
def test_random_bytes_raise_only_verify_error(raw: bytes, message: bytes, signature: bytes) -> None:
    with pytest.raises(VerifyError) as caught:
        ed25519.verify(raw, message, signature)
    assert caught.value.code == 201


@settings(max_examples=20, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64))
def test_random_keys_as_libsodium(raw: bytes, signature: bytes) -> None:
    assert checks_ed25519.accepts(raw, b"m", signature) == libsodium(raw, b"m", signature)


@pytest.mark.parametrize("scalar", [0, 1, 2, 8, 2**32 - 1, 2**64, 2**128 + 1, L - 1, L, 2**254 + 8, 2**255 - 1, 2**256 - 1])
def test_the_comb_multiplies_like_double_and_add(scalar: int) -> None:
    base = ed25519.finish(edwards.base_steps())
    point = ed25519.finish(edwards.combine_steps((scalar, base)))
    assert ed25519.finish(edwards.encode_steps(point)) == encode(times(scalar, BASE))


@pytest.mark.parametrize("point", TORSION)
def test_every_small_order_point_is_named(point: tuple[int, int]) -> None:
    assert times(8, point) == (0, 1)
    assert edwards.small_order(point[1])
    with pytest.raises(VerifyError):
        ed25519.build_table(encode(point))


def test_other_points_are_not_of_small_order() -> None:
    assert not edwards.small_order(BASE[1])
    assert len({y for _, y in TORSION}) == 5


def test_the_sums_of_two_tables_share_their_doublings() -> None:
    base = ed25519.finish(edwards.base_steps())
    other = ed25519.finish(combs.comb_steps(*times(77, BASE)))
    assert len(base) == len(other) == 2880
    point = ed25519.finish(edwards.combine_steps((5, base), (L - 3, other)))
    assert ed25519.finish(edwards.encode_steps(point)) == encode(times((5 + (L - 3) * 77) % L, BASE))


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_has_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        ed25519.sign(bytes(length), b"")


def test_hashlib_is_used_where_it_has_sha512() -> None:
    with pytest.raises(StopIteration) as end:
        next(sha512.digest_steps(b"a", b"bc"))
    assert end.value.value == hashlib.sha512(b"abc").digest()
