"""The evidence file (SPEC.md section 12): one file that proves one reading.

In: its parts, or bytes. Out: bytes, or its parts with every inner value still as bytes. Never checks a proof (that is `verifier`),
never accepts a second encoding of the same file: the CBOR profile leaves none, and no field is optional.
"""

from typing import NamedTuple

from .. import bundle, cbor, channel, cose, note, smt, state, statement, types
from ..errors import DecodeError, VerifyError

FORMAT = "meterproof/evidence/1"
FILE_BYTES_MAX = 65536
PATH_MAX = 64
CHECKPOINT_BYTES_MAX = 4096
ORIGIN_BYTES_MAX = 256
STATEMENT_BYTES_MAX = 2048
LEAF_BYTES_MAX = 1024


class EvidenceFile(NamedTuple):
    """Parts by key of the file. Paths run from leaf to root; `device_value` is None when the proof shows that there is no such device."""

    leaf: bytes
    place: int
    path: list[bytes]
    statement: bytes
    log_index: int
    log_path: list[bytes]
    origin: str
    batch_number: int
    batch_value: bytes
    batch_proof: smt.StateProof
    device_value: bytes | None
    device_proof: smt.StateProof
    channel_table: bytes
    block_leaf: bytes
    block_path: list[bytes]
    params: bytes
    checkpoint: bytes


class Opened(NamedTuple):
    """The file's parts, decoded but not yet believed."""

    file: EvidenceFile
    signed: cose.Signed
    statement: types.Statement
    reading: types.Reading
    batch: state.BatchValue
    device: state.DeviceValue | None
    table: types.ChannelTable
    block: state.BlockLeaf
    params: state.Params
    checkpoint: note.Checkpoint


def encode_evidence_file(parts: EvidenceFile) -> bytes:
    """The file. Raises DecodeError 140 if it would be longer than allowed."""
    data = cbor.encode(
        {
            0: FORMAT,
            1: parts.leaf,
            2: [parts.place, parts.path],
            3: parts.statement,
            4: [parts.log_index, parts.log_path],
            5: [parts.origin, parts.batch_number, parts.batch_value, smt.encode_proof(parts.batch_proof)],
            6: [parts.device_value, smt.encode_proof(parts.device_proof)],
            7: parts.channel_table,
            8: [parts.block_leaf, parts.block_path],
            9: parts.params,
            10: parts.checkpoint.decode(),
        }
    )
    if len(data) > FILE_BYTES_MAX:
        raise DecodeError(140, "evidence file would be too long")
    return data


def decode_evidence_file(data: bytes) -> EvidenceFile:
    """The parts. Raises DecodeError: 1xx of the CBOR profile, 140 for another format or shape."""
    fields = cbor.decode(data, FILE_BYTES_MAX)
    if not isinstance(fields, dict) or fields.get(0) != FORMAT:
        raise DecodeError(140, "not an evidence file of format " + FORMAT)
    try:
        return _read(cbor.check_map(fields, tuple(range(11))))
    except DecodeError as error:
        raise DecodeError(140, error.text) from error


def _read(fields: dict[int, object]) -> EvidenceFile:
    place, path = _items(fields[2], 2)
    log_index, log_path = _items(fields[4], 2)
    origin, number, batch_value, batch_proof = _items(fields[5], 4)
    device_value, device_proof = _items(fields[6], 2)
    block_leaf, block_path = _items(fields[8], 2)
    return EvidenceFile(
        leaf=cbor.check_bytes(fields[1], 1, LEAF_BYTES_MAX),
        place=cbor.check_uint(place, 1023),
        path=_path(path),
        statement=cbor.check_bytes(fields[3], 1, STATEMENT_BYTES_MAX),
        log_index=cbor.check_uint(log_index),
        log_path=_path(log_path),
        origin=cbor.check_text(origin, ORIGIN_BYTES_MAX),
        batch_number=cbor.check_uint(number),
        batch_value=cbor.check_bytes(batch_value, 1, FILE_BYTES_MAX),
        batch_proof=smt.decode_proof(batch_proof),
        device_value=None if device_value is None else cbor.check_bytes(device_value, 1, FILE_BYTES_MAX),
        device_proof=smt.decode_proof(device_proof),
        channel_table=cbor.check_bytes(fields[7], 1, STATEMENT_BYTES_MAX),
        block_leaf=cbor.check_bytes(block_leaf, 1, LEAF_BYTES_MAX),
        block_path=_path(block_path),
        params=cbor.check_bytes(fields[9], 1, LEAF_BYTES_MAX),
        checkpoint=cbor.check_text(fields[10], CHECKPOINT_BYTES_MAX).encode(),
    )


def open_parts(data: bytes) -> Opened:
    """Decodes the file and everything in it. Raises DecodeError 1xx."""
    file = decode_evidence_file(data)
    signed, said = statement.open_statement(file.statement)
    if said.kind != "readings":
        raise VerifyError(231, "the statement carries no readings")
    _, reading = bundle.decode_reading_leaf(file.leaf)
    return Opened(
        file=file,
        signed=signed,
        statement=said,
        reading=reading,
        batch=state.decode_batch_value(file.batch_value),
        device=None if file.device_value is None else state.decode_device_value(file.device_value),
        table=channel.decode_table(file.channel_table),
        block=state.decode_block_leaf(file.block_leaf),
        params=state.decode_params(file.params),
        checkpoint=note.decode_checkpoint(note.decode_note(file.checkpoint).text),
    )


def _items(value: object, count: int) -> list[object]:
    return cbor.check_list(value, count, count)


def _path(value: object) -> list[bytes]:
    return [cbor.check_bytes(step, 32) for step in cbor.check_list(value, PATH_MAX)]
