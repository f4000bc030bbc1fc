"""Brokers that restart, are killed and stand still, and with them leaders and coordinators that move (D71)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.fleet import Fleet
from tests.integration.service import eventually
from tests.kafka.access import Kafka
from tests.kafka.broker import Broker

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(300)]

SOON = {"reconnect.backoff.max.ms": 500}


@asynccontextmanager
async def killed(kafka: Kafka, broker: Broker) -> AsyncIterator[None]:
    """Kill a broker for the block."""
    await asyncio.to_thread(broker.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(kafka.cluster.start, broker)


@asynccontextmanager
async def frozen(broker: Broker) -> AsyncIterator[None]:
    """Freeze a broker for the block."""
    broker.freeze()
    try:
        yield
    finally:
        broker.thaw()


def leaders(fleet: Fleet) -> set[int]:
    """Return the brokers that lead any partition."""
    return {fleet.kafka.admin.leader(ship.name, at) for ship in fleet.ships for at in range(3)}


def least_in_sync(fleet: Fleet) -> int:
    """Return how many replicas of a partition have all records, where they are the fewest."""
    return min(count for ship in fleet.ships for count in fleet.kafka.admin.in_sync(ship.name).values())


async def test_the_only_broker_restarts(breakable: Kafka) -> None:
    """It is gone, shown as a problem while it is, and all goes on by itself when it is back (D70, D71)."""
    (broker,) = breakable.cluster.brokers
    async with Fleet.at_sea(breakable, breakable.bootstrap, librdkafka=SOON) as fleet:
        await fleet.works()
        async with killed(breakable, broker):
            await fleet.until(lambda ship: ship.status().problems)
        await fleet.works()
        await fleet.is_well()
        fleet.assert_kept()


async def test_leaders_and_coordinators_move(kafka_cluster: Kafka) -> None:
    """With one broker of three killed, or frozen, the others take over, and so do the members (D71)."""
    async with Fleet.at_sea(kafka_cluster, kafka_cluster.bootstrap, partitions=3, librdkafka=SOON) as fleet:
        await fleet.works()
        first, second, third = kafka_cluster.cluster.brokers
        async with killed(kafka_cluster, first):
            await fleet.works()
        await eventually(lambda: least_in_sync(fleet) == 3, within=60)  # two replicas away, and topics stand still
        fleet.kafka = Kafka(",".join(each.place.address(each.place.plain) for each in (first, third)))
        async with frozen(second):
            await eventually(lambda: second.place.node not in leaders(fleet), within=60)
            await fleet.works(within=40)
        await fleet.works()
        await fleet.is_well()
        fleet.assert_kept()
        fleet.kafka.disconnect()
