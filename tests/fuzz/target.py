"""What a decoder promises, and the check of one input against it.

In: a Target and bytes. Out: the code of the refusal, 0 when accepted; AssertionError when the promise is broken. Never asks whether an
input should have been accepted: the golden files do.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from shared.errors import DecodeError, MeterproofError, VerifyError

STEPS_FIXED = 4_000


@dataclass(frozen=True)
class Target:
    """A decoder under test.

    `again` encodes what was decoded: to the same bytes, where the format has one encoding only. No input longer than `limit_bytes` is
    accepted, or looked at; None for streams, which end when they like. `tree`: inputs are CBOR. `also`: error families beside DecodeError
    and VerifyError, and why is said where it is used. `finish`: what a mutation needs last to be worth trying. `costs`: what to measure,
    where `decode` compares two. `steps_fixed`, `steps_per_byte`: lines run at most, whatever comes and for each byte of an input;
    `peak_per_byte`: bytes held at most for each byte; `copies`: the same of an input that is too long, by what hands it to the decoder.
    `chars`: it sees the limit in characters.
    """

    name: str
    decode: Callable[[bytes], object]
    limit_bytes: int | None
    seeds: list[bytes] = field(repr=False)
    again: Callable[[object], bytes] | None = None
    tree: bool = True
    also: tuple[type[MeterproofError], ...] = ()
    finish: Callable[[bytes], bytes] | None = None
    costs: Callable[[bytes], object] | None = None
    steps_fixed: int = STEPS_FIXED
    steps_per_byte: int = 40
    peak_per_byte: int = 140
    copies: int = 0
    chars: bool = False

    def allows(self, length: int) -> bool:
        """Whether an input may be that long."""
        return self.limit_bytes is None or length <= self.limit_bytes

    def refuses(self, length: int) -> bool:
        """Whether it must not even be looked at."""
        return not self.allows(length // 4 if self.chars else length)


def check_input(target: Target, data: bytes) -> int:
    """Runs one input."""
    try:
        value = target.decode(data)
    except (DecodeError, VerifyError, *target.also) as error:
        return error.code
    except Exception as error:
        raise AssertionError(f"{target.name}: {type(error).__name__} escapes: {error}") from error
    assert target.allows(len(data)), f"{target.name}: accepts {len(data)} bytes"
    if target.again is not None:
        encoded = target.again(value)
        assert encoded == data, f"{target.name}: a second encoding of one value: {data.hex()[:200]} is {encoded.hex()[:200]}"
    return 0
