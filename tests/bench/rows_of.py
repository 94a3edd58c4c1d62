"""Rows with fixed numbers for the tests beside this file."""

from server.bench.rows import Row

PIPELINE = Row("pipeline", "backend", "bundles to the ack", 123_456.7, "readings/s", 400_000.0, 150_000, True, 0.4, 120_000.0, 130_000.0)
ROOT = Row("root", "trees", "root", 0.5, "s", 0.3, 0.6, False)
SIGN = Row("sign", "device", "sign", 3.5, "ms", None, 4.0, False, esp32=175.0)
HEAP = Row("heap", "device", "heap <free> & easy", 63_840.0, "B")
ROWS = [PIPELINE, ROOT, SIGN, HEAP]
