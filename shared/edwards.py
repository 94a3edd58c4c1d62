"""The group of Ed25519: points on −x² + y² = 1 + dx²y² mod 2^255 − 19, in plain big integers and in slices.

In: integers, tables. Out: points, encodings, tables, or VerifyError 201 for bytes that are no point.
Names ending in `_steps` are generators that yield between slices and return their result.
Never constant time, never decides what is a good key or signature.

A comb table holds, for one point Q, the 15 sums of 2^(64 i) Q (i = 0..3) and those of 2^(64 i + 32) Q, so that 32 doublings and at most
64 additions multiply it by 256 bits. An entry is y + x, y − x and 2dxy of an affine point, 32 bytes each, little-endian: 2,880 bytes
in one piece.
"""

from .errors import VerifyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

P = (1 << 255) - 19
_D = 37095705934669439343138083508754565189542113879843219016388785533085940283555
_ROOT_OF_MINUS_1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
_Y_OF_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022  # one of two; the other is P minus it
_ENTRY_BYTES = 96
_POINT_BYTES = 128  # x, y, z, t
_COLUMNS_A_STEP = 2
_DOUBLINGS_A_STEP = 8
_base_table = None


def base_steps() -> "Generator[None, None, bytearray]":
    """The comb table of the base point, made at first use: as a constant it would take as much heap, and 2,880 bytes of flash more."""
    global _base_table
    if _base_table is None:
        _base_table = yield from comb_steps(_BASE_X, _BASE_Y)
    return _base_table


def small_order(y: int) -> bool:
    """Whether the y of a point (canonical) is one of the 8 of small order."""
    return y in (0, 1, P - 1, _Y_OF_ORDER_8, P - _Y_OF_ORDER_8)


def recover_x_steps(y: int) -> "Generator[None, None, int]":
    """An x with −x² + y² = 1 + dx²y² (RFC 8032 5.1.3). Raises VerifyError 201 when there is none."""
    u = (y * y - 1) % P
    v = (_D * y * y + 1) % P
    uv3 = u * v * v * v % P
    power, _ = yield from _power_steps(uv3 * v * v * v * v % P)
    x = uv3 * pow(power, 4, P) * (uv3 * v * v * v * v % P) % P
    square = v * x * x % P
    if square == u:
        return x
    if square == P - u:
        return x * _ROOT_OF_MINUS_1 % P
    raise VerifyError(201, "public key is not on the curve")


def _power_steps(z: int) -> "Generator[None, None, tuple[int, int]]":
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


def _inverse_steps(z: int) -> "Generator[None, None, int]":
    """z^(P − 2)."""
    power, z11 = yield from _power_steps(z)
    return pow(power, 32, P) * z11 % P


def encode_steps(point: tuple[int, int, int]) -> "Generator[None, None, bytes]":
    """The 32 bytes of a projective point."""
    x, y, z = point
    inverse = yield from _inverse_steps(z)
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
                    at = (teeth - 1 + 15 * block) * _ENTRY_BYTES
                    a = (y - x) * number(table[at + 32 : at + 64], "little") % p
                    b = (y + x) * number(table[at : at + 32], "little") % p
                    c = t * number(table[at + 64 : at + 96], "little") % p
                    e, f, g, h = b - a, 2 * z - c, 2 * z + c, b + a
                    x, y, z, t = e * f % p, g * h % p, f * g % p, e * h % p
    return x, y, z


def _double_steps(point: tuple[int, int, int, int], times: int) -> "Generator[None, None, tuple[int, int, int, int]]":
    """2^times × point."""
    p = P
    x, y, z, t = point
    for i in range(times):
        if i % _DOUBLINGS_A_STEP == 0:
            yield
        a, b, c = x * x % p, y * y % p, 2 * z * z
        t, g, h = 2 * x * y, b - a, -a - b
        x, y, z, t = t * (g - c) % p, g * h % p, (g - c) * g % p, t * h
    return x, y, z, t % p


def _add(p: tuple[int, int, int, int], q: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """add-2008-hwcd-3: complete for a = −1."""
    a = (p[1] - p[0]) * (q[1] - q[0]) % P
    b = (p[1] + p[0]) * (q[1] + q[0]) % P
    c = 2 * _D * p[3] * q[3] % P
    d = 2 * p[2] * q[2]
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def comb_steps(x: int, y: int) -> "Generator[None, None, bytearray]":
    """The comb table of an affine point. What is kept on the way is bytes: a big integer on MicroPython takes three times its size."""
    table = bytearray(30 * _ENTRY_BYTES)  # first: later the heap is in pieces
    powers = bytearray(8 * _POINT_BYTES)
    sums = bytearray(15 * _POINT_BYTES)
    point = (x, y, 1, x * y % P)
    _put(powers, 0, point)
    for i in range(1, 8):
        point = yield from _double_steps(point, 32)
        _put(powers, i, point)
    for block in (0, 1):
        for teeth in range(1, 16):
            top = 3 if teeth & 8 else 2 if teeth & 4 else 1 if teeth & 2 else 0
            point = _get(powers, 2 * top + block)
            rest = teeth - (1 << top)
            _put(sums, teeth - 1, _add(_get(sums, rest - 1), point) if rest else point)
            yield
        yield from _write_affine_steps(table, block * 15 * _ENTRY_BYTES, sums)
    return table


def _put(points: bytearray, index: int, point: tuple[int, int, int, int]) -> None:
    for k in range(4):
        at = index * _POINT_BYTES + 32 * k
        points[at : at + 32] = point[k].to_bytes(32, "little")


def _get(points: bytearray, index: int) -> tuple[int, int, int, int]:
    at = index * _POINT_BYTES
    x, y, z, t = [int.from_bytes(points[i : i + 32], "little") for i in range(at, at + _POINT_BYTES, 32)]
    return x, y, z, t


def _write_affine_steps(table: bytearray, at: int, sums: bytearray) -> "Generator[None, None, None]":
    """Writes the 15 points as entries; one inversion for all of them (Montgomery's trick)."""
    products = [1]
    for i in range(15):
        products.append(products[-1] * _get(sums, i)[2] % P)
    inverse = yield from _inverse_steps(products[-1])
    for i in range(14, -1, -1):
        x, y, z, _ = _get(sums, i)
        one = inverse * products[i] % P
        inverse = inverse * z % P
        x, y = x * one % P, y * one % P
        entry = ((y + x) % P, (y - x) % P, 2 * _D * x * y % P)
        for k in range(3):
            to = at + i * _ENTRY_BYTES + 32 * k
            table[to : to + 32] = entry[k].to_bytes(32, "little")
        if i & 3 == 0:
            yield
