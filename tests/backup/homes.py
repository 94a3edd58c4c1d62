"""A whole home on disk, made in this process: 300 statements of two devices, half of them anchored, keys and settings. Contains no test."""

import asyncio
import shutil
from dataclasses import dataclass
from pathlib import Path

from server.backup.make import make_backup
from server.backup.manifest import FileEntry, Manifest, build_manifest, open_manifest
from server.cli.home import settings_text
from server.keystore import SigningKey, sign_object
from server.registry.records import open_registry
from shared import cose, ids, messages, note
from tests.evidence.backend import NODE
from tests.evidence.fleet import ORG, ORIGIN, Device
from tests.evidence.whole import ADMIN, CHAIN, VALIDATOR, open_whole

MADE_S = 1_800_100_000


@dataclass
class Site:
    """`half` and `full`: backups made before and after the second half of the statements; `acks`: an ack after each half."""

    home: Path
    half: Path
    full: Path
    acks: list[bytes]
    evidence_file: bytes
    heads: list[tuple[bytes, bytes]]


def make_site(folder: Path) -> Site:
    home = folder / "home"
    (home / "keys").mkdir(parents=True)
    for name, key in (("node", NODE), ("validator", VALIDATOR), ("admin", ADMIN)):
        key.save(home / "keys" / f"{name}.key")
    settings = settings_text(CHAIN, ids.encode_id(ids.ORG, ORG), ORIGIN, 8321, 1883, None, "refuse")
    (home / "meterproof.toml").write_text(settings)
    (home / "policy.toml").write_text("# for people\n")
    return asyncio.run(_fill(Site(home, folder / "half", folder / "full", [], b"", [])))


async def _fill(site: Site) -> Site:
    first, second = Device("one"), Device("two")
    async with open_registry(site.home / "registry.sqlite"), open_whole(site.home, first, second) as whole:
        for backup in (site.half, site.full):
            await whole.half.send(first, *[first.readings(3) for _ in range(100)])
            await whole.anchor.anchor()
            await whole.half.send(second, *[second.readings(2) for _ in range(50)])
            await until_published(whole)
            site.acks.append(sign_object(NODE, cose.CT_ACK, messages.encode_ack(await whole.half.log.ack_of(second.id))))
            site.heads.append(tuple((site.home / log / "checkpoint").read_bytes() for log in ("evidence-log", "ledger-log")))
            make_backup(site.home, backup, with_keys=True, made_s=MADE_S)
        site.evidence_file = await whole.files.build(first.id, 0)
    return site


async def until_published(whole) -> None:
    """The ledger log is published a moment after its block is committed."""
    async with asyncio.timeout(10):
        while whole.ledger.published_size < whole.ledger.log_size:
            await asyncio.sleep(0.01)


def manifest_of(backup: Path) -> Manifest:
    return open_manifest((backup / "manifest").read_bytes())[1]


def write_manifest(backup: Path, manifest: Manifest, key: SigningKey = NODE) -> None:
    (backup / "manifest").write_bytes(build_manifest(manifest, key))


def relist(backup: Path, **changes: object) -> None:
    """Signs the folder as it now is: what only the node itself could do."""
    from dataclasses import replace
    from hashlib import sha256

    old = manifest_of(backup)
    files = []
    for entry in old.files:
        data = (backup / entry.name).read_bytes()
        files.append(FileEntry(entry.name, len(data), sha256(data).digest()))
    write_manifest(backup, replace(old, **{"files": tuple(files), **changes}))


def copy_of(backup: Path, folder: Path) -> Path:
    return Path(shutil.copytree(backup, folder / "backup"))


def size_of(checkpoint: bytes) -> int:
    return int(note.decode_checkpoint(note.decode_note(checkpoint).text).size)
