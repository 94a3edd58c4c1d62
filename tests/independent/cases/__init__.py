"""The golden files, one module for each group of formats.

In: the second encoder. Out: `books()` of every module. Never reads what the code under test returns.
"""
