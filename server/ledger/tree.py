"""The state tree (SPEC section 10): ICS-23's sparse Merkle tree over SHA-256 paths, as pages that a store keeps by position.

In: a reader of pages and the changed leaves of one block. Out: the new root, the pages that changed, proofs. Never holds the tree in memory
and never removes a leaf: nothing on the ledger is ever removed, so a place once taken stays taken.

A record's SHA-256 is its node's hash: `00 ‖ path ‖ value hash` for a leaf, `01 ‖ left ‖ right` for a node, an empty side 32 zero bytes. A
page holds the records of LEVELS levels from one place down, each after the number of its slot: 1 is the place itself, 2s and 2s+1 lie below
s. In a large tree most changes share no node but the uppermost: pages make that three or four rows a change instead of fifteen, each small
enough for SQLite to keep in one piece.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import NamedTuple

from shared import smt
from shared.errors import VerifyError

ReadPage = Callable[[bytes], bytes | None]
Item = tuple[bytes, bytes]

LEVELS = 4
RECORD_BYTES = 65
CELL_BYTES = 1 + RECORD_BYTES
ROOT_PLACE = b"\x00\x00"
_LEAF, _NODE = 0, 1


class Page(NamedTuple):
    """`name`: the place of its slot 1; `cells`: slot → record."""

    name: bytes
    cells: dict[int, bytes]


class At(NamedTuple):
    """A place in the tree: a slot of a page."""

    page: Page
    slot: int

    @property
    def record(self) -> bytes | None:
        """What is there."""
        return self.page.cells.get(self.slot)


class _Pages:
    """Pages opened for one update or proof."""

    def __init__(self, read: ReadPage) -> None:
        self._read = read
        self._open: dict[bytes, Page] = {}
        self.changed: dict[bytes, Page] = {}

    def root(self) -> At:
        return At(self._page(ROOT_PLACE), 1)

    def below(self, at: At, path: bytes, depth: int, right: int) -> At:
        """The place at `depth` on the way to `path`, on that side below `at`."""
        if depth % LEVELS:
            return At(at.page, 2 * at.slot + right)
        return At(self._page(place_of(path, depth)), 1)

    def put(self, at: At, record: bytes) -> bytes:
        """Sets a record and returns its hash."""
        at.page.cells[at.slot] = record
        self.changed[at.page.name] = at.page
        return sha256(record).digest()

    def _page(self, name: bytes) -> Page:
        page = self._open.get(name)
        if page is None:
            page = self._open[name] = Page(name, decode_page(self._read(name)))
        return page


def place_of(path: bytes, depth: int) -> bytes:
    """Name of the place at `depth` on the way to `path`: depth, then that many bits of the path, the rest zero."""
    whole, rest = divmod(depth, 8)
    name = depth.to_bytes(2, "big") + path[:whole]
    return name + bytes([path[whole] & 0xFF00 >> rest & 0xFF]) if rest else name


def encode_page(cells: Mapping[int, bytes]) -> bytes:
    """Cells by slot."""
    return b"".join(bytes([slot]) + record for slot, record in sorted(cells.items()))


def decode_page(data: bytes | None) -> dict[int, bytes]:
    """The cells; none of a page that is not there. Raises VerifyError 271 for what encode_page never makes."""
    if data is None:
        return {}
    starts = range(0, len(data), CELL_BYTES)
    cells = {data[start]: data[start + 1 : start + CELL_BYTES] for start in starts}
    if not cells or len(data) % CELL_BYTES or len(cells) != len(starts) or not all(0 < slot < 1 << LEVELS for slot in cells):
        raise VerifyError(271, "a page of the state tree is broken")
    return cells


def root_of(read: ReadPage) -> bytes:
    """Root of the tree that the pages make."""
    return _hash(_Pages(read).root().record)


def update(read: ReadPage, changes: Mapping[bytes, bytes]) -> tuple[bytes, dict[bytes, bytes]]:
    """(new root, changed pages by place) after setting each path in `changes` to its value hash."""
    pages, items = _Pages(read), sorted(changes.items())
    root = _set(pages, pages.root(), items, 0) if items else root_of(read)
    return root, {name: encode_page(page.cells) for name, page in pages.changed.items()}


def _set(pages: _Pages, at: At, items: list[Item], depth: int) -> bytes:
    """Puts the items below one place and returns its new hash."""
    record = at.record
    if record is not None and record[0] == _NODE:
        return _set_node(pages, at, items, depth, (record[1:33], record[33:]))
    if record is not None and all(path != record[1:33] for path, _ in items):
        items = sorted([*items, (record[1:33], record[33:])])  # the leaf that was alone here moves down beside the new ones
    return _build(pages, at, items, depth)


def _set_node(pages: _Pages, at: At, items: list[Item], depth: int, children: tuple[bytes, bytes]) -> bytes:
    left, right = children
    split = _split(items, depth)
    if split:
        left = _set(pages, pages.below(at, items[0][0], depth + 1, 0), items[:split], depth + 1)
    if split < len(items):
        right = _set(pages, pages.below(at, items[-1][0], depth + 1, 1), items[split:], depth + 1)
    return pages.put(at, b"\x01" + left + right)


def _build(pages: _Pages, at: At, items: list[Item], depth: int) -> bytes:
    """A subtree of these leaves alone, where nothing but one of them stood."""
    path, value_hash = items[0]
    if len(items) == 1:
        return pages.put(at, b"\x00" + path + value_hash)
    split = _split(items, depth)
    left = right = smt.EMPTY
    if split:
        left = _build(pages, pages.below(at, path, depth + 1, 0), items[:split], depth + 1)
    if split < len(items):
        right = _build(pages, pages.below(at, items[-1][0], depth + 1, 1), items[split:], depth + 1)
    return pages.put(at, b"\x01" + left + right)


def _split(items: list[Item], depth: int) -> int:
    """How many of the sorted items go left at this depth."""
    low, high = 0, len(items)
    while low < high:
        middle = (low + high) // 2
        if smt.bit(items[middle][0], depth):
            high = middle
        else:
            low = middle + 1
    return low


def prove(read: ReadPage, key: bytes) -> smt.StateProof:
    """Proof of what the tree holds at `key`, or that it holds nothing. Raises VerifyError 271 if a record is gone."""
    path, pages = smt.path_of(key), _Pages(read)
    siblings: list[bytes] = []
    at = pages.root()
    record = at.record
    while record is not None and record[0] == _NODE:
        depth = len(siblings)
        right = smt.bit(path, depth)
        here, other = (record[33:], record[1:33]) if right else (record[1:33], record[33:])
        siblings.append(b"" if other == smt.EMPTY else other)
        if here == smt.EMPTY:
            record = None
        else:
            at = pages.below(at, path, depth + 1, right)
            record = _expected(at.record, here)
    siblings.reverse()
    if record is None:
        return smt.StateProof(siblings, None)
    return smt.StateProof(siblings, True if record[1:33] == path else (record[1:33], record[33:]))


def _expected(record: bytes | None, expected: bytes) -> bytes:
    if record is None or sha256(record).digest() != expected:
        raise VerifyError(271, "the state tree has a hole or a changed record")
    return record


def _hash(record: bytes | None) -> bytes:
    return smt.EMPTY if record is None else sha256(record).digest()
