"""Tests of images, board tables and board code. In: the tables and a simulated board. Out: passes or failures. Never a real board."""
