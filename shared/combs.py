"""Comb tables of Ed25519 points, made once at the start; a device forgets this code afterwards.

In: affine points, public keys. Out: tables, or VerifyError 201 for a key that is no point or that libsodium refuses. Names ending in
`_steps` are generators that yield between slices and return their result. Never constant time.

A comb table holds, for one point Q, the 15 sums of 2^(64 i) Q (i = 0..3) and those of 2^(64 i + 32) Q, so that 32 doublings and at most
64 additions multiply it by 256 bits. An entry is y + x, y − x and 2dxy of an affine point, 32 bytes each, little-endian: 2,880 bytes
in one piece.
"""

from .edwards import ENTRY_BYTES, P, inverse_steps, power_steps, small_order
from .errors import VerifyError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

_D = 37095705934669439343138083508754565189542113879843219016388785533085940283555
_ROOT_OF_MINUS_1 = 19681161376707505956807079304988542015446066515923890162744021073123829784752
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
_POINT_BYTES = 128  # x, y, z, t
_DOUBLINGS_A_STEP = 8


def base_comb_steps() -> "Generator[None, None, bytearray]":
    """The table of the base point."""
    return (yield from comb_steps(_BASE_X, _BASE_Y))


def key_comb_steps(raw: bytes) -> "Generator[None, None, bytearray]":
    """The table of a public key, negated, as verification needs it. Raises VerifyError 201."""
    if len(raw) != 32:
        raise VerifyError(201, "public key is not 32 bytes")
    y = int.from_bytes(raw, "little")
    sign_bit = y >> 255
    y &= (1 << 255) - 1
    if y >= P or small_order(y):
        raise VerifyError(201, "public key not canonical or of small order")
    x = yield from recover_x_steps(y)
    if x & 1 == sign_bit:
        x = P - x  # the table is that of −A
    return (yield from comb_steps(x, y))


def recover_x_steps(y: int) -> "Generator[None, None, int]":
    """An x with −x² + y² = 1 + dx²y² (RFC 8032 5.1.3). Raises VerifyError 201 when there is none."""
    u = (y * y - 1) % P
    v = (_D * y * y + 1) % P
    uv3 = u * v * v * v % P
    power, _ = yield from power_steps(uv3 * v * v * v * v % P)
    x = uv3 * pow(power, 4, P) * (uv3 * v * v * v * v % P) % P
    square = v * x * x % P
    if square == u:
        return x
    if square == P - u:
        return x * _ROOT_OF_MINUS_1 % P
    raise VerifyError(201, "public key is not on the curve")


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
    table = bytearray(30 * ENTRY_BYTES)  # first: later the heap is in pieces
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
        yield from _write_affine_steps(table, block * 15 * ENTRY_BYTES, sums)
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
    inverse = yield from inverse_steps(products[-1])
    for i in range(14, -1, -1):
        x, y, z, _ = _get(sums, i)
        one = inverse * products[i] % P
        inverse = inverse * z % P
        x, y = x * one % P, y * one % P
        entry = ((y + x) % P, (y - x) % P, 2 * _D * x * y % P)
        for k in range(3):
            to = at + i * ENTRY_BYTES + 32 * k
            table[to : to + 32] = entry[k].to_bytes(32, "little")
        if i & 3 == 0:
            yield
