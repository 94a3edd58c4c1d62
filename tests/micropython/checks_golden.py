"""Runs the golden files of tests/vectors/ against shared/: the same code under CPython and MicroPython.

In: one file's JSON. Out: how many cases were checked, AssertionError at the first that goes wrong. Never skips a case.

A table says what each operation is: a codec (decode, encode) whose positives must hold both ways, or one function. Formats whose code
is not in shared/ are added by tests/shared/test_golden.py with `add`.
"""

from hashlib import sha256

from shared import attest, bundle, cbor, channel, cose, errors, firmware, ids, merkle, messages, note, smt, state, statement, types

try:
    from shared import p256  # noqa: F401

    HAS_ES256 = True
except ImportError:
    HAS_ES256 = False

RECORDS = {}
for module in (types, bundle, cose, note, smt, state):
    for name in dir(module):
        if name[0].isupper():
            RECORDS[name] = getattr(module, name)


# --- values


def unwrap(value):
    """The Python value of a wrapped JSON one."""
    if isinstance(value, list):
        return [unwrap(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1 or "map" not in value and next(iter(value)) not in ("hex", "zeros", "tag") and not next(iter(value))[0].isupper():
        return {name: unwrap(value[name]) for name in value}
    name = next(iter(value))
    if name == "hex":
        return bytes.fromhex(value[name])
    if name == "zeros":
        return bytes(value[name])
    if name == "map":
        return {unwrap(pair[0]): unwrap(pair[1]) for pair in value[name]}
    if name == "tag":
        return cbor.Tagged(value[name][0], unwrap(value[name][1]))
    return RECORDS[name](**{field: unwrap(value[name][field]) for field in value[name]})


def same(found, want):
    """Whether a result is what the vector wants: types count, `true` is not 1; a tuple is a list."""
    if want is None or want is True or want is False:
        return found is want
    if isinstance(want, dict):
        return isinstance(found, dict) and len(found) == len(want) and all(key in found and same(found[key], want[key]) for key in want)
    if isinstance(want, (list, tuple)):
        return isinstance(found, (list, tuple)) and len(found) == len(want) and all(same(found[i], want[i]) for i in range(len(want)))
    if isinstance(want, cbor.Tagged):
        return isinstance(found, cbor.Tagged) and found.tag == want.tag and same(found.value, want.value)
    if isinstance(want, int):
        return isinstance(found, int) and found is not True and found is not False and found == want
    return isinstance(found, type(want)) and found == want


# --- operations


def cbor_sizes(given):
    data = given["item"] + bytes(given["zeros"])
    return len(cbor.decode(data, given["limit"]))


def key_encode(key):
    return cose.encode_key_ed25519(key.raw) if key.alg == cose.EDDSA else cose.encode_key_p256(key.raw)


def sign1_decode(given):
    return cose.decode_sign1(given["data"], tuple(given["types"]))


def sign1_encode(signed):
    protected = cose.build_protected(signed.alg, signed.content_type, signed.kid)
    assert cose.sig_structure(protected, signed.payload) == signed.signed
    return {"data": cose.assemble_sign1(protected, signed.payload, signed.signature), "types": [signed.content_type]}


class Unsupported(Exception):
    """This interpreter has no ES256, and the code said so with 202."""


def unless_unsupported(call, *arguments):
    """The result. Raises Unsupported for a 202 where there is no ES256: the case cannot be decided here."""
    try:
        return call(*arguments)
    except errors.VerifyError as error:
        if error.code != 202 or HAS_ES256:
            raise
    raise Unsupported


def verify(given):
    signed = cose.decode_sign1(given["data"], tuple(given["types"]))
    return unless_unsupported(cose.verify_sign1, signed, given["key"])


def rows(given):
    record = statement.open_statement(given["statement"])[1]
    return bundle.check_rows(record, given["salt"], given["rows"], given["registers"])


def open_evidence(data):
    return unless_unsupported(attest.open_evidence, data)[1]


def merkle_root(entries):
    return merkle.root([merkle.leaf_hash(entry) for entry in entries])


def inclusion(given):
    return merkle.verify_inclusion(given["index"], given["size"], given["leaf"], given["path"], given["root"])


def consistency(given):
    return merkle.verify_consistency(given["size1"], given["size2"], given["proof"], given["root1"], given["root2"])


def note_verify(given):
    """Text of the keys that signed."""
    signers = note.verify_note(note.decode_note(given[0]), [note.decode_vkey(vkey) for vkey in given[1]])
    return [note.encode_vkey(key.name, key.raw) for key in signers]


def checkpoint_open(given):
    return note.open_checkpoint(given[0], [note.decode_vkey(vkey) for vkey in given[1]])[0]


def member(given):
    return smt.verify_member(given["root"], given["key"], given["value"], smt.decode_proof(given["proof"]))


def absent(given):
    return smt.verify_absent(given["root"], given["key"], smt.decode_proof(given["proof"]))


def smt_root(pairs):
    """Root of a small state, built as SPEC 10 defines it from the hashes of smt.py."""
    return subtree(sorted([(smt.path_of(key), sha256(value).digest()) for key, value in pairs]), 0)


def subtree(leaves, depth):
    if not leaves:
        return smt.EMPTY
    if len(leaves) == 1:
        return smt.leaf_hash(leaves[0][0], leaves[0][1])
    left = [leaf for leaf in leaves if not smt.bit(leaf[0], depth)]
    right = [leaf for leaf in leaves if smt.bit(leaf[0], depth)]
    return smt.node_hash(subtree(left, depth + 1), subtree(right, depth + 1))


def state_key(parts):
    if len(parts) == 1:
        return getattr(state, parts[0].upper() + "_KEY")
    return getattr(state, parts[0] + "_key")(*parts[1:])


def key_live(given):
    value = None if given["device"] is None else state.decode_device_value(given["device"])
    return state.live_key_at(value, given["kid"], given["height"])


def assigned(given):
    return state.assignment_at(state.decode_device_value(given["device"]), given["channel"], given["time_s"])


OPERATIONS = {
    "cbor": (cbor.decode, cbor.encode),
    "cbor.sizes": (cbor_sizes, None),
    "cbor.encode": (cbor.encode, None),
    "key": (cose.decode_key, key_encode),
    "kid": (cose.kid_of, None),
    "sign1": (sign1_decode, sign1_encode),
    "verify": (verify, None),
    "channel": (channel.decode_table, channel.encode_table),
    "channel.hash": (channel.table_hash, None),
    "statement": (lambda data: statement.open_statement(data)[1], None),
    "statement.identity": (lambda data: statement.open_statement(data)[0].identity, None),
    "statement.encode": (statement.encode_statement, None),
    "reading": (bundle.decode_reading_leaf, lambda parts: bundle.reading_leaf(parts[0], parts[1])),
    "reading.salt": (lambda given: bundle.reading_salt(given[0], given[1]), None),
    "reading.root": (lambda given: bundle.readings_root(given[0], given[1]), None),
    "envelope": (bundle.decode_envelope, None),
    "envelope.build": (lambda given: bundle.encode_envelope(given[0], given[1], given[2]), None),
    "rows": (rows, None),
    "ack": (messages.decode_ack, messages.encode_ack),
    "refusal": (messages.decode_refusal, messages.encode_refusal),
    "challenge": (messages.decode_challenge, messages.encode_challenge),
    "hello": (messages.decode_hello, lambda parts: messages.encode_hello(parts[0], parts[1])),
    "topic": (
        messages.parse_topic,
        lambda parts: messages.topic(ids.encode_id(ids.ORG, parts[0]), ids.encode_id(ids.DEVICE, parts[1]), parts[2]),
    ),
    "evidence": (attest.decode_evidence, attest.encode_evidence),
    "evidence.open": (open_evidence, None),
    "firmware": (lambda given: firmware.firmware_hash([(path, digest) for path, digest in given]), None),
}


OPERATIONS.update(
    {
        "id": (lambda given: [given[0], ids.decode_id(given[0], given[1])], lambda want: [want[0], ids.encode_id(want[0], want[1])]),
        "id.encode": (lambda given: ids.encode_id(given[0], given[1]), None),
        "vkey": (note.decode_vkey, lambda key: note.encode_vkey(key.name, key.raw)),
        "note": (note.decode_note, note.encode_note),
        "note.verify": (note_verify, None),
        "checkpoint": (note.decode_checkpoint, note.encode_checkpoint),
        "checkpoint.open": (checkpoint_open, None),
        "merkle.root": (merkle_root, None),
        "merkle.inclusion": (inclusion, None),
        "merkle.consistency": (consistency, None),
        "smt.root": (smt_root, None),
        "smt.proof": (smt.decode_proof, smt.encode_proof),
        "smt.member": (member, None),
        "smt.absent": (absent, None),
        "state.key": (state_key, None),
        "params": (state.decode_params, state.encode_params),
        "device.value": (state.decode_device_value, state.encode_device_value),
        "batch.value": (state.decode_batch_value, state.encode_batch_value),
        "receipt": (state.decode_receipt, state.encode_receipt),
        "block.leaf": (state.decode_block_leaf, state.encode_block_leaf),
        "app.hash": (merkle_root, None),
        "key.live": (key_live, None),
        "assignment": (assigned, None),
        "batch.counts": (lambda given: state.check_counts(state.decode_batch_value(given["batch"]), given["index"]), None),
    }
)


TEXT_OPERATIONS = ("topic", "vkey", "checkpoint")


def add(name, decode, encode=None):
    """An operation whose code is not in shared/."""
    OPERATIONS[name] = (decode, encode)


# --- running


def check_golden(data):
    """Every case of one file."""
    for case in data["cases"]:
        check_case(case)
    return len(data["cases"])


def check_case(case):
    """One case; AssertionError with its description when it goes wrong."""
    title = case["do"] + ": " + case["desc"] + ": "
    decode, encode = OPERATIONS[case["do"]]
    given = unwrap(case["input"])
    if "error" in case:
        code = code_raised(decode, given)
        assert code == case["error"] or code is Unsupported, title + "raised " + str(code) + ", wanted " + str(case["error"])
        return
    want = unwrap(case["want"])
    raised = code_raised(decode, given)
    if raised is Unsupported:
        return
    assert raised is None, title + "raised " + str(raised)
    found = decode(given)
    assert same(found, want), title + "gave " + repr(found) + ", wanted " + repr(want)
    if encode is not None:
        again = encode(want)
        assert same(again, given), title + "encoded to " + repr(again) + ", wanted " + repr(given)


def code_raised(decode, given):
    """Code of the error raised, `Unsupported`, or None."""
    try:
        decode(given)
    except Unsupported:
        return Unsupported
    except errors.MeterproofError as error:
        return error.code
    return None


def check_outcomes(cases):
    """Differential fuzz: each case is [operation, bytes as hex or text, code raised by the other interpreter or null]."""
    for do, given, code in cases:
        data = given if do in TEXT_OPERATIONS else bytes.fromhex(given)
        found = code_raised(OPERATIONS[do][0], data)
        assert found == code or found is Unsupported, do + " of " + given + ": raised " + str(found) + ", not " + str(code)
    return len(cases)
