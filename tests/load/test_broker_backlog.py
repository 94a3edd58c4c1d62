"""One client of our broker reads and confirms nothing: it gets no more than the bound, and the others get everything."""

import asyncio
from pathlib import Path

import pytest

from edge import mqtt, mqtt_opening
from server.bench.fleet import READ_BYTES, Link
from server.broker import DELIVERIES_MAX
from tests.e2e.real_broker import RealBroker

TOPIC = "meterproof/v1/a/b/bundle"
MORE = 300


async def count(link: Link, until: int) -> int:
    """Messages that come, each confirmed, until there are so many or none comes for a while."""
    seen = 0
    packets = link.packets()
    while seen < until:
        try:
            packet = await asyncio.wait_for(anext(packets), 5)
        except TimeoutError:
            break
        seen += packet.type == mqtt.PUBLISH
    return seen


async def count_unconfirmed(reader: asyncio.StreamReader) -> int:
    """The same of one who never confirms."""
    parser, seen = mqtt.Reader(READ_BYTES), 0
    while True:
        try:
            parser.feed(await asyncio.wait_for(reader.read(parser.room()), 3))
        except TimeoutError:
            return seen
        while (packet := parser.next()) is not None:
            seen += packet.type == mqtt.PUBLISH


@pytest.mark.slow
def test_who_confirms_nothing_fills_no_memory_and_holds_nobody_up(tmp_path: Path) -> None:
    async def story() -> None:
        async with RealBroker("amqtt", tmp_path) as broker:
            reader, writer = await asyncio.open_connection("127.0.0.1", broker.own_port)
            writer.write(mqtt_opening.build_connect("silent", 60, None, None) + mqtt_opening.build_subscribe(1, (TOPIC,)))
            other = await Link.open(broker.own_port, "other", (TOPIC,))
            sender = await Link.open(broker.own_port, "sender")
            confirming = asyncio.create_task(count(sender, 1 << 30))
            counting = asyncio.create_task(count(other, DELIVERIES_MAX + MORE))
            for number in range(DELIVERIES_MAX + MORE):
                sender.publish(TOPIC, number.to_bytes(4, "big"))
                if number % 50 == 49:
                    await asyncio.sleep(0.05)
            assert await counting == DELIVERIES_MAX + MORE
            assert 0 < await count_unconfirmed(reader) <= DELIVERIES_MAX
            confirming.cancel()
            for link in (other, sender):
                link.close()
            writer.close()
        assert "messages dropped" in (tmp_path / "broker.log").read_text()

    asyncio.run(story())
