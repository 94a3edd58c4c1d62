"""The decoders of shared/ as targets. In: the golden files. Out: targets. Never a decoder of the backend or of the device alone."""

from collections.abc import Callable

from shared import attest, bundle, cbor, channel, cose, ids, messages, note, smt, statement
from shared.errors import DecodeError, MeterproofError, RuleError
from shared.types import Statement
from shared.verify import evidence, policy, verifier
from tests.fuzz.target import Target
from tests.fuzz.vectors import cases, good
from tests.independent import proof, samples
from tests.independent.signing import sign1
from tests.micropython import checks_golden

CONTENT_TYPES = tuple(getattr(cose, name) for name in dir(cose) if name.startswith("CT_"))
ID_CHARS_MAX = 90


def as_text(data: bytes) -> bytes:
    """A mutation that is text again."""
    return data.decode("utf-8", "ignore").encode()


def text_target(
    name: str,
    decode: Callable[[str], object],
    limit_chars: int,
    seeds: list[bytes],
    again: Callable[[object], str] | None = None,
    also: tuple[type[MeterproofError], ...] = (),
) -> Target:
    """A decoder of text: bytes that are no UTF-8 never reach it, and as text each takes up to four, or eight when a part is copied."""

    def decode_bytes(data: bytes) -> object:
        return decode(cbor.decode_text(data))

    encode = None if again is None else lambda value: again(value).encode()
    return Target(name, decode_bytes, limit_chars, seeds, encode, tree=False, also=also, finish=as_text, copies=9, chars=True)


def assemble(signed: cose.Signed, payload: bytes) -> bytes:
    """A signed object once more, from its parts."""
    return cose.assemble_sign1(cose.build_protected(signed.alg, signed.content_type, signed.kid), payload, signed.signature)


def again_sign1(signed: cose.Signed) -> bytes:
    return assemble(signed, signed.payload)


def again_statement(opened: tuple[cose.Signed, Statement]) -> bytes:
    return assemble(opened[0], statement.encode_statement(opened[1]))


def again_attested(opened: tuple[cose.Signed, object]) -> bytes:
    return assemble(opened[0], attest.encode_evidence(opened[1]))


def rows_only(envelopes: list[bytes]) -> list[bytes]:
    """Without those of gaps and time repairs."""
    return [data for data in envelopes if data[-2:] != b"\xf6\xf6"]


def decode_rows(data: bytes) -> tuple[bundle.Envelope, list[bundle.Reading]]:
    """All of an envelope, with its rows; that they rebuild the root is left out, for no mutation would get past it."""
    envelope = bundle.decode_envelope(data)
    said = statement.open_statement(envelope.statement)[1]
    if said.kind != "readings" or envelope.rows is None:
        raise DecodeError(121, "no rows")
    return envelope, bundle.rows_to_readings(said, envelope.rows)


def again_rows(opened: tuple[bundle.Envelope, list[bundle.Reading]]) -> bytes:
    return bundle.encode_envelope(opened[0].statement, opened[0].salt, opened[1])


def again_note(found: note.Note) -> bytes:
    lines = [f"\u2014 {name} {note.encode_base64(key_id + signature)}\n" for name, key_id, signature in found.signatures]
    return (found.text + "\n" + "".join(lines)).encode()


def decode_any_id(text: str) -> tuple[str, bytes]:
    prefix = text.partition("1")[0]
    return prefix, ids.decode_id(prefix, text)


def sign_again(data: bytes) -> bytes:
    """Attestation evidence, changed and signed anew by the key that most seeds are of."""
    try:
        payload = cbor.decode(data[1:]) if data[:1] == b"\xd2" else None
    except DecodeError:
        return data
    if not isinstance(payload, list) or len(payload) != 4 or not isinstance(payload[2], bytes):
        return data
    return sign1(samples.DEVICE_KEY, "eat", payload[2])


def decode_policy(data: bytes) -> policy.Policy:
    """TOML has many ways to write one thing: what is written from the policy must be the policy."""
    found = policy.decode_policy(data)
    assert policy.decode_policy(policy.encode_policy(found).encode()) == found
    return found


def _codec(do: str, limit_bytes: int) -> Target:
    decode, encode = checks_golden.OPERATIONS[do]
    if do in checks_golden.TEXT_OPERATIONS:
        return text_target(do, decode, limit_bytes, good(do), encode)
    return Target(do, decode, limit_bytes, good(do), encode)


def _smt_proof(data: bytes) -> smt.StateProof:
    return smt.decode_proof(cbor.decode(data))


def targets() -> list[Target]:
    world, trusted = proof.World().file(), policy.decode_policy(proof.policy().encode())
    vkeys = [note.decode_vkey(text.decode()) for text in good("vkey")]
    found = [_codec(do, cbor.LIMIT_BYTES) for do in ("cbor", "params", "device.value", "batch.value", "receipt", "block.leaf")]
    found += [_codec(do, messages.PAYLOAD_BYTES_MAX) for do in ("ack", "refusal", "challenge", "hello")]
    found += [
        _codec("key", 128),
        _codec("reading", bundle.LEAF_BYTES_MAX),
        _codec("channel", channel.TABLE_BYTES_MAX),
        _codec("evidence", attest.EVIDENCE_BYTES_MAX),
        _codec("topic", messages.TOPIC_BYTES_MAX),
        _codec("vkey", note.VKEY_CHARS_MAX),
        _codec("checkpoint", note.NOTE_BYTES_MAX),
        _codec("evidence.file", evidence.FILE_BYTES_MAX),
        Target("sign1", lambda data: cose.decode_sign1(data, CONTENT_TYPES), cbor.LIMIT_BYTES, good("sign1", "data"), again_sign1),
        Target("statement", statement.open_statement, statement.STATEMENT_BYTES_MAX, good("statement"), again_statement),
        Target("envelope", bundle.decode_envelope, bundle.ENVELOPE_BYTES_MAX, good("envelope"), lambda found: cbor.encode(list(found))),
        Target("rows", decode_rows, bundle.ENVELOPE_BYTES_MAX, rows_only(good("envelope")), again_rows),
        Target(
            "smt.proof",
            _smt_proof,
            cbor.LIMIT_BYTES,
            [cbor.encode(value) for value in cases()["smt.proof"]],
            lambda found: cbor.encode(smt.encode_proof(found)),
        ),
        Target("evidence.open", attest.open_evidence, attest.EVIDENCE_BYTES_MAX, good("evidence.open"), again_attested, finish=sign_again),
        Target("note", note.decode_note, note.NOTE_BYTES_MAX, good("note"), again_note, tree=False, finish=as_text),
        Target(
            "checkpoint.open",
            lambda data: note.open_checkpoint(data, vkeys),
            note.NOTE_BYTES_MAX,
            good("checkpoint.open", 0),
            tree=False,
            finish=as_text,
        ),
        text_target("id", decode_any_id, ID_CHARS_MAX, good("id", 1), lambda found: ids.encode_id(*found)),
        Target("policy", decode_policy, policy.POLICY_BYTES_MAX, good("policy"), tree=False, finish=as_text),
        Target("evidence.parts", evidence.open_parts, evidence.FILE_BYTES_MAX, [world]),
        # What is proven is the one file that was made: RuleErrors are among the ways to say no (SPEC 12).
        Target(
            "evidence.verify",
            lambda data: verifier.verify_evidence(data, trusted),
            evidence.FILE_BYTES_MAX,
            [world],
            lambda _: world,
            also=(RuleError,),
        ),
    ]
    return found
