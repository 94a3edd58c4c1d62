"""cose.json: public keys, key ids and signed objects (SPEC.md section 2)."""

from collections.abc import Iterator
from hashlib import sha256

from tests.independent import faults
from tests.independent import samples as s
from tests.independent.book import Book
from tests.independent.cbor_out import cbor
from tests.independent.signing import ED25519_ORDER, MEDIA, P256_ORDER, EdKey, P256Key, protected_header, sign1, to_be_signed
from tests.independent.values import Named, Raw, Tag

MALFORMED, OTHER_KIND, KEY_MALFORMED, FIELD = 110, 111, 112, 108
OTHER_KEY, WRONG = 200, 201
PAYLOAD = cbor({1: "payload"})
KEYS = {
    "Ed25519, RFC 8032 test 1": EdKey("", bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")),
    "Ed25519 of a device": s.DEVICE_KEY,
    "P-256 of a secure element": s.ELEMENT_KEY,
}


def key_cases(book: Book) -> None:
    for desc, key in KEYS.items():
        book.good("key", desc, key.cose_key, Named("Key", alg=key.alg, raw=key.raw, data=key.cose_key))
        book.calculated("kid", desc, key.cose_key, key.kid)
    ed = {1: 1, -1: 6, -2: s.DEVICE_KEY.raw}
    p256 = {1: 2, -1: 1, -2: s.ELEMENT_KEY.raw[:32], -3: s.ELEMENT_KEY.raw[32:]}
    for name, fields in (("Ed25519", ed), ("P-256", p256)):
        book.all_bad("key", name, (fault for fault in faults.of_bytes(cbor(fields)) if len(fault[1]) <= 128))
        for desc, data, error in faults.of_map(fields, {1: faults.uint(1, 2), -2: faults.sized(32), -3: faults.sized(32)}, KEY_MALFORMED):
            if "2, beyond" not in desc:
                book.bad("key", f"{name}: {desc}", data, error)
        extra: dict[str, dict[object, object]] = {
            "private part": {-4: bytes(32)},
            "a kid": {2: b"1"},
            "an algorithm": {3: -8},
            "key operations": {4: [2]},
            "a text label": {"x": 0},
        }
        for what, field in extra.items():
            book.bad("key", f"{name}: with {what}", cbor({**fields, **field}), KEY_MALFORMED)
        for curve in (0, 2, 3, 4, 5, 7, 8, True, "Ed25519", None):
            book.bad("key", f"{name}: curve {curve}", cbor({**fields, -1: curve}), KEY_MALFORMED)
        book.bad("key", f"{name}: type 3 (RSA)", cbor({**fields, 1: 3}), KEY_MALFORMED)
    book.bad("key", "Ed25519 with y", cbor({**ed, -3: bytes(32)}), KEY_MALFORMED)
    book.bad("key", "P-256 with y as a sign bit", cbor({**p256, -3: True}), KEY_MALFORMED)
    book.bad("key", "type of Ed25519 with curve of P-256", cbor({**p256, 1: 1}), KEY_MALFORMED)
    book.bad(
        "key",
        "length-first order of labels",
        cbor(Raw(b"\xa3" + cbor(-1) + cbor(6) + cbor(1) + cbor(1) + cbor(-2) + cbor(bytes(32)))),
        faults.MAP_ORDER,
    )


def signed_record(key: EdKey | P256Key, kind: str, payload: bytes) -> Named:
    data = sign1(key, kind, payload)
    structure = to_be_signed(protected_header(key.alg, MEDIA[kind], key.kid), payload)
    fields = {"alg": key.alg, "content_type": MEDIA[kind], "kid": key.kid, "payload": payload, "signature": data[-64:]}
    return Named("Signed", **fields, signed=structure, identity=sha256(structure).digest(), data=data)


def object_cases(book: Book) -> None:
    for kind in MEDIA:
        record = signed_record(s.DEVICE_KEY, kind, PAYLOAD)
        book.good("sign1", f"{kind}, EdDSA", {"data": record.data, "types": [MEDIA[kind]]}, record)
    record = signed_record(s.ELEMENT_KEY, "readings", PAYLOAD)
    book.good("sign1", "readings, ES256", {"data": record.data, "types": [MEDIA["readings"]]}, record)
    empty = signed_record(s.DEVICE_KEY, "ack", b"")
    book.good("sign1", "empty payload", {"data": empty.data, "types": [MEDIA["ack"]]}, empty)
    for desc, data, error in bad_objects():
        book.bad("sign1", desc, {"data": data, "types": [MEDIA["readings"]]}, error)
    for kind in MEDIA:
        others = [media for other, media in MEDIA.items() if other != kind]
        book.bad("sign1", f"{kind} where only others are wanted", {"data": sign1(s.DEVICE_KEY, kind, PAYLOAD), "types": others}, OTHER_KIND)


def bad_objects() -> Iterator[tuple[str, bytes, int]]:
    key, media = s.DEVICE_KEY, MEDIA["readings"]
    protected = protected_header(key.alg, media, key.kid)
    good = [protected, {}, PAYLOAD, key.sign(to_be_signed(protected, PAYLOAD))]

    def built(**changes: object) -> bytes:
        parts = dict(zip(("protected", "unprotected", "payload", "signature"), good, strict=True))
        return cbor(Tag(18, list({**parts, **changes}.values())))

    yield from faults.of_bytes(built())
    yield "without its tag", cbor(good), MALFORMED
    yield "tag 17 (COSE_Mac0)", cbor(Tag(17, good)), faults.TYPE_REFUSED
    yield "tag 98 (COSE_Sign)", cbor(Tag(98, good)), faults.TYPE_REFUSED
    yield "tag 18 twice", cbor(Tag(18, Tag(18, good))), faults.TYPE_REFUSED
    yield "tag 18 around a map", cbor(Tag(18, {})), MALFORMED
    yield "tag 18 around a byte string", cbor(Tag(18, b"")), MALFORMED
    yield "three items", cbor(Tag(18, good[:3])), MALFORMED
    yield "five items", cbor(Tag(18, [*good, 0])), MALFORMED
    yield "kid in the unprotected header", built(unprotected={4: key.kid}), MALFORMED
    yield "a receipt in the unprotected header", built(unprotected={394: [b""]}), MALFORMED
    for what, value in (("null", None), ("an empty list", []), ("an empty byte string", b""), ("false", False)):
        yield f"unprotected header is {what}", built(unprotected=value), MALFORMED
    for what, value in (("null (detached)", None), ("text", "payload"), ("a map", {}), ("true", True)):
        yield f"payload is {what}", built(payload=value), MALFORMED
    for length in (0, 63, 65, 128):
        yield f"signature of {length} bytes", built(signature=bytes(length)), MALFORMED
    for what, value in (("text", "s" * 64), ("null", None), ("a list", [bytes(64)])):
        yield f"signature is {what}", built(signature=value), MALFORMED
    yield "protected header is a map, not bytes", built(protected={1: -8, 3: media, 4: key.kid}), MALFORMED
    yield "protected header is empty", built(protected=b""), faults.ENDS_EARLY
    yield "protected header is null", built(protected=None), MALFORMED
    for desc, header, error in bad_headers({1: key.alg, 3: media, 4: key.kid}):
        yield f"protected header: {desc}", built(protected=header), error


def bad_headers(fields: dict[int, object]) -> Iterator[tuple[str, bytes, int]]:
    alg = [("is text", "EdDSA"), ("is null", None), ("is true", True), ("is a list", [-8])]
    media = [("is null", None), ("is an integer", 30), ("is true", True), ("is a byte string", b"application/eat+cwt")]
    kid = faults.sized(16)
    yield from faults.of_map(fields, {1: alg, 3: media, 4: kid}, MALFORMED, {1: "alg", 3: "content type", 4: "kid"})
    yield "a trailing byte", cbor(fields) + b"\x00", faults.TRAILING
    yield "length not in shortest form", b"\xb8\x03" + cbor(fields)[1:], faults.NOT_SHORTEST
    yield "alg not in shortest form", b"\xa3\x01\x38\x07" + cbor(fields)[3:], faults.NOT_SHORTEST
    yield "with crit", cbor({**fields, 2: [4]}), MALFORMED
    yield "with an IV", cbor({**fields, 5: bytes(8)}), MALFORMED
    for alg_number in (-35, -36, -37, -19, -9, -49, 5, 8, 0, -6, -257, 2**32 - 8, -(2**32) - 8):
        yield f"alg {alg_number}", cbor({**fields, 1: alg_number}), MALFORMED
    kinds = {"in capitals": "APPLICATION/VND.METERPROOF.READINGS", "with a parameter": "application/vnd.meterproof.readings; v=1"}
    for what, value in {**kinds, "empty": "", "unknown": "application/vnd.meterproof.reading"}.items():
        yield f"content type {what}", cbor({**fields, 3: value}), OTHER_KIND


def signature_cases(book: Book) -> None:
    for desc, key in KEYS.items():
        book.good("verify", desc, verify_input(sign1(key, "readings", PAYLOAD), key), None)
    ed, element = s.DEVICE_KEY, s.ELEMENT_KEY
    for key, name in ((ed, "EdDSA"), (element, "ES256")):
        good = sign1(key, "readings", PAYLOAD)
        for at in range(-64, 0, 7):
            book.bad(
                "verify",
                f"{name}: a bit flipped in byte {64 + at} of the signature",
                verify_input(faults.bit_flipped(good, at), key),
                WRONG,
            )
        book.bad("verify", f"{name}: a bit flipped in the payload", verify_input(faults.flipped_inside(good, PAYLOAD, 4), key), WRONG)
        book.bad(
            "verify", f"{name}: signature of another payload", verify_input(good[:-64] + sign1(key, "readings", b"")[-64:], key), WRONG
        )
        book.bad("verify", f"{name}: signature over the bare payload", verify_input(good[:-64] + key.sign(PAYLOAD), key), WRONG)
        book.bad(
            "verify",
            f"{name}: signature under another content type",
            verify_input(good[:-64] + sign1(key, "gap", PAYLOAD)[-64:], key),
            WRONG,
        )
        book.bad("verify", f"{name}: 64 zero bytes", verify_input(good[:-64] + bytes(64), key), WRONG)
        book.bad("verify", f"{name}: another key's id", verify_input(good, EdKey("somebody else")), OTHER_KEY)
    book.bad("verify", "alg EdDSA, key P-256", verify_input(relabelled(ed, -8, element.kid), element), OTHER_KEY)
    book.bad("verify", "alg ES256, key Ed25519", verify_input(relabelled(ed, -7, ed.kid), ed), OTHER_KEY)
    for desc, signature in bad_eddsa(sign1(ed, "readings", PAYLOAD)[-64:]):
        book.bad("verify", f"EdDSA: {desc}", verify_input(sign1(ed, "readings", PAYLOAD)[:-64] + signature, ed), WRONG)
    for desc, signature in bad_es256(sign1(element, "readings", PAYLOAD)[-64:]):
        book.bad("verify", f"ES256: {desc}", verify_input(sign1(element, "readings", PAYLOAD)[:-64] + signature, element), WRONG)


def verify_input(data: bytes, key: EdKey | P256Key) -> dict[str, object]:
    return {"data": data, "types": [MEDIA["readings"]], "key": key.cose_key}


def relabelled(key: EdKey, alg: int, kid: bytes) -> bytes:
    """An object whose header names that algorithm and key."""
    protected = protected_header(alg, MEDIA["readings"], kid)
    return cbor(Tag(18, [protected, {}, PAYLOAD, key.sign(to_be_signed(protected, PAYLOAD))]))


def bad_eddsa(good: bytes) -> Iterator[tuple[str, bytes]]:
    r, number = good[:32], int.from_bytes(good[32:], "little")
    for times in (1, 2, 14):
        yield f"s + {times}L", r + (number + times * ED25519_ORDER).to_bytes(32, "little")
    yield "s is L", r + ED25519_ORDER.to_bytes(32, "little")
    yield "s is 0", r + bytes(32)
    yield "s is 2**256 - 1", r + b"\xff" * 32
    yield "L - s", r + (ED25519_ORDER - number).to_bytes(32, "little")
    yield "R is the neutral element", b"\x01" + bytes(31) + good[32:]
    yield "R with its sign bit changed", faults.bit_flipped(r, 31, 0x80) + good[32:]
    yield "R and s exchanged", good[32:] + r
    yield "R is not canonical (p)", (2**255 - 19).to_bytes(32, "little") + good[32:]
    yield "big-endian s", r + good[:31:-1]


def bad_es256(good: bytes) -> Iterator[tuple[str, bytes]]:
    r, number = good[:32], int.from_bytes(good[32:], "big")

    def with_s(value: int) -> bytes:
        return r + value.to_bytes(32, "big")

    yield "n - s: the high twin, which verifies elsewhere", with_s(P256_ORDER - number)
    yield "s is 0", with_s(0)
    yield "s is n", with_s(P256_ORDER)
    yield "s is 2**256 - 1", with_s(2**256 - 1)
    yield "s is (n + 1) / 2: the first high one", with_s((P256_ORDER + 1) // 2)
    yield "r is 0", bytes(32) + good[32:]
    yield "r is n", P256_ORDER.to_bytes(32, "big") + good[32:]
    yield "r is 2**256 - 1", b"\xff" * 32 + good[32:]
    yield "r and s exchanged", good[32:] + r
    yield "little-endian r and s", good[31::-1] + good[:31:-1]


def books() -> list[Book]:
    book = Book("cose", "2. Keys and signatures")
    key_cases(book)
    object_cases(book)
    signature_cases(book)
    return [book]
