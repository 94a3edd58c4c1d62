"""Evidence files as built by a backend, verified by the offline verifier under a policy."""

import asyncio
import contextlib
import sqlite3
from pathlib import Path

import pytest

from shared.errors import MeterproofError, RuleError, Unavailable, VerifyError
from shared.verify.verifier import verify_evidence
from tests.evidence.fleet import Device
from tests.evidence.whole import open_whole


def test_the_file_of_one_reading_is_proven_offline(tmp_path: Path) -> None:
    async def story() -> None:
        meter, other = Device("m1"), Device("m2")
        async with open_whole(tmp_path, meter, other) as whole:
            for _ in range(6):
                await whole.half.send(meter, meter.readings(60))
                await whole.half.send(other, other.readings(60))
                await whole.anchor.anchor()
            for seq in (0, 59, 60, 200, 359):
                data = await whole.files.build(meter.id, seq)
                report = verify_evidence(data, whole.policy)
                assert report.trusted and report.opened.reading.seq == seq and len(data) <= 4096
                assert report.opened.reading.registers[0] == 1000 + 10 * seq

    asyncio.run(story())


def test_numbers_that_no_table_explains_are_kept_and_found_but_prove_nothing(tmp_path: Path) -> None:
    """SPEC 3: what a device signed is evidence, also when its registers are not those of its channel table."""

    async def story() -> None:
        meter = Device("m1")
        meter.registers = [1000, 5000, 7]
        async with open_whole(tmp_path, meter) as whole:
            ack = await whole.half.ack(meter, meter.readings(5))
            assert ack.next_seq == 5 and await whole.half.kinds() == ["register-count"]
            await whole.anchor.anchor()
            with pytest.raises(VerifyError, match="247"):
                verify_evidence(await whole.files.build(meter.id, 3), whole.policy)

    asyncio.run(story())


def test_any_changed_byte_is_refused(tmp_path: Path) -> None:
    async def story() -> bytes:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings(5))
            await whole.anchor.anchor()
            return await whole.files.build(meter.id, 3), whole.policy

    data, policy = asyncio.run(story())
    for at in range(0, len(data), 7):
        broken = bytearray(data)
        broken[at] ^= 1 << at % 8
        with pytest.raises(MeterproofError):
            verify_evidence(bytes(broken), policy)


def test_what_cannot_be_proven_yet_or_ever_says_why(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            with pytest.raises(RuleError, match="303"):
                await whole.files.build(meter.id, 0)
            await whole.half.send(meter, meter.readings(5))
            with pytest.raises(Unavailable, match="450"):
                await whole.files.build(meter.id, 0)
            await whole.anchor._add_batches(whole.half.log.head.size)
            with pytest.raises(Unavailable, match="waits for votes"):
                await whole.files.build(meter.id, 0)
            await whole.anchor.anchor()
            assert verify_evidence(await whole.files.build(meter.id, 4), whole.policy).trusted
            with pytest.raises(RuleError, match="303"):
                await whole.files.build(meter.id, 5)

    asyncio.run(story())


def test_objected_and_erased_readings_give_no_file(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            await whole.half.send(meter, meter.readings(5), meter.readings(5))
        with contextlib.closing(sqlite3.connect(tmp_path / "evidence.sqlite")) as conn, conn:
            conn.execute("UPDATE rows SET salt = zeroblob(16) WHERE log_index = 0")
        async with open_whole(tmp_path, meter) as whole:
            await whole.anchor.anchor()
            with pytest.raises(VerifyError, match="233"):
                await whole.files.build(meter.id, 0)
            assert verify_evidence(await whole.files.build(meter.id, 5), whole.policy).trusted
            with contextlib.closing(sqlite3.connect(tmp_path / "evidence.sqlite")) as conn, conn:
                conn.execute("DELETE FROM rows WHERE log_index = 1")
            with pytest.raises(VerifyError, match="232"):
                await whole.files.build(meter.id, 5)

    asyncio.run(story())


def test_the_batch_is_found_among_many(tmp_path: Path) -> None:
    async def story() -> None:
        meter = Device("m1")
        async with open_whole(tmp_path, meter) as whole:
            for count in (1, 3, 1, 2):
                await whole.half.send(meter, *[meter.readings(2) for _ in range(count)])
                await whole.anchor.anchor()
            for bundle, number in enumerate([0, 1, 1, 1, 2, 3, 3]):
                report = verify_evidence(await whole.files.build(meter.id, 2 * bundle), whole.policy)
                assert report.opened.file.batch_number == number

    asyncio.run(story())
