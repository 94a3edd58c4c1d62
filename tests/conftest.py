"""Settings of every test. In: nothing. Out: a hypothesis profile. Never lets the clock of a busy machine decide a test."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
