"""One running backend for each test file."""

from collections.abc import Iterator

import pytest

from tests.cli.running import Node


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    made = Node(tmp_path_factory.mktemp("node") / "home")
    made.start()
    yield made
    assert made.stop() == 0, made.log()
    assert "Traceback" not in made.log(), made.log()
