"""A node that goes on from an old copy, against SPEC section 13: what it had acked and lost does not stay hidden."""

import asyncio

from server.evidence.chain import Chain, Step, apply_statement
from tests.edge.conftest import Site
from tests.edge.device import until
from tests.edge.node import Node

KEPT = 2


def put_back(node: Node) -> set[int]:
    """As it was when it held the first KEPT statements of the device; gives the sequences it had acked beyond them."""
    acked = node.chain.next_seq
    node.log = sorted(node.log, key=lambda entry: entry[1].first_seq)[:KEPT]
    node.chain = Chain()
    for identity, statement, _ in node.log:
        apply_statement(node.chain, statement, identity)
    node.logged = {reading.seq for reading in node.readings()}
    node.lost.clear()
    return set(range(node.chain.next_seq, acked))


def steps_of(node: Node) -> list[Step]:
    chain = Chain()
    return [apply_statement(chain, statement, identity) for identity, statement, _ in node.log]


def test_a_device_names_what_it_was_acked_and_the_node_lost(gateway: Site) -> None:
    async def story() -> None:
        async with gateway.running(start=False) as running:
            node, device = running.node, running.device
            await device.start()
            await until(lambda: device.count("freed") >= 5)
            await running.broker.stop()
            forgotten = put_back(node)
            freed = {seq for seq in forgotten if seq < 5 * device.count("freed")}
            assert freed
            await running.broker.start()
            await until(lambda: freed <= node.lost | node.logged, 60)
            gaps = [statement for _, statement, _ in node.log if statement.kind == "gap"]
            assert {lost.reason for gap in gaps for lost in gap.lost} == {2}
            assert freed <= node.lost and not node.lost & node.logged
            assert any(step.broken_after for step in steps_of(node)), "the chain goes on as if nothing had happened"
            node.check_no_equivocation()

    asyncio.run(story())
