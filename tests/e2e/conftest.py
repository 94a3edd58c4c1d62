"""Fixtures of the end-to-end tests. In: nothing. Out: a site on each interpreter. Contains no test."""

from pathlib import Path

import pytest

from tests.e2e.site import Site
from tests.edge.conftest import images

__all__ = ["images"]


@pytest.fixture(params=["micropython", "cpython"])
def site(request: pytest.FixtureRequest, tmp_path: Path, images: dict[str, Path]) -> Site:
    """The same firmware files in both interpreters."""
    return Site(tmp_path, request.param, images[request.param])


@pytest.fixture
def gateway(tmp_path: Path, images: dict[str, Path]) -> Site:
    """On CPython only, for what does not depend on the interpreter."""
    return Site(tmp_path, "cpython", images["cpython"])
