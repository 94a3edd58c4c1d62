"""The whole agent as a process, the same files in MicroPython and CPython, against a meter, a broker and a node."""

import asyncio
from pathlib import Path

from edge.image import image_hash
from shared.channel import decode_table
from tests.edge.conftest import Site
from tests.edge.device import Device, until


def test_reads_signs_and_frees(site: Site) -> None:
    async def story() -> None:
        async with site.running() as running:
            node, device = running.node, running.device
            await until(lambda: len(node.log) >= 5)
            await until(lambda: device.count("freed") >= 4)
            await device.kill()
            evidence = node.evidence[-1]  # the first may have come before the meter told what it is
            assert evidence.interpreter.startswith(site.interpreter)
            assert evidence.firmware == image_hash(str(site.image))
            assert evidence.boot == 1
            table = decode_table(evidence.channels[0])
            assert (table.make, table.model, table.serial, table.firmware) == ("Maker", "M 3", "S-1", "1.2")
            assert [(register.obis, register.exponent) for register in table.registers] == [
                ("2.8.0", 0), ("1.8.0", 0), ("16.7.0", 0), ("32.7.0", -1)
            ]  # fmt: skip
            readings = node.readings()
            assert [reading.seq for reading in readings] == list(range(len(readings)))
            assert all(reading.status == 0 and reading.registers[3] == 2301 for reading in readings)
            exports = [reading.registers[0] for reading in readings]
            assert exports == sorted(exports)
            assert len(set(exports)) == len(exports)
            assert set(device.taken()) >= {reading.seq for reading in readings}
            statements = [statement for _, statement, _ in node.log]
            assert {statement.clock for statement in statements} == {4}
            assert {statement.firmware for statement in statements} == {evidence.firmware}
            assert all(statement.count == 5 for statement in statements)
            assert running.broker.pubacks_got > 0

    asyncio.run(story())


def test_killed_again_and_again(site: Site) -> None:
    """SIGKILL at any time: no sequence is used twice, nothing taken is missing, and the book agrees."""

    async def story() -> None:
        async with site.running(start=False) as running:
            node, device = running.node, running.device
            for pause_s in (0.0, 0.31, 0.17, 0.43):
                bundles = len(node.log)
                await device.start()
                await until(lambda bundles=bundles: len(node.log) > bundles)
                await asyncio.sleep(pause_s)
                await device.kill()
            await device.start()
            await until(lambda: node.hellos[-1] == 5)
            taken = max(device.taken())
            await until(lambda: node.next_seq() > taken)
            await device.kill()
            seqs = device.taken()
            assert seqs == list(range(len(seqs)))
            node.check_no_equivocation()
            assert node.lost == set()
            assert [int(line[0]) for line in device.lines("boot")] == [1, 2, 3, 4, 5]
            assert len({statement.boot for _, statement, _ in node.log}) > 2

    asyncio.run(story())


def test_silent_meter(site: Site) -> None:
    """Readings without data while the meter is gone, with the table it last told; its words again afterwards."""

    async def story() -> None:
        async with site.running() as running:
            node, meter = running.node, running.meter
            await until(lambda: len(node.log) >= 1)
            await meter.server.shutdown()
            await until(lambda: any(reading.status == 1 for reading in node.readings()))
            sockets = open_files(running.device)
            bundles = len(node.log)
            await until(lambda: len(node.log) >= bundles + 6)
            assert open_files(running.device) <= sockets + 2, "a socket is left open for every attempt"
            await running.device.kill()
            absent = [reading for reading in node.readings() if reading.status == 1]
            assert all(reading.registers == [None] * 4 for reading in absent)
            assert len({statement.channel_table for _, statement, _ in node.log}) == 1

    asyncio.run(story())


def open_files(device: Device) -> int:
    return len(list(Path(f"/proc/{device.process.pid}/fd").iterdir()))


def test_sockets_are_closed_when_the_broker_is_away(site: Site) -> None:
    async def story() -> None:
        async with site.running() as running:
            await until(lambda: len(running.node.log) >= 1)
            sockets = open_files(running.device)
            await running.broker.stop()
            await until(lambda: running.device.count("disconnects") >= 3)
            assert open_files(running.device) <= sockets + 1

    asyncio.run(story())


def test_unsynced_clock_is_repaired(site: Site) -> None:
    """Before the first time: seconds since boot, clock 0, status 5; after it a time repair in the same chain."""

    async def story() -> None:
        async with TimeServer() as server:
            clock = {"kind": "ntp", "host": "127.0.0.1", "port": server.port}
            server.silent = True
            async with site.running(clock=clock, bundle_count=2) as running:
                node = running.node
                await until(lambda: len(node.log) >= 1)
                assert node.log[0][1].clock == 0
                assert node.log[0][1].start_s < 100
                assert {reading.status for reading in node.log[0][2]} == {5}
                server.silent = False
                await until(lambda: "time-repair" in node.kinds() and node.log[-1][1].clock == 2, 40)
                repair = next(statement.repair for _, statement, _ in node.log if statement.kind == "time-repair")
                assert (repair.boot, repair.clock) == (1, 2)
                assert abs(repair.utc_s - server.utc_s - repair.uptime_s) < 60
                synced = [statement for _, statement, _ in node.log if statement.clock == 2]
                assert abs(synced[0].start_s - server.utc_s) < 60
                clocks = [statement.clock for _, statement, _ in node.log if statement.kind == "readings"]
                assert clocks == sorted(clocks), "sealed apart"

    asyncio.run(story())


class TimeServer(asyncio.DatagramProtocol):
    """Answers SNTP with a time of its own."""

    utc_s = 1_900_000_000
    silent = False

    async def __aenter__(self) -> "TimeServer":
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self.transport.close()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.silent:
            return
        stamp = (self.utc_s + 2_208_988_800).to_bytes(4, "big") + bytes(4)
        self.transport.sendto(b"\x24\x02\x00\xe9" + bytes(20) + data[40:48] + bytes(8) + stamp, addr)


def test_status_line_tells_the_buffer(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.running() as running:
            running.node.enrolled = False
            await until(lambda: running.device.count("unacked") >= 2)
            status = running.device.status
            assert int(status["buffer_free_h"]) <= int(status["buffer_h"])
            assert int(status["oldest_unsent_s"]) >= 1_700_000_000
            assert running.device.count("freed") == 0
            assert await running.device.stop() == 0
            assert running.device.output[-1] == "stopped"

    asyncio.run(story())


def test_drain_ends_when_all_is_acked(site: Site) -> None:
    async def story() -> None:
        async with site.running(start=False) as running:
            running.node.enrolled = False
            await running.device.start()
            await until(lambda: len(running.device.taken()) > 12)
            await running.device.kill()
            running.node.enrolled = True
            running.device.arguments = ["drain"]
            await running.device.start()
            assert await asyncio.wait_for(running.device.process.wait(), 30) == 0
            assert running.node.next_seq() == len(running.device.taken())

    asyncio.run(story())
