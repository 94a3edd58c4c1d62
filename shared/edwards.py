"""The group of Ed25519: points on −x² + y² = 1 + dx²y² mod 2^255 − 19, in plain big integers and in slices.

In: integers, comb tables (`combs.py`). Out: points and their encodings. Names ending in `_steps` are generators that yield between
slices and return their result. Never constant time, never decides what is a good key or signature.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

P = (1 << 255) - 19
_Y_OF_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022  # one of two; the other is P minus it
ENTRY_BYTES = 96
_COLUMNS_A_STEP = 2
_base_table = None


def base_steps() -> "Generator[None, None, bytearray]":
    """The comb table of the base point, made at first use: as a constant it would take as much heap, and 2,880 bytes of flash more."""
    global _base_table
    if _base_table is None:
        from . import combs

        _base_table = yield from combs.base_comb_steps()
    return _base_table


def small_order(y: int) -> bool:
    """Whether the y of a point (canonical) is one of the 8 of small order."""
    return y in (0, 1, P - 1, _Y_OF_ORDER_8, P - _Y_OF_ORDER_8)


def power_steps(z: int) -> "Generator[None, None, tuple[int, int]]":
    """(z^(2^250 − 1), z^11): the inverse and the root are a few products away."""
    z2 = z * z % P
    z9 = pow(z2, 4, P) * z % P
    z11 = z9 * z2 % P
    p5 = z11 * z11 * z9 % P
    p10 = pow(p5, 1 << 5, P) * p5 % P
    p20 = pow(p10, 1 << 10, P) * p10 % P
    p40 = pow(p20, 1 << 20, P) * p20 % P
    p50 = pow(p40, 1 << 10, P) * p10 % P
    yield
    p100 = pow(p50, 1 << 50, P) * p50 % P
    yield
    p150 = pow(p100, 1 << 50, P) * p50 % P
    yield
    p200 = pow(p150, 1 << 50, P) * p50 % P
    yield
    return pow(p200, 1 << 50, P) * p50 % P, z11


def inverse_steps(z: int) -> "Generator[None, None, int]":
    """z^(P − 2)."""
    power, z11 = yield from power_steps(z)
    return pow(power, 32, P) * z11 % P


def encode_steps(point: tuple[int, int, int]) -> "Generator[None, None, bytes]":
    """The 32 bytes of a projective point."""
    x, y, z = point
    inverse = yield from inverse_steps(z)
    return (y * inverse % P | (x * inverse % P & 1) << 255).to_bytes(32, "little")


def combine_steps(*terms: tuple[int, bytearray]) -> "Generator[None, None, tuple[int, int, int]]":
    """Sum of scalar × table over the terms, projective. Formulas: dbl-2008-hwcd, madd-2008-hwcd-3 with a = −1."""
    pairs = [(scalar.to_bytes(32, "little"), memoryview(table)) for scalar, table in terms]
    p, number = P, int.from_bytes  # locals are quicker
    x, y, z, t = 0, 1, 1, 0
    for column in range(31, -1, -1):
        if column % _COLUMNS_A_STEP == 0:
            yield
        a, b, c = x * x % p, y * y % p, 2 * z * z
        e, g, h = 2 * x * y, b - a, -a - b
        f = g - c
        x, y, z, t = e * f % p, g * h % p, f * g % p, e * h % p
        bit = column & 7
        for bits, table in pairs:
            for block in (0, 1):
                at = (column >> 3) + 4 * block
                low = bits[at] >> bit & 1 | (bits[at + 8] >> bit & 1) << 1
                teeth = low | (bits[at + 16] >> bit & 1) << 2 | (bits[at + 24] >> bit & 1) << 3
                if teeth:
                    at = (teeth - 1 + 15 * block) * ENTRY_BYTES
                    a = (y - x) * number(table[at + 32 : at + 64], "little") % p
                    b = (y + x) * number(table[at : at + 32], "little") % p
                    c = t * number(table[at + 64 : at + 96], "little") % p
                    e, f, g, h = b - a, 2 * z - c, 2 * z + c, b + a
                    x, y, z, t = e * f % p, g * h % p, f * g % p, e * h % p
    return x, y, z
