"""A second encoder for every format of shared/SPEC.md, written from that page alone, and the golden vectors it makes.

In: nothing. Out: `tests/vectors/*.json`. Never imports shared/, edge/ or server/: two readings of one page must agree.
"""
