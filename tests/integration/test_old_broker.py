"""A broker that does not speak the group protocol that is asked of it (D70)."""

import asyncio
from collections.abc import Iterator

import pytest

from humus.errors import BrokerError
from humus.queue.kafka import Runtime, at_least_once
from tests.integration.conftest import defaults
from tests.integration.service import Recorder, eventually, running
from tests.kafka.access import Kafka
from tests.kafka.cluster import Cluster
from tests.kafka.records import Record


@pytest.fixture
def old(kafka: Kafka) -> Iterator[Kafka]:
    """Run a broker of its own for one test, with the consumer protocol switched off."""
    assert kafka.cluster, "skipped where the broker is the user's"
    with Cluster(1) as cluster:
        old = Kafka(cluster.bootstrap, cluster)
        old.tools.features("downgrade", "--feature", "group.version=0")
        yield old


@pytest.mark.asyncio
async def test_a_broker_without_the_consumer_protocol(old: Kafka) -> None:
    """Without KIP-848 the runtime ends, and the error names the protocol to use instead, which works (D70)."""
    await asyncio.to_thread(old.admin.create_topic, "orders")
    await asyncio.to_thread(old.records.produce, "orders", Record(b""))
    recorder = Recorder()
    subscription = at_least_once("orders", recorder.processor("async"))
    with pytest.raises(BrokerError, match="use a newer broker, or group_protocol='classic'"):
        await asyncio.wait_for(
            Runtime(old.bootstrap, "service", subscription, **defaults("consumer")).process_queue(), 60
        )
    assert recorder.started == {}
    async with running(Runtime(old.bootstrap, "service", subscription, **defaults("classic"))):
        await eventually(recorder.count)
