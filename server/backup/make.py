"""Makes a backup of a home, whether its backend runs or not (SPEC section 13).

In: a home, a path where nothing is. Out: a folder with databases of one instant, the log's entries, settings and a signed manifest. Never
takes private keys unless told to, never makes a backup that its own log does not bear out, never changes the home.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from server.config import Config, load_config
from server.evidence.tile_files import encode_entries
from server.evidence.tiles import WIDTH, TileReader
from server.home import check_agreed, read_genesis
from server.keystore import SigningKey
from server.ledger.file import LedgerReader
from server.ledger.genesis import Genesis
from shared import merkle, note
from shared.errors import VerifyError

from . import manifest as names
from .folders import listed, new_folder, read_plain, write_new
from .manifest import BYTES_MAX, MANIFEST, FileEntry, Manifest, build_manifest, node_vkeys
from .snapshot import Instant, open_instant

ROUND = 4096


@dataclass(frozen=True, slots=True)
class Made:
    """What is in a backup that was just made; `left_out`: secrets that the node needs and that lie elsewhere."""

    manifest: Manifest
    evidence_size: int
    ledger_size: int
    size_bytes: int
    left_out: tuple[str, ...]


def make_backup(home: Path, out: Path, with_keys: bool, made_s: int) -> Made:
    """Raises RuleError 302, 303, VerifyError 270, 271, 273, Unavailable 400 and what settings and keys raise; then nothing is there."""
    config = load_config(home)
    check_agreed(config.home)
    node, validator = (SigningKey.load(config.key_path(name)) for name in ("node", "validator"))
    genesis = read_genesis(config, node, validator)
    secrets = _secrets(config)
    with new_folder(out) as folder:
        with open_instant(config.home) as instant:
            _check_heads(instant, genesis, config.origin)
            for name in (names.EVIDENCE, names.LEDGER, names.REGISTRY):
                instant.copy(name, folder / name)
        files = [listed(folder / name) for name in (names.EVIDENCE, names.LEDGER, names.REGISTRY)]
        files.append(_copy_entries(config.home / "evidence-log", folder / names.ENTRIES, instant))
        _check_ledger(folder / names.LEDGER, instant)
        files += [write_new(folder / names.GENESIS, [genesis.data]), _copy(config.home / names.SETTINGS, folder / names.SETTINGS)]
        if config.policy_path.exists():
            files.append(_copy(config.policy_path, folder / names.POLICY))
        if with_keys:
            files += [_copy(path, folder / name) for name, path in secrets.items() if _is_inside(path, config.home) and path.exists()]
        made = Manifest(
            config.chain_id,
            config.origin,
            genesis.hash,
            made_s,
            metadata.version("meterproof"),
            instant.height,
            instant.evidence.checkpoint,
            instant.ledger_checkpoint,
            tuple(sorted(files, key=lambda entry: entry.name)),
        )
        write_new(folder / MANIFEST, [build_manifest(made, node)])
    kept = {entry.name for entry in made.files}
    left_out = tuple(str(path) for name, path in secrets.items() if name not in kept and path.exists())
    return Made(made, instant.evidence.size, instant.ledger_size, sum(entry.size_bytes for entry in files), left_out)


def _secrets(config: Config) -> dict[str, Path]:
    """Names in a backup → where the node has them."""
    found: dict[str, Path | None] = {
        names.NODE_KEY: config.key_path("node"),
        names.VALIDATOR_KEY: config.key_path("validator"),
        names.ADMIN_KEY: config.key_path("admin"),
        names.BROKER_PASSWORDS: config.broker_password_file,
        names.BROKER_USER_PASSWORD: config.broker_user_password_file,
    }
    return {name: path for name, path in found.items() if path is not None}


def _is_inside(path: Path, home: Path) -> bool:
    return path.resolve().is_relative_to(home.resolve())


def _copy(source: Path, target: Path) -> FileEntry:
    return write_new(target, read_plain(source, BYTES_MAX[target.name]))


def _check_heads(instant: Instant, genesis: Genesis, origin: str) -> None:
    """Both heads must be what the node signed: a damaged home is repaired first, not copied. Raises VerifyError 270, 271, 201, 240, 242."""
    evidence_vkey, ledger_vkey = node_vkeys(genesis, origin)
    head, _ = note.open_checkpoint(instant.evidence.checkpoint, [evidence_vkey])
    stored = instant.evidence
    if (head.origin, head.size, head.root) != (origin, stored.size, stored.root) or stored.origin != origin:
        raise VerifyError(270, "the evidence log's head is not what its checkpoint says; see `meterproof fsck`")
    if instant.genesis != genesis.data:
        raise VerifyError(242, "the ledger was begun with another genesis than genesis.cbor")
    if instant.ledger_checkpoint is not None:
        signed, _ = note.open_checkpoint(instant.ledger_checkpoint, [ledger_vkey])
        if (signed.origin, signed.size, signed.root) != (ledger_vkey.name, instant.ledger_size, instant.app_hash):
            raise VerifyError(271, "the ledger's head is not what its checkpoint says; see `meterproof fsck`")


def _copy_entries(directory: Path, target: Path, instant: Instant) -> FileEntry:
    """All statements in order, as in entry bundles but in one file. Raises VerifyError 270 if they do not make the signed root."""
    reader = TileReader(directory, instant.evidence.size)
    frontier = merkle.Frontier()

    def chunks() -> Iterator[bytes]:
        for number in range((reader.size + WIDTH - 1) // WIDTH):
            bundle = reader.bundle(number)
            _grow(frontier, bundle)
            reader.forget()
            yield encode_entries(bundle)

    entry = write_new(target, chunks())
    if frontier.root() != instant.evidence.root:
        raise VerifyError(270, "the tiles do not make the root that this node signed; see `meterproof fsck`")
    return entry


def _check_ledger(path: Path, instant: Instant) -> None:
    """Raises VerifyError 271 if the ledger's entries do not make its app hash."""
    reader, frontier = LedgerReader(path), merkle.Frontier()
    try:
        for low in range(0, instant.ledger_size, ROUND):
            _grow(frontier, reader.entries(low, min(low + ROUND, instant.ledger_size)))
    finally:
        reader.close()
    if (frontier.size, frontier.root()) != (instant.ledger_size, instant.app_hash):
        raise VerifyError(271, "the ledger's entries do not make its app hash; see `meterproof fsck`")


def _grow(frontier: merkle.Frontier, entries: Iterable[bytes]) -> None:
    for entry in entries:
        frontier.append(merkle.leaf_hash(entry))
