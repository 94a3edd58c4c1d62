"""The policy: whom the verifier trusts. It is the verifier's own and never comes out of an evidence file (SPEC.md section 12).

In: TOML text. Out: a Policy, or DecodeError 141. Never falls back to a weaker rule: an unknown, missing or doubtful setting is an error.
"""

import re
import tomllib
from typing import NamedTuple

from .. import note
from ..errors import DecodeError

FORMAT = "meterproof/policy/1"
POLICY_BYTES_MAX = 16384
# Outside strings and comments. TOML's keys nest without end, and the time for dotted ones grows with the square of their length.
STRUCTURE_BYTES_MAX = 1024
_STRINGS_AND_COMMENTS = re.compile(rb'"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*')
NODES_MAX = 16  # signature lines of a checkpoint, SPEC.md section 5
_CHAIN_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789-"


class Policy(NamedTuple):
    """The chain, the hash of its genesis, the ledger nodes trusted to sign its checkpoints, and how many of them must have signed."""

    chain_id: str
    genesis: bytes
    nodes: list[note.Vkey]
    need: int


def decode_policy(data: bytes) -> Policy:
    """The policy in a TOML file. Raises DecodeError 141."""
    if len(data) > POLICY_BYTES_MAX:
        raise DecodeError(141, f"policy: longer than {POLICY_BYTES_MAX} bytes")
    if b'"""' in data or b"'''" in data or len(_STRINGS_AND_COMMENTS.sub(b"", data)) > STRUCTURE_BYTES_MAX:
        raise DecodeError(141, f"policy: strings of several lines, or more than {STRUCTURE_BYTES_MAX} bytes beside strings and comments")
    try:
        fields = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:  # beside TOMLDecodeError: not UTF-8, a number of 4,300 digits, nested too deep
        raise DecodeError(141, f"policy: not TOML: {error}") from error
    if fields.get("format") != FORMAT:
        raise DecodeError(141, f'policy: format is not "{FORMAT}"')
    _check_names(fields, ("format", "chain_id", "genesis", "node"), ("need",), "")
    nodes = _nodes(fields["node"])
    return Policy(_chain_id(fields["chain_id"]), _genesis(fields["genesis"]), nodes, _need(fields.get("need", 1), len(nodes)))


def encode_policy(policy: Policy) -> str:
    """TOML of a policy, to be kept apart from evidence files."""
    lines = [
        "# Whom I trust when I verify evidence files. Compare the genesis and the keys with what their owners publish elsewhere.",
        f'format = "{FORMAT}"',
        f'chain_id = "{policy.chain_id}"',
        f'genesis = "{policy.genesis.hex()}"',
        f"need = {policy.need}",
    ]
    for vkey in policy.nodes:
        lines += ["", "[[node]]", f'vkey = "{note.encode_vkey(vkey.name, vkey.raw)}"']
    return "\n".join(lines) + "\n"


def _check_names(fields: dict[str, object], required: tuple[str, ...], optional: tuple[str, ...], where: str) -> None:
    for name in required:
        if name not in fields:
            raise DecodeError(141, f"policy: {where}{name} is missing")
    for name in fields:
        if name not in required and name not in optional:
            hint = " (it stands inside [[node]]: put it above the first one)" if where and name == "need" else ""
            raise DecodeError(141, f"policy: {where}{name} is unknown{hint}")


def _chain_id(value: object) -> str:
    if not isinstance(value, str) or not 3 <= len(value) <= 40 or any(letter not in _CHAIN_ID_LETTERS for letter in value):
        raise DecodeError(141, "policy: chain_id is not 3 to 40 of a-z, 0-9 and -")
    return value


def _genesis(value: object) -> bytes:
    if not isinstance(value, str) or len(value) != 64 or any(letter not in "0123456789abcdef" for letter in value):
        raise DecodeError(141, "policy: genesis is not a SHA-256 in 64 lower-case hexadecimal digits")
    return bytes.fromhex(value)


def _need(value: object, nodes: int) -> int:
    if type(value) is not int or not 1 <= value <= nodes:
        raise DecodeError(141, f"policy: need is not a number from 1 to {nodes}, the nodes named")
    return value


def _nodes(value: object) -> list[note.Vkey]:
    if not isinstance(value, list) or not 1 <= len(value) <= NODES_MAX:
        raise DecodeError(141, f"policy: needs 1 to {NODES_MAX} tables [[node]]")
    nodes = [_node(fields) for fields in value]
    # One key under two names would satisfy `need = 2` alone.
    if len({vkey.raw for vkey in nodes}) != len(nodes):
        raise DecodeError(141, "policy: two nodes have the same key")
    return nodes


def _node(fields: object) -> note.Vkey:
    if not isinstance(fields, dict):
        raise DecodeError(141, "policy: node is not a table: write [[node]]")
    _check_names(fields, ("vkey",), (), "node.")
    if not isinstance(fields["vkey"], str):
        raise DecodeError(141, "policy: node.vkey is not a text")
    try:
        return note.decode_vkey(fields["vkey"])
    except DecodeError as error:
        raise DecodeError(141, f"policy: node.vkey: {error.text}") from error
