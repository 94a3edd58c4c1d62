"""The sequencer: commit order, write errors that kept or lost what they wrote, and a head that only moves forward."""

import asyncio
from pathlib import Path

import pytest

from server.evidence import log as log_module
from server.evidence.chain import encode_chain
from server.evidence.derive import read_chain
from server.evidence.log import EvidenceLog
from shared import note
from shared.errors import VerifyError
from tests.evidence.backend import NODE, open_half
from tests.evidence.fleet import ORIGIN, Device, key_of


def test_an_empty_log_publishes_a_checkpoint(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_half(tmp_path):
            vkey = note.Vkey(ORIGIN, note.key_id_of(ORIGIN, NODE.raw), NODE.raw)
            checkpoint, _ = note.open_checkpoint((tmp_path / "evidence-log/checkpoint").read_bytes(), [vkey])
            assert checkpoint.size == 0

    asyncio.run(story())


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("where", ["entries", "tiles", "swap", "publish"])
def test_an_error_at_any_write_promises_nothing_and_recovers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, kept: bool
) -> None:
    """Each write fails once, either not done or done and reported as failed; the device sends again, the log has each statement once."""
    failed: list[str] = []

    def failing(real):
        async def wrapped_async(*args):
            if failed:
                return await real(*args)
            failed.append(where)
            if kept:
                await real(*args)
            raise OSError(28, "No space left on device")

        def wrapped(*args):
            if failed:
                return real(*args)
            failed.append(where)
            if kept:
                real(*args)
            raise OSError(28, "No space left on device")

        return wrapped_async if asyncio.iscoroutinefunction(real) else wrapped

    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            first = meter.readings()
            await half.ack(meter, first)
            if where in ("entries", "tiles"):
                name = f"write_{where}"
                monkeypatch.setattr(half.log._tiles, name, failing(getattr(half.log._tiles, name)))
            elif where == "publish":
                monkeypatch.setattr(log_module, "write_file", failing(log_module.write_file))
            else:
                run = half.store.writer.run

                async def once(work):
                    if failed:
                        return await run(work)
                    failed.append(where)
                    if kept:
                        await run(work)
                    raise OSError(5, "Input/output error")

                monkeypatch.setattr(half.store.writer, "run", once)
            second, third = meter.readings(), meter.readings()
            await half.send(meter, second)
            assert failed and half.replies() == [], "nothing is promised on an error"
            ack = await half.ack(meter, second, third)
            assert (ack.next_seq, ack.identity, ack.log_size) == (9, third.identity, 3)
            assert [half.log.reader.entry(i) for i in range(3)] == [first.statement, second.statement, third.statement]
        async with open_half(tmp_path, meter) as half:
            assert half.log.head.size == 3 and (await half.log.ack_of(meter.id)).next_seq == 9

    asyncio.run(story())


def test_a_head_moved_by_another_process_ends_this_one(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            other = await EvidenceLog.open(tmp_path / "evidence-log", half.store, ORIGIN, NODE)
            running = asyncio.create_task(other.run())
            await half.ack(meter, meter.readings())
            half.ingest._log = other
            await half.send(meter, meter.readings())
            with pytest.raises(VerifyError, match="270"):
                await running
            assert half.replies() == [] and (await half.store.head()).size == 1

    asyncio.run(story())


def test_tiles_that_do_not_make_the_signed_root_stop_the_start(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings(), meter.readings(), meter.readings())
        path = tmp_path / "evidence-log/tile/0/000.p/3"
        path.write_bytes(path.read_bytes()[::-1])
        with pytest.raises(VerifyError, match="270"):
            async with open_half(tmp_path, meter):
                pass

    asyncio.run(story())


@pytest.mark.parametrize("whole", [True, False])
def test_an_old_copy_of_the_store_forks_nothing(tmp_path: Path, whole: bool) -> None:
    """Its head is behind the published checkpoint, or it is gone: the published tiles stay as they are and nothing else is signed."""

    async def story() -> None:
        meter, store = Device("m1"), tmp_path / "evidence.sqlite"
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
        old = store.read_bytes()
        async with open_half(tmp_path, meter) as half:
            await half.ack(meter, meter.readings())
        files = {path: path.read_bytes() for path in (tmp_path / "evidence-log").rglob("*") if path.is_file()}
        for path in tmp_path.glob("evidence.sqlite*"):
            path.unlink()
        if whole:
            store.write_bytes(old)
        with pytest.raises(VerifyError, match="old copy"):
            async with open_half(tmp_path, meter):
                pass
        assert {path: path.read_bytes() for path in (tmp_path / "evidence-log").rglob("*") if path.is_file()} == files

    asyncio.run(story())


def test_the_log_of_another_origin_is_not_taken_over(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_half(tmp_path) as half:
            with pytest.raises(VerifyError, match="270"):
                await EvidenceLog.open(tmp_path / "evidence-log", half.store, "example.org/other", key_of("node"))

    asyncio.run(story())


def test_chains_in_memory_are_bounded_and_are_what_the_store_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "CHAINS_MAX", 3)

    async def story() -> None:
        fleet = [Device(f"m{i}") for i in range(5)]
        async with open_half(tmp_path, *fleet) as half:
            for turn in range(1, 4):
                for meter in fleet:
                    sent = meter.readings()
                    assert (await half.ack(meter, sent, sent)).next_seq == 3 * turn
                    assert len(half.log._chains) <= 3
            for device, chain in half.log._chains.items():
                assert encode_chain(chain) == encode_chain(await read_chain(half.store.reader, device))
            monkeypatch.setattr(log_module, "write_file", None)  # an error after the head moved: what memory held is no longer trusted
            await half.send(fleet[4], fleet[4].readings())
            monkeypatch.undo()
            monkeypatch.setattr(log_module, "CHAINS_MAX", 3)
            assert fleet[4].id not in half.log._chains
            assert (await half.ack(fleet[4], fleet[4].readings())).next_seq == 15

    asyncio.run(story())


def test_one_damaged_chain_does_not_stop_other_devices(tmp_path: Path) -> None:
    async def story() -> None:
        broken, sound = Device("m1"), Device("m2")
        async with open_half(tmp_path, broken, sound) as half:
            await half.ack(broken, broken.readings())

            async def work(conn):
                await conn.execute("UPDATE chains SET state = x'80'")

            await half.store.writer.run(work)
        async with open_half(tmp_path, broken, sound) as half:
            await asyncio.gather(half.send(broken, broken.readings()), half.send(sound, sound.readings()))
            (ack,) = half.replies()
            assert ack.device == sound.id and ack.next_seq == 3

    asyncio.run(story())
