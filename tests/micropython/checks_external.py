"""Vectors from outside (tests/vectors/external/), checked by the same code under CPython and MicroPython.

In: the decoded JSON of one file. Out: how many cases were checked; AssertionError with the case's name otherwise.
Never skips a case: what our profile refuses although the vector's author accepts it is named here, with the code.
"""

from binascii import a2b_base64, unhexlify

from checks_smt import check_ics23  # noqa: F401 - found here by runner.py

from shared import cbor, cose, ed25519, merkle, sign
from shared.errors import DecodeError, VerifyError

try:
    from shared import p256
except ImportError:  # MicroPython: ES256 cannot be checked there
    p256 = None


def refusal(family, function, *arguments):
    """The code with which the function refuses, or 0."""
    try:
        function(*arguments)
    except family as error:
        return error.code
    return 0


# --- RFC 9162 proofs


def check_rfc9162(cases) -> int:
    for case in cases:
        proof = [a2b_base64(step) for step in case["proof"] or []]
        if "leafHash" in case:
            arguments = (case["leafIdx"], case["treeSize"], a2b_base64(case["leafHash"] or ""), proof, a2b_base64(case["root"] or ""))
            code, wanted = refusal(VerifyError, merkle.verify_inclusion, *arguments), 210
        else:
            arguments = (case["size1"], case["size2"], proof, a2b_base64(case["root1"] or ""), a2b_base64(case["root2"] or ""))
            code, wanted = refusal(VerifyError, merkle.verify_consistency, *arguments), 211
        assert code == (wanted if case["wantErr"] else 0), case["case"]
    return len(cases)


# --- CBOR of RFC 8949 appendix A

REFUSED_CBOR = (
    # initial bytes that our profile refuses with code 103, and how many of the file's cases begin so
    (("c0", "c1", "c2", "c3", "d7", "d8"), 8),  # tags other than 18
    (("f0", "f7", "f8"), 4),  # undefined and other simple values
    (("f9", "fa", "fb"), 22),  # floats
    (("5f", "7f", "9f", "bf"), 8),  # indefinite lengths
    (("83018202039f", "83019f", "826161bf"), 3),  # the same inside
)
BYTES_CBOR = {"40": b"", "4401020304": b"\x01\x02\x03\x04", "a201020304": {1: 2, 3: 4}}  # JSON cannot say these


def check_cbor(cases) -> int:
    refused = 0
    for case in cases:
        name, data = case["hex"], unhexlify(case["hex"])
        if any(name.startswith(prefixes) for prefixes, _ in REFUSED_CBOR):
            assert refusal(DecodeError, cbor.decode, data) == 103, name
            refused += 1
            continue
        value = cbor.decode(data)
        wanted = BYTES_CBOR[name] if name in BYTES_CBOR else case["decoded"]
        assert value == wanted and type(value) is type(wanted), name
        assert cbor.encode(wanted) == data, name
    assert refused == sum([count for _, count in REFUSED_CBOR]), refused
    return len(cases)


# --- COSE_Sign1: the primitive; our profile refuses all of these files for their unprotected headers or tags

PROFILE_CODES = {"sign-fail-01": 103, "eddsa-01": 103, "eddsa-02": 103}  # tags 998 and 98; everything else 110
ED448 = ("eddsa-02", "eddsa-sig-02")  # another curve under the same algorithm number: refused as a wrong signature
ALL_TYPES = (cose.CT_READINGS, cose.CT_TX)


def check_cose(cases) -> int:
    for case in cases:
        name = case["case"].split("/")[1].split(".")[0]
        data = unhexlify(case["output"]["cbor"])
        assert refusal(DecodeError, cose.decode_sign1, data, ALL_TYPES) == PROFILE_CODES.get(name, 110), name
        if name == "sign-fail-01":
            continue  # the tag was the fault, and is refused above
        alg, raw, message, signature = cose_parts(case, data)
        if not case.get("fail"):
            wanted_message = case["intermediates"]["signers"][0] if "signers" in case["intermediates"] else case["intermediates"]
            assert message == unhexlify(wanted_message["ToBeSign_hex"]), name
        bad = case.get("fail") or name in ED448
        wanted = 202 if alg not in (-7, -8) or (alg == -7 and p256 is None) else 201 if bad else 0
        assert refusal(VerifyError, sign.verify, alg, raw, message, signature) == wanted, name
        if alg == -7 and p256:
            assert refusal(VerifyError, p256.verify_any_s, raw, message, signature) == (201 if case.get("fail") else 0), name
    return len(cases)


