"""The signed list of what a backup holds (SPEC section 13).

In: heads of both logs, files with size and hash, or bytes. Out: bytes signed by the node, or a Manifest. Never names a file that is not in
the table below, so that no name can lead out of a folder; never believed before its signature.
"""

from dataclasses import dataclass

from server.keystore import SigningKey, sign_object
from server.ledger.genesis import Genesis
from server.ledger.history import LedgerHistory
from server.ledger.query import ORIGIN_PREFIX
from shared import cbor, cose, ids, note
from shared.errors import DecodeError

FORMAT = "meterproof/backup/1"
CONTENT_TYPE = "application/vnd.meterproof.backup"
MANIFEST = "manifest"
MANIFEST_BYTES_MAX = 16384
VERSION_BYTES_MAX = 64
STORE_BYTES_MAX = 1 << 44
EVIDENCE, LEDGER, REGISTRY, ENTRIES = "evidence.sqlite", "ledger.sqlite", "registry.sqlite", "evidence.entries"
SETTINGS, GENESIS, POLICY = "meterproof.toml", "genesis.cbor", "policy.toml"
NODE_KEY, VALIDATOR_KEY, ADMIN_KEY = "node.key", "validator.key", "admin.key"
BROKER_PASSWORDS, BROKER_USER_PASSWORD = "broker.passwords", "broker.user-password"  # noqa: S105
NEEDED = {
    EVIDENCE: STORE_BYTES_MAX,
    LEDGER: STORE_BYTES_MAX,
    REGISTRY: STORE_BYTES_MAX,
    ENTRIES: STORE_BYTES_MAX,
    SETTINGS: 16384,
    GENESIS: 65536,
}
SECRETS = {NODE_KEY: 256, VALIDATOR_KEY: 256, ADMIN_KEY: 256, BROKER_PASSWORDS: 16 << 20, BROKER_USER_PASSWORD: 4096}
BYTES_MAX = {**NEEDED, POLICY: 65536, **SECRETS}


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a backup."""

    name: str
    size_bytes: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """`evidence` and `ledger`: signed checkpoints of the two logs where the backup ends; `ledger` is None before the first block."""

    chain_id: str
    origin: str
    genesis_hash: bytes
    made_s: int
    version: str
    height: int
    evidence: bytes
    ledger: bytes | None
    files: tuple[FileEntry, ...]

    @property
    def has_keys(self) -> bool:
        """Whether it can start a node by itself."""
        return NODE_KEY in {entry.name for entry in self.files}


def node_vkeys(genesis: Genesis, origin: str) -> tuple[note.Vkey, note.Vkey]:
    """Keys of the evidence log and of the ledger log. Raises VerifyError 242 if the genesis names no such log."""
    raw = LedgerHistory(genesis).node_key(origin)
    names = (origin, ORIGIN_PREFIX + genesis.chain_id)
    evidence, ledger = (note.Vkey(name, note.key_id_of(name, raw), raw) for name in names)
    return evidence, ledger


def build_manifest(manifest: Manifest, key: SigningKey) -> bytes:
    """The signed bytes."""
    files = [[entry.name, entry.size_bytes, entry.hash] for entry in manifest.files]
    fields = {
        0: FORMAT,
        1: manifest.chain_id,
        2: manifest.origin,
        3: manifest.genesis_hash,
        4: manifest.made_s,
        5: manifest.version,
        6: manifest.height,
        7: manifest.evidence,
        8: manifest.ledger,
        9: files,
    }
    return sign_object(key, CONTENT_TYPE, cbor.encode(fields))


def open_manifest(data: bytes) -> tuple[cose.Signed, Manifest]:
    """The manifest, not yet believed. Raises DecodeError 196."""
    try:
        signed = cose.decode_sign1(data, (CONTENT_TYPE,), MANIFEST_BYTES_MAX)
        return signed, _decode(signed.payload)
    except DecodeError as error:
        raise DecodeError(196, f"backup manifest: {error.text}") from error


def _decode(payload: bytes) -> Manifest:
    fields = cbor.check_map(cbor.decode(payload), tuple(range(10)))
    if fields[0] != FORMAT:
        raise DecodeError(108, "another format")
    files = tuple(_file(item) for item in cbor.check_list(fields[9], len(BYTES_MAX), len(NEEDED)))
    names = [entry.name for entry in files]
    if names != sorted(set(names)) or not NEEDED.keys() <= set(names):
        raise DecodeError(108, "a file is there twice, out of order or missing")
    ledger = fields[8] if fields[8] is None else cbor.check_bytes(fields[8], 1, note.NOTE_BYTES_MAX)
    return Manifest(
        cbor.check_text(fields[1]),
        ids.check_origin(fields[2]),
        cbor.check_bytes(fields[3], 32),
        cbor.check_uint(fields[4]),
        cbor.check_text(fields[5], VERSION_BYTES_MAX),
        cbor.check_uint(fields[6]),
        cbor.check_bytes(fields[7], 1, note.NOTE_BYTES_MAX),
        ledger,
        files,
    )


def _file(item: object) -> FileEntry:
    name, size_bytes, digest = cbor.check_list(item, 3, 3)
    if not isinstance(name, str) or name not in BYTES_MAX:
        raise DecodeError(108, "a file that no backup holds")
    return FileEntry(name, cbor.check_uint(size_bytes, BYTES_MAX[name]), cbor.check_bytes(digest, 32))
