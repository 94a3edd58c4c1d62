"""Values of the vectors and how JSON writes them.

In: Python values. Out: JSON with wrapped objects (tests/vectors/README.md). Never random: `fill` looks so and is the same in every run.
"""

from hashlib import sha256

ZEROS_MIN = 1000


class Raw(bytes):
    """Bytes that stand in CBOR as they are: for what a correct encoder cannot write."""


class Pairs(list):
    """A map as (key, value) pairs in the order given, ordered or not."""


class Plain(dict):
    """A mapping with names for keys, which stays a JSON object."""


class Tag:
    """A tagged CBOR value."""

    def __init__(self, number: int, value: object) -> None:
        self.number = number
        self.value = value


class Named:
    """A record with named fields, as the decoders return it."""

    def __init__(self, record: str, /, **fields: object) -> None:
        self.record = record
        self.fields = fields

    def with_(self, **fields: object) -> "Named":
        """A copy with some fields changed."""
        return Named(self.record, **{**self.fields, **fields})

    def __getattr__(self, field: str) -> object:
        try:
            return self.__dict__["fields"][field]
        except KeyError:
            raise AttributeError(field) from None


def fill(label: str, count: int) -> bytes:
    """`count` bytes from SHA-256 in counter mode over the label."""
    blocks = [sha256(f"{label}/{i}".encode()).digest() for i in range(-(-count // 32))]
    return b"".join(blocks)[:count]


def wrap(value: object) -> object:
    """The JSON form of a value."""
    if isinstance(value, bytes) and len(value) >= ZEROS_MIN and not any(value):
        return {"zeros": len(value)}
    if isinstance(value, bytes):
        return {"hex": bytes(value).hex()}
    if isinstance(value, Named):
        return {value.record: {name: wrap(field) for name, field in value.fields.items()}}
    if isinstance(value, Tag):
        return {"tag": [value.number, wrap(value.value)]}
    if isinstance(value, Plain):
        return {name: wrap(item) for name, item in value.items()}
    if isinstance(value, dict):
        return {"map": [[wrap(key), wrap(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [wrap(item) for item in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    raise TypeError(f"a vector cannot hold {type(value).__name__}")
