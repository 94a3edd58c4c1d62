"""Any bytes get the same answer from both interpreters: what a decoder of shared/ makes of them, or the code of its error.

In: `[[decoder, hex, answer]…]`, the answers written under CPython. Out: how many were checked. Never random by itself: the bytes come with
the file.
"""

from shared import attest, bundle, cbor, channel, cose, errors, ids, messages, note, smt, state, statement, types


def decode_rows(data):
    """Columns of a bundle of three readings."""
    fields = [bytes(17), 1, None, bytes(32), 1, 0, 50, 3, 1000, 2, bytes(32), bytes(32), None, None]
    return bundle.rows_to_readings(types.Statement("readings", *fields), cbor.decode(data))


def text_of(data):
    return cbor.decode_text(data)


DECODERS = {
    "cbor": cbor.decode,
    "cose": lambda data: cose.decode_sign1(data, (cose.CT_ACK,)),
    "table": channel.decode_table,
    "statement": lambda data: statement.open_statement(data)[1],
    "leaf": bundle.decode_reading_leaf,
    "envelope": bundle.decode_envelope,
    "rows": decode_rows,
    "ack": messages.decode_ack,
    "refusal": messages.decode_refusal,
    "challenge": messages.decode_challenge,
    "hello": messages.decode_hello,
    "topic": lambda data: messages.parse_topic(text_of(data)),
    "evidence": attest.decode_evidence,
    "device": lambda data: ids.decode_id(ids.DEVICE, text_of(data)),
    "note": note.decode_note,
    "vkey": lambda data: note.decode_vkey(text_of(data)),
    "checkpoint": lambda data: note.decode_checkpoint(text_of(data)),
    "proof": lambda data: smt.decode_proof(cbor.decode(data)),
    "params": state.decode_params,
    "device.value": state.decode_device_value,
    "batch.value": state.decode_batch_value,
    "receipt": state.decode_receipt,
    "block.leaf": state.decode_block_leaf,
}


def show(value):
    """A value as text, the same under both: a plain dict has no order there, a named tuple another `repr`."""
    if isinstance(value, cbor.Tagged):
        return "18(" + show(value.value) + ")"
    if isinstance(value, dict):
        return "{" + ",".join(sorted([show(key) + ":" + show(value[key]) for key in value])) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([show(item) for item in value]) + "]"
    if isinstance(value, bytes):
        return "h" + "".join(["%02x" % byte for byte in value])
    if isinstance(value, str):
        return "t" + show(value.encode())
    return str(value)


def answer(decoder, data):
    try:
        return show(DECODERS[decoder](data))
    except errors.DecodeError as error:
        return "error " + str(error.code)


def check_answers(cases):
    for decoder, given, wanted in cases:
        found = answer(decoder, bytes.fromhex(given))
        assert found == wanted, (decoder, given, found, wanted)
    return len(cases)
