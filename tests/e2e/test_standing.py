"""What an operator does to a device, as the real device sees it: suspended, resumed, revoked, firmware withdrawn."""

import asyncio

from server.main import Backend
from shared.types import Evidence
from tests.e2e.site import Site, until


async def first_boot(site: Site, backend: Backend) -> Evidence:
    """Enrolled and acked."""
    await site.device.start()
    evidence = await site.enroll(backend)
    await until(lambda: site.broker.acks)
    return evidence


async def second_boot(site: Site) -> None:
    await site.device.kill()
    await site.device.start()


def test_suspended_it_waits_and_resumed_it_sends_everything(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.opened(), Backend(gateway.config) as backend:
            device = gateway.device
            await device.start()
            await gateway.enroll(backend)
            await until(lambda: device.count("freed") >= 2)

            await gateway.transact(backend, "device.suspend", {1: gateway.device_id, 2: "inspection"})
            silent = backend.ingest.counts["silent"]
            await until(lambda: backend.ingest.counts["silent"] >= silent + 4 and device.count("unacked") >= 4)
            size, answers = backend.evidence.head.size, len(gateway.broker.acks)
            silent = backend.ingest.counts["silent"]
            await until(lambda: backend.ingest.counts["silent"] >= silent + 2)
            assert (backend.evidence.head.size, len(gateway.broker.acks), gateway.broker.refusals) == (size, answers, [])

            await gateway.transact(backend, "device.resume", {1: gateway.device_id, 2: "inspected"})
            await until(lambda: backend.evidence.head.size >= size + 6)
            await gateway.drain()
        await gateway.check_whole()

    asyncio.run(story())


def test_revoked_it_is_told_and_keeps_on_reading(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.opened(), Backend(gateway.config) as backend:
            device = gateway.device
            await device.start()
            await gateway.enroll(backend)
            await until(lambda: device.count("freed") >= 2)

            await gateway.transact(backend, "device.revoke", {1: gateway.device_id, 2: "sold"})
            size = backend.evidence.head.size
            await until(lambda: device.count("refused_322") >= 3)
            taken = device.count("taken")
            await until(lambda: device.count("taken") > taken)
            assert {refusal.code for refusal in gateway.broker.refusals} == {322}
            assert backend.evidence.head.size - size <= 1, "but for one that was on its way"
            await device.kill()

            # At its next start it is not even challenged.
            quarantined, evidence = backend.ingest.counts["quarantined"], backend.ingest.counts["attested"]
            await device.start()
            await until(lambda: backend.ingest.counts["quarantined"] > quarantined)
            assert backend.ingest.counts["attested"] == evidence
        assert (await gateway.report()).lost == 0

    asyncio.run(story())


def test_withdrawn_firmware_is_refused_at_the_next_start(gateway: Site) -> None:
    """Its evidence goes to quarantine with the reason. What it measures is still logged: statements rest on its key."""

    async def story() -> None:
        async with gateway.opened(), Backend(gateway.config) as backend:
            evidence = await first_boot(gateway, backend)
            await gateway.transact(backend, "firmware.withdraw", {1: evidence.firmware})
            await second_boot(gateway)
            quarantined = backend.ingest.counts["quarantined"]
            await until(lambda: backend.ingest.counts["quarantined"] > quarantined)
            rows = await backend.attestations.of_device(gateway.device_id)
            assert (rows[0].verdict, rows[0].code, rows[0].boot) == ("refused", 252, 2)
            size = backend.evidence.head.size
            await until(lambda: backend.evidence.head.size > size)

    asyncio.run(story())


def test_withdrawn_firmware_is_flagged_where_the_node_says_so(site: Site) -> None:
    async def story() -> None:
        async with site.opened("--unknown-firmware", "flag"), Backend(site.config) as backend:
            evidence = await first_boot(site, backend)
            assert evidence.interpreter.startswith(site.interpreter)
            await site.transact(backend, "firmware.withdraw", {1: evidence.firmware})
            await second_boot(site)
            attested = backend.ingest.counts["attested"]
            await until(lambda: backend.ingest.counts["attested"] > attested)
            rows = await backend.attestations.of_device(site.device_id)
            assert (rows[0].verdict, rows[0].code, rows[0].boot) == ("flagged", 252, 2)

    asyncio.run(story())
