"""Tests of the device's memory. In: simulated flash. Out: passes or failures."""
