"""Tests of shared/: primitives, formats, golden files."""
