"""CBOR as a tree of heads that keeps what the profile refuses: longer forms, wrong order, lengths that lie.

In: bytes. Out: a tree that is written back to the same bytes, or changed ones. Byte strings that hold CBOR are opened, so that a change
inside a signed payload comes out with right lengths around it. Never checks anything.
"""

from tests.independent.cbor_out import head

DEPTH_MAX = 24
ARRAY, MAP, TAG = 4, 5, 6


class NotATree(Exception):
    """The bytes are no definite-length CBOR item."""


class Node:
    """`items` are the children: of a map keys and values in turn, of a byte string the one item in it. `width` forces a longer head where
    the number fits; `claim` a number other than the true one."""

    __slots__ = ("claim", "data", "items", "major", "number", "width")

    def __init__(self, major: int, number: int, data: bytes = b"", items: "list[Node] | None" = None) -> None:
        self.major = major
        self.number = number
        self.data = data
        self.items = items
        self.width: int | None = None
        self.claim: int | None = None


def read_tree(data: bytes) -> Node:
    """The tree of the one item that `data` is. Raises NotATree."""
    node, end = _read(data, 0, 0)
    if end != len(data):
        raise NotATree
    return node


def _read(data: bytes, at: int, depth: int) -> tuple[Node, int]:
    if at >= len(data) or depth > DEPTH_MAX:
        raise NotATree
    major, low = data[at] >> 5, data[at] & 31
    at += 1
    if low > 27:
        raise NotATree
    width = 0 if low < 24 else 1 << low - 24
    number = low if low < 24 else int.from_bytes(data[at : at + width], "big")
    at += width
    node = Node(major, number)
    if low >= 24 and head(major, number) != data[at - width - 1 : at] or major == 7:
        node.width = width
    if major in (2, 3):
        if number > len(data) - at:
            raise NotATree
        node.data = data[at : at + number]
        at += number
        if major == 2 and number > 2 and depth < DEPTH_MAX and node.data[0] >> 5 in (ARRAY, MAP, TAG):
            node.items = _inside(node.data, depth)
    elif major in (ARRAY, MAP, TAG):
        count = {ARRAY: number, MAP: 2 * number, TAG: 1}[major]
        if count > len(data) - at:
            raise NotATree
        node.items = []
        for _ in range(count):
            item, at = _read(data, at, depth + 1)
            node.items.append(item)
    return node, at


def _inside(data: bytes, depth: int) -> list[Node] | None:
    try:
        item, end = _read(data, 0, depth + 1)
    except NotATree:
        return None
    return [item] if end == len(data) else None


def write_tree(node: Node) -> bytes:
    """The bytes; lengths and counts are what the children now make them, unless `claim` says otherwise."""
    body = node.data if node.items is None else b"".join(map(write_tree, node.items))
    if node.major in (2, 3):
        number = len(body)
    elif node.major in (ARRAY, MAP):
        number = len(node.items or ()) // (2 if node.major == MAP else 1)
    else:
        number = node.number
    if node.claim is not None:
        number = node.claim
    fits = node.width is not None and number < (256**node.width if node.width else 24)
    return head(node.major, number, node.width if fits else None) + body


def nodes_of(node: Node) -> list[Node]:
    """Every node, the root first."""
    found = [node]
    for item in node.items or ():
        found += nodes_of(item)
    return found
