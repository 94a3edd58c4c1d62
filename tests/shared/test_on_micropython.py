"""The decoders of shared/ in the real MicroPython: the same answers to bytes that are nearly right, and a bundle in a device's heap.

In: right bytes of every format, changed by a seeded generator. Out: nothing. Never only right ones: those are in the golden files.
"""

import json
import random
from pathlib import Path

import pytest

from shared import attest, bundle, cbor, cose, ids, messages, smt, state, statement
from shared.types import Challenge, Lost
from tests.micropython import MicroPythonFailed, check_json, checks_answers, run
from tests.shared.makers import (
    DEVICE,
    KID,
    ORIGIN,
    SALT,
    TABLE_BYTES,
    ack,
    batch_value,
    device_value,
    evidence,
    gap,
    reading,
    readings,
    refusal,
    repair,
    statement_of,
)
from tests.shared.test_note import BOTH, PETER, TEXT

CHANGED_PER_INPUT = 40


def signed(content_type: str, payload: bytes) -> bytes:
    return cose.build_sign1(cose.EDDSA, content_type, KID, payload, lambda message: bytes(range(64)))


def good_inputs() -> list[tuple[str, bytes]]:
    rows = readings(3)
    records = (statement_of(rows), gap([Lost(5, 3, None, 1), Lost(8, 1, bytes(32), 2)]), repair())
    org_text, device_text = ids.encode_id(ids.ORG, bytes(10)), ids.encode_id(ids.DEVICE, DEVICE)
    ranges = device_value(status=2, live=[(5, 9), (12, 20)], equivocations=[(bytes(32), b"\x01" * 32, 6)])
    return [
        ("cbor", cbor.encode({1: [True, None, -1, 2**64 - 1, "é\u20ac\U0001f600", b"x"], -1: {}, "k": [[[]]]})),
        ("cose", signed(cose.CT_ACK, messages.encode_ack(ack()))),
        ("table", TABLE_BYTES),
        *(("statement", signed(statement.content_type_of(record.kind), statement.encode_statement(record))) for record in records),
        ("leaf", bundle.reading_leaf(SALT, reading(5, registers=[None, -(2**63), 2**63 - 1], status=3))),
        ("envelope", bundle.encode_envelope(bytes(300), SALT, rows)),
        ("rows", cbor.encode(cbor.decode(bundle.encode_envelope(b"x", SALT, rows))[2])),
        ("rows", cbor.encode([[60, 61], [[None, 2**63 - 1, 1 - 2**64], 7], 3])),
        ("ack", messages.encode_ack(ack())),
        ("refusal", messages.encode_refusal(refusal(text="é"))),
        ("challenge", messages.encode_challenge(Challenge(ORIGIN, DEVICE, bytes(32), 2**40))),
        ("hello", messages.encode_hello(DEVICE, 2**40)),
        ("topic", messages.topic(org_text, device_text, "ack").encode()),
        ("evidence", attest.encode_evidence(evidence())),
        ("device", device_text.encode()),
        ("note", BOTH),
        ("vkey", PETER.encode()),
        ("checkpoint", TEXT.encode()),
        ("proof", cbor.encode(smt.encode_proof(smt.StateProof([b"\x01" * 32, b"", b"\x02" * 32], (b"\x03" * 32, bytes(32)))))),
        ("params", state.encode_params(state.Params(bytes(32), 1))),
        ("device.value", state.encode_device_value(ranges)),
        ("batch.value", state.encode_batch_value(batch_value((1, 2), ((0, (100, 2**7)), (1, ()))))),
        ("receipt", state.encode_receipt(state.Receipt(bytes(32), 7, 0, 0, [(b"a", bytes(32)), (b"b", bytes(32))]))),
        ("block.leaf", state.encode_block_leaf(state.BlockLeaf("demo-chain", 7, 2**33, 41, bytes(32), bytes(32)))),
    ]


def changed(data: bytes, rng: random.Random) -> bytes:
    """One to three places changed."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(out) + 1)
        kind = rng.randrange(6)
        if kind == 0:
            del out[at:]
        elif kind == 1:
            out[at:at] = rng.randbytes(rng.randint(1, 4))
        elif kind == 2:
            del out[at : at + rng.randint(1, 9)]
        elif kind == 3:
            out[at : at + 1] = rng.choice((b"\xf4", b"\xf5", b"\xf6", b"\x00", b"\x01", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"))
        elif at < len(out):
            out[at] ^= 1 << rng.randrange(8)
    return bytes(out)


def make_cases() -> list[list[str]]:
    rng = random.Random(20260301)
    cases = []
    for decoder, data in good_inputs():
        assert not checks_answers.answer(decoder, data).startswith("error"), decoder
        for given in (data, *(changed(data, rng) for _ in range(CHANGED_PER_INPUT)), rng.randbytes(20)):
            cases.append([decoder, given.hex(), checks_answers.answer(decoder, given)])
    return cases


def test_both_interpreters_answer_alike(tmp_path: Path) -> None:
    cases = make_cases()
    refused = sum(wanted.startswith("error") for _, _, wanted in cases)
    assert refused > len(cases) // 2 and {decoder for decoder, _, _ in cases} == set(checks_answers.DECODERS)
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(cases))
    assert check_json("checks_answers", "check_answers", path, heapsize="32m") == len(cases)


def test_another_answer_fails(tmp_path: Path) -> None:
    path = tmp_path / "answers.json"
    path.write_text(json.dumps([["hello", messages.encode_hello(DEVICE, 1).hex(), "error 108"]]))
    with pytest.raises(MicroPythonFailed):
        check_json("checks_answers", "check_answers", path)


def printed_bytes(printed: str) -> dict[str, int]:
    return {line.split()[0]: int(line.split()[1]) for line in printed.splitlines() if line.endswith("bytes")}


def test_a_bundle_of_60_readings_in_128_kib() -> None:
    """From the sources, which take more than what is compiled beforehand."""
    found = printed_bytes(run("heap_bundle.py", heapsize="128k"))
    assert found["envelope"] < 1000
    assert found["code"] + found["readings"] < 80 * 1024


def test_garbage_of_a_bundle_stays_small() -> None:
    assert printed_bytes(run("heap_bundle.py", heapsize="8m"))["garbage"] < 256 * 1024
