"""Offline verification of evidence files, under a policy that is the verifier's own. CPython ≥ 3.11, nothing but the standard library.

Imports only its neighbours in `shared/`, relatively; runs on PyNaCl and cryptography where they are there (through `sign`) and
without them.
"""
