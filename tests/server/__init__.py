"""Tests of single modules of server/."""
