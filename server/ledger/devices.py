"""Decoded device values of the last committed block: every bundle asks for one.

In: a read of the committed state, what blocks change. Out: DeviceValue, the same object again until a block changes it: never change one.
Never answers from a block before the core has moved on to it, though its file may hold it already: a value always fits the core's height.
"""

from collections.abc import Callable, Iterable

from shared.errors import DecodeError, VerifyError
from shared.state import DeviceValue, decode_device_value, device_key

from .state import prefix_of

KEPT_MAX = 4096
_PREFIX = prefix_of("device")


class Devices:
    """Least recently used ones go first. Devices that are not enrolled are not remembered: strangers push nobody out."""

    def __init__(self, read: Callable[[bytes], bytes | None], kept_max: int = KEPT_MAX) -> None:
        self._read = read
        self._kept_max = kept_max
        self._kept: dict[bytes, DeviceValue] = {}
        self._held: dict[bytes, DeviceValue | None] = {}

    def get(self, device: bytes) -> DeviceValue | None:
        """The committed value. Raises VerifyError 271 if the state holds something else there."""
        key = device_key(device)
        if key in self._held:
            return self._held[key]
        value = self._kept.pop(key, None) or self._load(key)
        if value is not None:
            self._kept[key] = value
            if len(self._kept) > self._kept_max:
                del self._kept[next(iter(self._kept))]
        return value

    def hold(self, changed: Iterable[bytes]) -> None:
        """A staged block changes these keys: its devices keep their values of before until release()."""
        self._held = {key: self._kept.get(key) or self._load(key) for key in changed if key.startswith(_PREFIX)}

    def release(self, changed: Iterable[bytes]) -> None:
        """The block that changed these keys is committed."""
        self._held = {}
        for key in changed:
            self._kept.pop(key, None)

    def _load(self, key: bytes) -> DeviceValue | None:
        data = self._read(key)
        try:
            return None if data is None else decode_device_value(data)
        except DecodeError as error:
            raise VerifyError(271, f"the state holds a broken device: {error.text}") from error
