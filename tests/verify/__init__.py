"""Tests of the offline verifier. In: worlds made in memory. Out: passes or failures. Never the network or server/."""
