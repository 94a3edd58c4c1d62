"""Fixtures of the agent's tests: images of the firmware, built once, and a whole site. In: nothing. Out: fixtures. Contains no test."""

import contextlib
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hardware.build_firmware import build_image
from tests.edge.device import Device
from tests.edge.meter import Meter
from tests.edge.node import Node


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    # Compiling takes seconds: with several workers, the first builds for all of them.
    folder = tmp_path_factory.getbasetemp().parent / f"images-{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    try:
        folder.mkdir()
    except FileExistsError:
        while not (folder / "ready").exists():
            time.sleep(0.1)
    else:
        build_image("unix", folder / "micropython")
        build_image("cpython", folder / "cpython")
        (folder / "ready").touch()
    return {name: folder / name for name in ("micropython", "cpython")}


class Site:
    """A meter, a broker with its node, and one device."""

    def __init__(self, folder: Path, interpreter: str, image: Path) -> None:
        self.folder = folder
        self.interpreter = interpreter
        self.image = image

    @contextlib.asynccontextmanager
    async def running(self, node: Node | None = None, start: bool = True, **changes: object) -> AsyncIterator["Site"]:
        self.node = node or Node()
        async with Meter() as self.meter, self.node.broker as self.broker:
            ports = (changes.pop("broker_port", self.broker.port), self.meter.port)
            self.device = Device(self.folder, self.interpreter, self.image, self.node.cose_key, *ports, **changes)
            if start:
                await self.device.start()
            try:
                yield self
            finally:
                if self.device.process:
                    await self.device.kill()
                print("\n".join(self.device.output[-20:]))  # shown by pytest when the test fails


@pytest.fixture(params=["micropython", "cpython"])
def site(request: pytest.FixtureRequest, tmp_path: Path, images: dict[str, Path]) -> Site:
    """The same firmware files in both interpreters."""
    return Site(tmp_path, request.param, images[request.param])


@pytest.fixture
def gateway(tmp_path: Path, images: dict[str, Path]) -> Site:
    """On CPython only, for what does not depend on the interpreter."""
    return Site(tmp_path, "cpython", images["cpython"])
