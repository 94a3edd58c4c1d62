"""Tests of the device's parts and of the whole agent. In: edge/, a simulated meter, broker and node. Out: passes or failures."""
