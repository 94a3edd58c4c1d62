"""Hypothesis strategies for values of the CBOR profile, and for bytes that are nearly right.

In: nothing. Out: strategies. Never a value that the profile refuses, but in `mutations`.
"""

from collections.abc import Callable

from hypothesis import strategies as st

INTEGERS = st.one_of(
    st.integers(-(2**64), 2**64 - 1),
    st.sampled_from([0, 1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1]),
    st.sampled_from([-1, -24, -25, -256, -257, -65536, -65537, -(2**32), -(2**32) - 1, -(2**63), -(2**64)]),
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SCALARS = st.one_of(INTEGERS, st.binary(max_size=40), TEXTS, st.booleans(), st.none())


def values(keys: st.SearchStrategy = st.one_of(INTEGERS, TEXTS), leaves: int = 25) -> st.SearchStrategy:  # noqa: B008
    """Values of the profile, nested a little."""
    return st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=6) | st.dictionaries(keys, inner, max_size=6), max_leaves=leaves)


# In maps whose keys are all text or all unsigned, length-first order (cbor2's canonical) is bytewise order.
ONE_KIND_OF_KEYS = st.one_of(values(TEXTS), values(st.integers(0, 2**64 - 1)))


@st.composite
def mutations(draw: Callable, good: st.SearchStrategy) -> bytes:
    """Good bytes with one to three places changed: a bit, a byte, a cut, a repetition, bytes put in."""
    data = bytearray(draw(good))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["bit", "byte", "cut", "insert", "repeat", "drop"]))
        if kind == "bit" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "byte" and at < len(data):
            data[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "insert":
            data[at:at] = draw(st.binary(min_size=1, max_size=9))
        elif kind == "repeat":
            data[at:at] = data[at : at + draw(st.integers(1, 40))]
        elif kind == "drop":
            del data[at : at + draw(st.integers(1, 9))]
    return bytes(data)
