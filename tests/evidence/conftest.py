"""Hypothesis without a deadline: on a busy machine a slow example is no failure.

In: nothing. Out: a profile. Never fewer examples.
"""

from hypothesis import settings

settings.register_profile("shared", deadline=None)
settings.load_profile("shared")
