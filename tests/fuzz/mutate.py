"""Makes inputs that are nearly right: of bytes, of text and of the tree that CBOR is.

In: an input, other good ones to take parts from, a seeded generator. Out: another input. Never says whether a decoder should take it.
"""

import copy
import random
from collections.abc import Callable, Sequence

from tests.fuzz.tree import MAP, Node, NotATree, nodes_of, read_tree, write_tree
from tests.independent.cbor_out import cbor

STRANGE_BYTES = bytes((0x00, 0x01, 0x17, 0x18, 0x1B, 0x20, 0x38, 0x40, 0x5B, 0x5F, 0x60, 0x7F, 0x80, 0x9B, 0x9F, 0xA0, 0xBF))
STRANGE_BYTES += bytes((0xC0, 0xD2, 0xD8, 0xE0, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFB, 0xFF))
STRANGE_VALUES: tuple[object, ...] = (0, 1, -1, 23, 24, 255, 256, 2**16, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
STRANGE_VALUES += (-(2**63), -(2**63) - 1, -(2**64), True, False, None, "", "a", "ü", "\x00", "a\nb", "a" * 300, b"", b"\x01", bytes(16))
STRANGE_VALUES += (bytes(17), b"\x01" * 17, bytes(31), bytes(32), bytes(33), bytes(64), [], [0], [None], [[]], {}, {1: 1}, {"a": b""})
LENGTHS = (0, 1, 23, 24, 255, 256, 65535, 65536, 2**24, 2**31 - 1, 2**32, 2**63 - 1, 2**64 - 1)
# Heads that promise more than there is: strings, lists and maps of up to 2**64 - 1.
BOMBS = tuple(bytes([major << 5 | 27]) + b"\xff" * 8 for major in (2, 3, 4, 5)) + (
    b"\x9a\x00\x0f\xff\xff",
    b"\xba\x00\x0f\xff\xff",
    b"\x5a\x7f\xff\xff\xff",
)
TOKENS = (
    b"\n",
    b"\n\n",
    b" ",
    b"\x00",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xe2\x80\x94",
    b"+",
    b"/",
    b"=",
    b"==",
    b"-",
    b"0",
    b"99999999999999999999",
)
TOKENS += (
    b'"',
    b"[",
    b"]",
    b"{",
    b"}",
    b"[[node]]\n",
    b"#",
    b".",
    b",",
    b"'",
    b"\\u",
    b"\xff",
    b"\xff\xff",
    b"\x00\x00",
    b"\x80\x80\x80\x80\x01",
)


class Mutator:
    """Changes inputs of one decoder. `tree`: they are CBOR. `finish` is done last to what was changed, as signing it anew."""

    def __init__(self, seeds: Sequence[bytes], tree: bool, finish: Callable[[bytes], bytes] | None = None) -> None:
        self._seeds = list(seeds) or [b""]
        self._tree = tree
        self._finish = finish
        self._parts = [node for seed in self._seeds for node in _nodes_or_none(seed)] if tree else []

    def seed(self, chance: random.Random) -> bytes:
        """One of the good inputs."""
        return chance.choice(self._seeds)

    def change(self, data: bytes, chance: random.Random) -> bytes:
        """One to three changes."""
        for _ in range(chance.choice((1, 1, 1, 2, 3))):
            change = self._change_tree if self._tree and chance.random() < 0.7 else self._change_bytes
            data = change(data, chance)
        if self._finish is not None and chance.random() < 0.8:
            data = self._finish(data)
        return data

    # --- bytes

    def _change_bytes(self, given: bytes, chance: random.Random) -> bytes:
        data = bytearray(given)
        at = chance.randrange(len(data) + 1)
        kind = chance.randrange(10)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif kind == 1 and at < len(data):
            data[at] = chance.choice(STRANGE_BYTES)
        elif kind == 2 and at < len(data):
            data[at] = chance.randrange(256)
        elif kind == 3:
            data[at:at] = chance.choice(TOKENS)
        elif kind == 4:
            del data[at : at + chance.choice((1, 1, 2, 4, 9))]
        elif kind == 5:
            del data[at:]
        elif kind == 6:
            data[at:at] = data[at : at + chance.randrange(1, 40)] * chance.choice((1, 1, 2, 9))
        elif kind == 7:
            other = self.seed(chance)
            start = chance.randrange(len(other) + 1)
            data[at:] = other[start:]
        elif kind == 8:
            data[at : at + chance.choice((0, 1, 5, 9))] = chance.choice(BOMBS)
        else:
            data[at:at] = bytes(chance.randrange(256) for _ in range(chance.choice((1, 2, 4, 8))))
        return bytes(data)

    # --- trees

    def _change_tree(self, data: bytes, chance: random.Random) -> bytes:
        try:
            root = read_tree(data)
        except NotATree:
            return self._change_bytes(data, chance)
        node = chance.choice(nodes_of(root))
        kind = chance.randrange(10)
        if kind <= 1:
            _become(node, read_tree(cbor(chance.choice(STRANGE_VALUES))))
        elif kind == 2 and self._parts:
            _become(node, copy.deepcopy(chance.choice(self._parts)))
        elif kind == 3:
            node.width = chance.choice((1, 2, 4, 8)) if node.major != 7 else 1
        elif kind == 4:
            node.claim = chance.choice(LENGTHS)
        elif kind == 5:
            _nest(node, chance.choice((1, 1, 2, 15, 16, 17, 20)))
        elif node.items and node.major in (4, MAP):
            _rearrange(node, kind, chance)
        elif node.major in (0, 1):
            node.number = max(0, min(node.number + chance.choice((-256, -2, -1, 1, 2, 256)), 2**64 - 1))
            node.width = None
        elif node.items is None and node.major in (2, 3):
            node.data = self._change_bytes(node.data, chance)
        return write_tree(root)


def _nodes_or_none(data: bytes) -> list[Node]:
    try:
        return nodes_of(read_tree(data))[:60]
    except NotATree:
        return []


def _become(node: Node, other: Node) -> None:
    for name in Node.__slots__:
        setattr(node, name, getattr(other, name))


def _nest(node: Node, times: int) -> None:
    for _ in range(times):
        inner = copy.copy(node)
        _become(node, Node(4, 1, items=[inner]))


def _rearrange(node: Node, kind: int, chance: random.Random) -> None:
    """Drops, doubles or exchanges an item; of a map a key with its value, sometimes only one of them."""
    items = node.items or []
    step = 2 if node.major == MAP and chance.random() < 0.9 else 1
    at = chance.randrange(0, len(items), step)
    part = items[at : at + step]
    if kind == 6:
        del items[at : at + step]
    elif kind == 7:
        items[at:at] = copy.deepcopy(part) * chance.choice((1, 1, 1, 2, 40))
    else:
        del items[at : at + step]
        to = chance.randrange(0, len(items) + 1, step)
        items[to:to] = part