def cose_parts(case, data):
    """(alg, raw key, what was signed, signature) of a COSE_Sign1, or of the one signer of a COSE_Sign (tag 98)."""
    external = unhexlify(case["input"].get("sign0", {}).get("external", ""))
    if data[:2] == b"\xd8\x62":
        protected, _, payload, signers = cbor.decode(data[2:])
        own, unprotected, signature = signers[0]
        message = cbor.encode(["Signature", protected, own, external, payload])
        key = case["input"]["sign"]["signers"][0]["key"]
    else:
        value = cbor.decode(data)
        own, unprotected, payload, signature = value.value if isinstance(value, cbor.Tagged) else value
        body = b"" if own == b"\xa0" else own  # RFC 9052 4.4: an empty map is signed as an empty string
        message = cbor.encode(["Signature1", body, external, payload]) if external else cose.sig_structure(body, payload)
        key = case["input"]["sign0"]["key"]
    header = cbor.decode(own)
    return header.get(1, unprotected.get(1)), raw_key(key), message, signature


def raw_key(key) -> bytes:
    if "x_hex" in key:
        return unhexlify(key["x_hex"])
    return b"".join([a2b_base64(key[name].replace("-", "+").replace("_", "/") + "=") for name in ("x", "y")])


# --- Ed25519

ED25519_VERIFIERS = (sign.verify_ed25519, ed25519.verify)  # libsodium where it is, and our own


def check_wycheproof_ed25519(data) -> int:
    count = 0
    for group in data["testGroups"]:
        raw = unhexlify(group["publicKey"]["pk"])
        for test in group["tests"]:
            check_ed25519(raw, test["msg"], test["sig"], test["result"] == "valid", test["tcId"])
            count += 1
    assert count == data["numberOfTests"]
    return count


def check_speccheck(data) -> int:
    accepted = []
    for number, case in enumerate(data["cases"]):
        check_ed25519(unhexlify(case["pub_key"]), case["message"], case["signature"], case["libsodium"], number)
        if case["libsodium"]:
            accepted.append(number)
    assert accepted == [3], accepted
    return len(data["cases"])


def check_ed25519(raw, message_hex, signature_hex, valid, name) -> None:
    for verifier in ED25519_VERIFIERS:
        code = refusal(VerifyError, verifier, raw, unhexlify(message_hex), unhexlify(signature_hex))
        assert code == (0 if valid else 201), (name, code)


# --- ECDSA on P-256


def check_wycheproof_p256(data) -> int:
    """The primitive as the vectors say; our rule refuses the high s of each valid pair. Without cryptography everything is 202."""
    count = high = 0
    for group in data["testGroups"]:
        raw = unhexlify(group["publicKey"]["uncompressed"])[1:]
        for test in group["tests"]:
            count += 1
            arguments = (raw, unhexlify(test["msg"]), unhexlify(test["sig"]))
            if p256 is None:
                assert refusal(VerifyError, sign.verify, cose.ES256, *arguments) == 202, test["tcId"]
                continue
            valid = test["result"] == "valid"
            assert refusal(VerifyError, p256.verify_any_s, *arguments) == (0 if valid else 201), test["tcId"]
            is_high = valid and int(test["sig"][64:], 16) > p256.N // 2
            high += is_high
            assert refusal(VerifyError, sign.verify, cose.ES256, *arguments) == (0 if valid and not is_high else 201), test["tcId"]
    assert count == data["numberOfTests"]
    assert p256 is None or high == 70, high
    return count
