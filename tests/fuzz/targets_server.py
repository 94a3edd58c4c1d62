"""The decoders of server/ as targets: transactions, genesis, blocks, tokens, state values, tiles, backup manifests.

In: the golden files. Out: targets. Never a store or a socket.
"""

from dataclasses import fields, is_dataclass

from server.backup import manifest
from server.evidence import tiles
from server.keystore import SigningKey
from server.ledger import blocks, genesis, transactions, values
from server.registry import access
from shared import cbor
from shared.errors import DecodeError, RuleError
from tests.fuzz.target import Target
from tests.fuzz.targets_shared import again_sign1, assemble, text_target
from tests.fuzz.vectors import cases, good
from tests.independent import samples

ACCESS_CHARS_MAX = len(access.SCHEME) + 1 + access.TOKEN_BYTES_MAX


def plain(value: object) -> object:
    """Records and tuples inside a body as lists."""
    if is_dataclass(value):
        return [plain(getattr(value, item.name)) for item in fields(value)]
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def again_tx(tx: transactions.Tx) -> bytes:
    body = dict(enumerate((plain(getattr(tx.body, item.name)) for item in fields(tx.body)), 1))
    return assemble(tx.signed, cbor.encode({1: tx.chain_id, 2: tx.org, 3: tx.nonce, 4: tx.type, 5: body}))


def decode_genesis(data: bytes) -> genesis.Genesis:
    """Its state before the first block can be made, and its parts are those of the bytes."""
    found = genesis.decode_genesis(data)
    assert genesis.genesis_values(found)
    said = cbor.decode(data)
    assert isinstance(said, dict)
    assert [found.org, found.name] == said[3]
    assert plain(found.keys) == said[4]
    assert sorted(power for _, power in found.validators) == sorted(power for _, power in said[5])
    assert plain(found.logs) == said[6]
    return found


def decode_bundle(data: bytes) -> list[bytes]:
    """An entry bundle whose count stands in a byte before it."""
    if not data:
        raise DecodeError(132, "empty")
    return tiles.decode_entries(data[1:], data[0] + 1)


def entry_bundles() -> list[bytes]:
    return [bytes([given["count"] - 1]) + given["data"] for given in cases()["tile.entries"] if given["count"]]


def manifests() -> list[bytes]:
    """Of a backup with the files it must have, and with all there are."""
    key = SigningKey.from_seed(samples.NODE_KEY.seed)
    found = []
    for names, ledger in ((manifest.NEEDED, None), (manifest.BYTES_MAX, good("note")[0])):
        entries = tuple(manifest.FileEntry(name, 256, bytes(32)) for name in sorted(names))
        parts = (samples.CHAIN_ID, samples.ORIGIN, bytes(32), samples.START_S, "0.1.0", 7, good("note")[0], ledger, entries)
        found.append(manifest.build_manifest(manifest.Manifest(*parts), key))
    return found


def targets() -> list[Target]:
    found = [
        Target("manifest", manifest.open_manifest, manifest.MANIFEST_BYTES_MAX, manifests(), lambda opened: again_sign1(opened[0])),
        Target("tx", transactions.decode_tx, transactions.TX_BYTES_MAX, good("tx"), again_tx),
        Target("genesis", decode_genesis, genesis.GENESIS_BYTES_MAX, good("genesis"), lambda found: found.data),
        Target(
            "block",
            blocks.decode_block,
            blocks.BLOCK_BYTES_MAX,
            good("block"),
            lambda found: blocks.encode_block(found.height, found.time_s, found.txs),
        ),
        # What is wrong with a token is nobody's business but its maker's: one RuleError for all (SPEC 11).
        text_target("access", access.decode_token, ACCESS_CHARS_MAX, good("access"), also=(RuleError,)),
        Target(
            "tile.entries",
            decode_bundle,
            1 + tiles.WIDTH * 65537,
            entry_bundles(),
            lambda found: bytes([len(found) - 1]) + tiles.encode_entries(found),
            tree=False,
            copies=2,
        ),
    ]
    for name in ("org", "key", "point", "firmware", "log"):
        found.append(
            Target(
                "value." + name,
                getattr(values, "decode_" + name),
                cbor.LIMIT_BYTES,
                good("value." + name),
                getattr(values, "encode_" + name),
            )
        )
    nonces = [values.encode_nonce(nonce) for nonce in (0, 23, 2**32)]
    validators = [values.encode_validators([(bytes([i]) * 16, i + 1) for i in range(count)]) for count in (1, 3, 100)]
    found.append(Target("value.nonce", values.decode_nonce, cbor.LIMIT_BYTES, nonces, values.encode_nonce))
    found.append(Target("value.validators", values.decode_validators, cbor.LIMIT_BYTES, validators, values.encode_validators))
    return found
