"""One home and its two backups for all tests that only read or copy them."""

import pytest

from tests.backup.homes import Site, make_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return make_site(tmp_path_factory.mktemp("site"))
