"""What the checkers count with: ranges of sequences, the root of a growing list, and what a log holds of one device. In: numbers, entries.
Out: the same added up. Never reads a file."""

from collections.abc import Iterable

from tests.independent.trees import h, leaf


class Spans:
    """Sequences as half-open ranges."""

    def __init__(self, spans: Iterable[tuple[int, int]] = ()) -> None:
        self.spans: list[tuple[int, int]] = []
        for first, end in spans:
            self.add(first, end)

    def add(self, first: int, end: int) -> None:
        apart = [span for span in self.spans if span[1] < first or end < span[0]]
        touching = [span for span in self.spans if not (span[1] < first or end < span[0])]
        self.spans = sorted([*apart, (min([first, *(a for a, _ in touching)]), max([end, *(b for _, b in touching)]))])

    def covers(self, first: int, end: int) -> bool:
        return first >= end or any(a <= first and end <= b for a, b in self.spans)

    def touches(self, first: int, end: int) -> bool:
        return any(a < end and first < b for a, b in self.spans)


class Peaks:
    """RFC 9162 root of a growing list, by its perfect subtrees."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []

    def add(self, entry: bytes) -> None:
        size, node = 1, leaf(entry)
        while self._peaks and self._peaks[-1][0] == size:
            node = h(b"\x01", self._peaks.pop()[1], node)
            size *= 2
        self._peaks.append((size, node))

    def root(self) -> bytes:
        if not self._peaks:
            return h(b"")
        node = self._peaks[-1][1]
        for _, left in reversed(self._peaks[:-1]):
            node = h(b"\x01", left, node)
        return node


class Known:
    """What the log holds of one device."""

    def __init__(self) -> None:
        self.logged = Spans()
        self.lost = Spans()
        self.covered = Spans()
        self.lost_identities: set[bytes] = set()
        self.readings: dict[int, tuple[int, tuple[int | None, ...], int]] = {}
        self.statements: list[tuple[bytes, bytes | None, str]] = []
        self.clash = False
