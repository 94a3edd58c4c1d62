"""The manifest's bytes as SPEC section 13 has them, read by another CBOR library, and what is refused."""

from hashlib import sha256

import cbor2
import pytest

from server.backup.manifest import FORMAT, build_manifest, open_manifest
from server.keystore import sign_object
from shared import cose
from shared.errors import DecodeError
from tests.backup.homes import MADE_S, Site, manifest_of
from tests.evidence.backend import NODE
from tests.evidence.fleet import ORIGIN
from tests.evidence.whole import CHAIN, genesis

CONTENT_TYPE = "application/vnd.meterproof.backup"


def fields_of(site: Site) -> dict[int, object]:
    protected, unprotected, payload, _ = cbor2.loads((site.half / "manifest").read_bytes()).value
    assert unprotected == {} and cbor2.loads(protected) == {1: -8, 3: CONTENT_TYPE, 4: NODE.kid}
    return dict(cbor2.loads(payload))


def signed(fields: object) -> bytes:
    return sign_object(NODE, CONTENT_TYPE, cbor2.dumps(fields, canonical=True))


def test_what_a_manifest_says(site: Site) -> None:
    fields = fields_of(site)
    evidence, ledger = site.heads[0]
    head = [FORMAT, CHAIN, ORIGIN, sha256(genesis()).digest(), MADE_S]
    assert [fields[key] for key in range(5)] == head and [fields[7], fields[8]] == [evidence, ledger]
    assert fields[9] == [
        [path.name, path.stat().st_size, sha256(path.read_bytes()).digest()]
        for path in sorted(site.half.iterdir())
        if path.name != "manifest"
    ]
    assert set(fields) == set(range(10)) and isinstance(fields[5], str) and isinstance(fields[6], int)


def test_it_is_read_as_it_was_built(site: Site) -> None:
    manifest = manifest_of(site.half)
    data, opened = open_manifest(build_manifest(manifest, NODE))
    cose.verify_sign1(data, NODE.cose_key)
    assert opened == manifest and opened.has_keys


CHANGES = {
    "format": {0: "meterproof/backup/2"},
    "chain id is a number": {1: 1},
    "no origin": {2: "two words"},
    "short hash": {3: bytes(31)},
    "negative time": {4: -1},
    "true for a time": {4: True},
    "time beyond": {4: 1 << 63},
    "long version": {5: "x" * 65},
    "height is text": {6: "1"},
    "no checkpoint": {7: None},
    "empty checkpoint": {7: b""},
    "long checkpoint": {8: bytes(4097)},
    "files are none": {9: []},
    "a file too many": {9: [["node.key", 1, bytes(32)]] * 12},
    "unknown field": {10: 0},
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_field_that_is_wrong(site: Site, change: dict[int, object]) -> None:
    assert open_manifest(signed(fields_of(site)))
    with pytest.raises(DecodeError, match="196"):
        open_manifest(signed(fields_of(site) | change))


@pytest.mark.parametrize("key", range(10))
def test_a_field_that_is_missing(site: Site, key: int) -> None:
    fields = fields_of(site)
    del fields[key]
    with pytest.raises(DecodeError, match="196"):
        open_manifest(signed(fields))


FILE_CHANGES = {
    "out of order": lambda files: [files[1], files[0], *files[2:]],
    "twice": lambda files: [files[0], *files],
    "one that is needed is missing": lambda files: [entry for entry in files if entry[0] != "evidence.entries"],
    "a name of bytes": lambda files: [[files[0][0].encode(), *files[0][1:]], *files[1:]],
    "a size below zero": lambda files: [[files[0][0], -1, files[0][2]], *files[1:]],
    "true for a size": lambda files: [[files[0][0], True, files[0][2]], *files[1:]],
    "a short hash": lambda files: [[files[0][0], 1, bytes(31)], *files[1:]],
    "a fourth item": lambda files: [[*files[0], 0], *files[1:]],
    "no list": lambda files: files[0][0],
}


@pytest.mark.parametrize("change", FILE_CHANGES.values(), ids=FILE_CHANGES.keys())
def test_a_list_of_files_that_is_wrong(site: Site, change) -> None:
    fields = fields_of(site)
    with pytest.raises(DecodeError, match="196"):
        open_manifest(signed(fields | {9: change(fields[9])}))


def test_signed_things_of_another_kind(site: Site) -> None:
    for data in (site.acks[0], sign_object(NODE, cose.CT_TX, b""), signed([1]), signed("x"), b"\xd2", b"\xff" * 9):
        with pytest.raises(DecodeError, match="196"):
            open_manifest(data)
