"""The wire format, Merkle proofs, signing and offline verification: used by device, backend and verifier alike.

Imports itself only relatively and nothing else of ours. Everything but `verify/` runs unchanged on MicroPython and CPython.
"""
