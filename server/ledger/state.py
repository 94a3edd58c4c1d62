"""State as the rules see it: a map from byte keys to byte values, with changes kept apart until they are wanted.

In: a Reader of what is committed. Out: an Overlay whose `changes` are the difference. Never removes a key: nothing
on the ledger is ever removed.
"""

from collections.abc import Iterable
from typing import Protocol

from shared import cbor

REMEMBERED_MAX = 20_000


class Reader(Protocol):
    """Anything that holds a state."""

    def get(self, key: bytes) -> bytes | None:
        """Value of a key."""

    def members(self, name: bytes, limit: int) -> list[bytes]:
        """The first members of a list (lists.py) as the last block left it."""

    def changed(self, prefix: bytes) -> dict[bytes, bytes]:
        """Values of keys that start with `prefix`, as far as they were put since the last block."""


class Overlay:
    """A state over another: reads fall through, writes stay here."""

    __slots__ = ("_base", "changes")

    def __init__(self, base: Reader) -> None:
        self._base = base
        self.changes: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Value of a key, changed or underneath."""
        value = self.changes.get(key)
        return self._base.get(key) if value is None else value

    def put(self, key: bytes, value: bytes) -> None:
        """Sets a key here only."""
        self.changes[key] = value

    def members(self, name: bytes, limit: int) -> list[bytes]:
        """The first members of a list as the last block left it: what was put since is in changed()."""
        return self._base.members(name, limit)

    def changed(self, prefix: bytes) -> dict[bytes, bytes]:
        """Values put since the last block under keys that start with `prefix`, of all layers."""
        return self._base.changed(prefix) | {key: value for key, value in self.changes.items() if key.startswith(prefix)}

    def absorb(self, other: "Overlay") -> None:
        """Takes over the changes of an overlay that stood on this one."""
        self.changes.update(other.changes)


class Remembering:
    """A committed state whose values are read once, until a block changes them: every transaction asks for its signer's key and nonce.
    Keys that are not there are not remembered."""

    def __init__(self, base: Reader, kept_max: int = REMEMBERED_MAX) -> None:
        self._base = base
        self._kept_max = kept_max
        self._kept: dict[bytes, bytes] = {}

    def get(self, key: bytes) -> bytes | None:
        """Value of a key."""
        value = self._kept.get(key)
        if value is None:
            value = self._base.get(key)
            if value is not None:
                if len(self._kept) >= self._kept_max:
                    self._kept.clear()
                self._kept[key] = value
        return value

    def members(self, name: bytes, limit: int) -> list[bytes]:
        """The first members of a list as the last block left it."""
        return self._base.members(name, limit)

    def changed(self, prefix: bytes) -> dict[bytes, bytes]:
        """Nothing: this is what the last block left."""
        return {}

    def forget(self, changed: Iterable[bytes]) -> None:
        """The block that changed these keys is committed."""
        for key in changed:
            self._kept.pop(key, None)


class MapState:
    """A state in memory, for replay and tests."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.listed: dict[tuple[bytes, bytes], bool] = {}

    def get(self, key: bytes) -> bytes | None:
        """Value of a key."""
        return self.values.get(key)

    def members(self, name: bytes, limit: int) -> list[bytes]:
        """The first members of a list."""
        return sorted(member for found, member in self.listed if found == name)[:limit]

    def changed(self, prefix: bytes) -> dict[bytes, bytes]:
        """Nothing: this is what the last block left."""
        return {}


KIND_PARTS = {"org": 2, "key": 2, "nonce": 2, "point": 2, "firmware": 2, "device": 2, "log": 2, "batch": 3}


def prefix_of(kind: str, *parts: object) -> bytes:
    """What every state key of that kind (and with those next parts) starts with."""
    head = bytes([0x80 | KIND_PARTS[kind]])
    return head + cbor.encode(kind) + b"".join(cbor.encode(part) for part in parts)
