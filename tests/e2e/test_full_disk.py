"""The backend's disk is full for a while: it stays up, acks nothing it cannot keep, and goes on by itself when there is room again."""

import asyncio
import contextlib
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from server.main import Backend
from tests.e2e.site import Site, until

FILE_BYTES_MAX = 16_384  # less than any of the backend's files must grow to
DISK_BYTES = 24 << 20


@contextlib.contextmanager
def limited(site: Site) -> Iterator[None]:
    """No file of the process may grow any more: works without any right, and fails writes where a full disk would."""
    process = site.serve_process
    assert process is not None
    usual = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, usual[1]))
    try:
        yield
    finally:
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, usual)


@contextlib.contextmanager
def filled(site: Site) -> Iterator[None]:
    """Not a byte is left on the disk of the home."""
    filler = site.home / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[None]:
    """A small file system of its own."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def may_mount() -> bool:
    """Needs a right that not even root has everywhere; the limit on files needs none and is always tried."""
    private = ["unshare", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
    return os.geteuid() == 0 and subprocess.run(private, capture_output=True).returncode == 0


async def story(site: Site, full: Callable[[Site], AbstractContextManager[None]]) -> None:
    async with site.opened():
        async with Backend(site.config) as backend:
            await site.device.start()
            await site.enroll(backend)
        await site.serve()
        await until(lambda: site.device.count("freed") >= 2)
        for _ in range(2):
            with full(site):
                await until(lambda: site.device.count("unacked") >= 6)
                acks, published = len(site.broker.acks), site.device.count("published_again")
                await until(lambda published=published: site.device.count("published_again") > published)
                assert len(site.broker.acks) == acks, "nothing is acked that cannot be kept"
                assert site.serve_process.returncode is None, (site.home / "serve.log").read_text()
                size = site.checkpoint().size
            await until(lambda size=size: site.checkpoint().size >= size + 4)
        await site.drain()
        await site.stop_serve()
        await site.check_whole()


@pytest.mark.slow
def test_no_file_may_grow(gateway: Site) -> None:
    asyncio.run(story(gateway, limited))


if may_mount():

    @pytest.mark.slow
    def test_the_disk_is_full(gateway: Site) -> None:
        gateway.home.mkdir()
        with own_disk(gateway.home):
            asyncio.run(story(gateway, filled))
