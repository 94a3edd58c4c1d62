"""Measures the device's signing in MicroPython: `measure_sign.py [REPEATS]`.

In: how often each thing is repeated. Out: lines `name value unit`; times are the median, `_step_ms_max` the longest slice (its least over
the repeats: what the code needs, not what the machine did meanwhile), `heap_*` bytes in use after a collection.
Never judges: the bench compares.
"""

import gc
import sys
import time

gc.collect()
_before_bytes = gc.mem_alloc()

from shared import combs, ed25519, sha512  # noqa: E402, F401 - combs: to be there before it is measured

gc.collect()
_loaded_bytes = gc.mem_alloc()

MESSAGE = b"s" * 290  # a Sig_structure of a readings statement
SEED = b"\x01" * 32


def timed(steps) -> tuple:
    """(total µs, longest slice µs, slices)."""
    gc.collect()
    longest_us = slices = 0
    start_us = last_us = time.ticks_us()
    for _ in steps:
        now_us = time.ticks_us()
        longest_us = max(longest_us, time.ticks_diff(now_us, last_us))
        last_us = now_us
        slices += 1
    end_us = time.ticks_us()
    return time.ticks_diff(end_us, start_us), max(longest_us, time.ticks_diff(end_us, last_us)), slices


def report_times(name: str, make, repeats: int) -> None:
    runs = [timed(make()) for _ in range(repeats)]
    total_us = sorted([run[0] for run in runs])[repeats // 2]
    print(name + "_ms", total_us / 1000, "ms")
    print(name + "_step_ms_max", min([run[1] for run in runs]) / 1000, "ms")
    print(name + "_slices", runs[0][2], "slices")


def report_peak(name: str, make, floor_bytes: int) -> None:
    """The most bytes in use between two slices, above `floor_bytes`."""
    peak_bytes = 0
    for _ in make():
        gc.collect()
        peak_bytes = max(peak_bytes, gc.mem_alloc())
    print(name, peak_bytes - floor_bytes, "B")


def main(repeats: int) -> None:
    report_peak("heap_table_peak", lambda: ed25519.edwards.base_steps(), _loaded_bytes)
    secret = ed25519.finish(ed25519.secret_steps(SEED))
    gc.collect()
    ready_bytes = gc.mem_alloc()
    print("heap_modules", _loaded_bytes - _before_bytes, "B")
    print("heap_ready_to_sign", ready_bytes - _before_bytes, "B")
    signature = ed25519.sign(secret, MESSAGE)
    gc.collect()
    without_bytes = gc.mem_alloc()
    table = ed25519.build_table(secret.public)
    gc.collect()
    print("heap_node_table", gc.mem_alloc() - without_bytes, "B")
    floor_bytes = gc.mem_alloc()
    report_peak("heap_sign_peak", lambda: ed25519.sign_steps(secret, MESSAGE), floor_bytes)
    report_peak("heap_verify_table_peak", lambda: ed25519.verify_steps(table, MESSAGE, signature), floor_bytes)
    report_peak("heap_verify_peak", lambda: ed25519.verify_steps(secret.public, MESSAGE, signature), floor_bytes)
    report_times("sign", lambda: ed25519.sign_steps(secret, MESSAGE), repeats)
    report_times("verify_table", lambda: ed25519.verify_steps(table, MESSAGE, signature), repeats)
    report_times("verify", lambda: ed25519.verify_steps(secret.public, MESSAGE, signature), repeats)
    report_times("table", lambda: ed25519.table_steps(secret.public), repeats)
    report_times("sha512", lambda: sha512.digest_steps(MESSAGE), repeats)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
