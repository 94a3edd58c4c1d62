"""One bundle of 60 readings of 4 registers as a device makes it: root, statement, envelope; then taken apart again. Prints what it needs.

In: nothing. Out: `envelope N bytes`, `garbage N bytes` (made by root, statement and envelope; only where the heap is large enough to wait),
`code N bytes` and `readings N bytes` (in use without garbage), `checked 1`. Run with `-X heapsize=128k`.
"""

import gc

gc.collect()
START = gc.mem_alloc()

from shared import bundle, statement, types  # noqa: E402

HEAP_TO_WAIT = 1 << 20


def used() -> int:
    gc.collect()
    return gc.mem_alloc() - START


def make_readings() -> list:
    """Totals as of a three-phase meter: they grow by other amounts each minute."""
    total = [81_234_567, 12_345, 40_000_111, 2_301]
    made = []
    for i in range(60):
        total = [total[0] + 37 + i * i % 11, total[1] + i % 3, total[2] + 91 - i % 7, 2_290 + i * 13 % 23]
        made.append(types.Reading(4_000_000 + i, 1_772_000_000 + 60 * i, total, 0))
    return made


def make_envelope(readings: list, salt: bytes) -> tuple:
    root = bundle.readings_root(salt, readings)
    fields = [b"\x01" + bytes(16), 1, bytes(32), bytes(32), 1, 0, 4_000_000, 60, readings[0].time_s, 2, bytes(32), root, None, None]
    made = types.Statement("readings", *fields)
    signed = statement.encode_statement(made) + bytes(150)
    return made, bundle.encode_envelope(signed, salt, readings)


def main() -> None:
    code = used()
    readings = make_readings()
    held = used() - code
    salt = bytes(range(16))
    if gc.mem_free() > HEAP_TO_WAIT:
        before = gc.mem_alloc()
        gc.disable()
        make_envelope(readings, salt)
        print("garbage", gc.mem_alloc() - before, "bytes")
        gc.enable()
    made, envelope = make_envelope(readings, salt)
    assert bundle.check_rows(made, salt, bundle.decode_envelope(envelope).rows, 4) == readings
    print("envelope", len(envelope), "bytes")
    print("code", code, "bytes")
    print("readings", held, "bytes")
    print("checked", 1)


main()
