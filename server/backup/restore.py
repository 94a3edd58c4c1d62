"""Makes a home from a backup (SPEC section 13).

In: a backup, a path where nothing is. Out: a home whose logs were built again from their entries, marked so that it signs nothing until its
heads are agreed. Never writes before every byte of the backup was checked, never overwrites, never takes a name from the backup as a path.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from server.config import load_config
from server.evidence.rows import Head
from server.evidence.tile_files import make_directory
from server.evidence.tiles import TileWriter, write_file
from server.home import mark_restored, read_genesis
from server.keystore import SigningKey
from server.ledger.file import LedgerReader
from server.ledger.genesis import Genesis, decode_genesis
from server.ledger.publish import TilePublisher
from shared import cose, note
from shared.errors import Unavailable, VerifyError

from . import manifest as names
from .folders import check_free, new_folder, read_listed, read_plain, storage_errors, write_new
from .manifest import MANIFEST, MANIFEST_BYTES_MAX, FileEntry, Manifest, node_vkeys, open_manifest
from .snapshot import check_stores

ROUND = 4096
LENGTH_BYTES = 2


@dataclass(frozen=True, slots=True)
class Opened:
    """A backup whose every byte was checked."""

    folder: Path
    manifest: Manifest
    genesis: Genesis
    evidence: note.Checkpoint
    ledger: note.Checkpoint | None
    files: dict[str, FileEntry]

    def read(self, name: str) -> Iterator[bytes]:
        """The chunks of a file, checked once more."""
        return read_listed(self.folder, self.files[name])


def open_backup(folder: Path, genesis_hash: bytes | None = None) -> Opened:
    """Checks all of it. Raises DecodeError 181, 196, VerifyError 201, 240, 242, 275. `genesis_hash`: the one the caller expects."""
    signed, manifest = open_manifest(b"".join(read_plain(folder / MANIFEST, MANIFEST_BYTES_MAX)))
    files = {entry.name: entry for entry in manifest.files}
    genesis = decode_genesis(b"".join(read_listed(folder, files[names.GENESIS])))
    if genesis.hash != manifest.genesis_hash or genesis.chain_id != manifest.chain_id or genesis_hash not in (None, genesis.hash):
        raise VerifyError(242, f"the backup is of the chain with genesis {genesis.hash.hex()}")
    evidence_vkey, ledger_vkey = node_vkeys(genesis, manifest.origin)
    cose.verify_sign1(signed, cose.encode_key_ed25519(evidence_vkey.raw))
    evidence = _signed_head(manifest.evidence, evidence_vkey)
    ledger = None if manifest.ledger is None else _signed_head(manifest.ledger, ledger_vkey)
    opened = Opened(folder, manifest, genesis, evidence, ledger, files)
    for name in files:
        for _ in opened.read(name):
            pass
    return opened


def _signed_head(data: bytes, vkey: note.Vkey) -> note.Checkpoint:
    head, _ = note.open_checkpoint(data, [vkey])
    if head.origin != vkey.name:
        raise VerifyError(275, "the manifest names the head of another log")
    return head


def restore_backup(opened: Opened, home: Path) -> None:
    """Raises RuleError 302, 303, Unavailable 400, DecodeError 195, VerifyError 270, 271, 275; then nothing is there."""
    with storage_errors():
        check_free(home.absolute())
        _check_room(opened, home.absolute().parent)
    with new_folder(home) as folder:
        for name in (names.EVIDENCE, names.LEDGER, names.REGISTRY, names.SETTINGS, names.GENESIS, names.POLICY):
            if name in opened.files:
                write_new(folder / name, opened.read(name))
        _place_secrets(opened, folder)
        evidence = Head(opened.evidence.origin, opened.evidence.size, opened.evidence.root, opened.manifest.evidence)
        check_stores(folder, evidence, opened.manifest.height, opened.manifest.ledger)
        _build_evidence_log(opened, folder / "evidence-log")
        _build_ledger_log(opened, folder)
        ends = f"evidence log {opened.evidence.size}, ledger log {0 if opened.ledger is None else opened.ledger.size}"
        mark_restored(folder, ends, opened.manifest.made_s)


def _check_room(opened: Opened, parent: Path) -> None:
    """Raises Unavailable 400 before anything is written."""
    needed = sum(entry.size_bytes for entry in opened.manifest.files) + opened.files[names.ENTRIES].size_bytes
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise Unavailable(400, f"{needed} bytes are needed, {free} are free")


def _place_secrets(opened: Opened, folder: Path) -> None:
    """Keys and passwords, if the backup has them, where its settings say; settings, keys and genesis must fit each other."""
    config = load_config(folder)
    if (config.chain_id, config.origin) != (opened.manifest.chain_id, opened.manifest.origin):
        raise VerifyError(275, "the settings are of another chain or log than the manifest")
    places = {
        names.NODE_KEY: config.key_path("node"),
        names.VALIDATOR_KEY: config.key_path("validator"),
        names.ADMIN_KEY: config.key_path("admin"),
        names.BROKER_PASSWORDS: config.broker_password_file,
        names.BROKER_USER_PASSWORD: config.broker_user_password_file,
    }
    (folder / "keys").mkdir(mode=0o700)
    for name, place in places.items():
        if name not in opened.files:
            continue
        if place is None or ".." in place.parts or not place.is_relative_to(folder):
            raise VerifyError(275, f"the settings want {name} outside the home")
        make_directory(place.parent)
        write_new(place, opened.read(name))
    if opened.manifest.has_keys:
        read_genesis(config, SigningKey.load(config.key_path("node")), SigningKey.load(config.key_path("validator")))


def _build_evidence_log(opened: Opened, directory: Path) -> None:
    """Tiles from the entries, by the code that makes them live. Raises VerifyError 270 if they do not lead to the signed root."""
    tiles = TileWriter(directory)
    for entries in _rounds(opened.read(names.ENTRIES)):
        tiles.append(entries)
        tiles.tidy()
    if (tiles.size, tiles.root()) != (opened.evidence.size, opened.evidence.root):
        raise VerifyError(270, "the entries do not make the root that the node signed")
    write_file(directory / "checkpoint", opened.manifest.evidence)


def _rounds(chunks: Iterator[bytes]) -> Iterator[list[bytes]]:
    """Entries, each after its length as big-endian uint16, some thousand at a time. Raises VerifyError 275 if the last one is torn."""
    entries: list[bytes] = []
    rest = b""
    for chunk in chunks:
        data, at = rest + chunk, 0
        while (start := at + LENGTH_BYTES) <= len(data) and (end := start + int.from_bytes(data[at:start], "big")) <= len(data):
            entries.append(data[start:end])
            at = end
            if len(entries) == ROUND:
                yield entries
                entries = []
        rest = data[at:]
    if rest:
        raise VerifyError(275, "the entries end early")
    yield entries


def _build_ledger_log(opened: Opened, folder: Path) -> None:
    """The published ledger log from the ledger's own entries. Raises VerifyError 271 if they do not lead to the signed checkpoint."""
    if opened.ledger is None or opened.manifest.ledger is None:
        return
    publisher, reader = TilePublisher(folder / "ledger-log"), LedgerReader(folder / names.LEDGER)
    try:
        for low in range(0, opened.ledger.size, ROUND):
            publisher.append(reader.entries(low, min(low + ROUND, opened.ledger.size)))
    finally:
        reader.close()
    publisher.publish(opened.manifest.ledger)
