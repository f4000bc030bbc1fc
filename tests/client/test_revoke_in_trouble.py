"""A revoke that is put off while the connection to the coordinator breaks: it still holds the partitions (D40).

The coordinator must go on counting the partitions as this member's, and where the client tells its whole state again,
it must go on naming what it has not given back.
"""

from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import TopicPartition

from tests.client.conftest import Join
from tests.client.members import Member, poll_for, poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually
from tests.kafka.proxy import CONSUMER_HEARTBEAT, HEARTBEAT, Proxy

_PARTITIONS = 4
_SECONDS = 2.5
"""Longer than a consumer group's heartbeat waits for its answer (500 ms and the next scan), shorter than a session."""


@pytest.fixture
def proxy(kafka: Kafka) -> Iterator[Proxy]:
    """Stand before the run's broker."""
    (broker,) = kafka.cluster.brokers
    with Proxy(broker.place) as standing:
        yield standing


def _swallow_heartbeats(proxy: Proxy) -> None:
    proxy.swallow(HEARTBEAT, CONSUMER_HEARTBEAT)


def _cut_an_unanswered_heartbeat(proxy: Proxy) -> None:
    """Only a connection that ends under a heartbeat makes the client of a consumer group send its whole state."""
    swallowed = proxy.swallowed
    _swallow_heartbeats(proxy)
    eventually(lambda: proxy.swallowed > swallowed)
    proxy.cut()


@pytest.mark.parametrize(
    "disturb",
    [Proxy.cut, Proxy.stand_still, _swallow_heartbeats, _cut_an_unanswered_heartbeat],
    ids=["cut", "standstill", "answers lost", "cut under a heartbeat"],
)
def test_partitions_stay_when_the_connection_breaks_before_our_unassign(
    proxy: Proxy, topic: MakeTopic, produce: Produce, join: Join, protocol: str, disturb: Callable[[Proxy], None]
) -> None:
    """While heartbeats fail and the member connects anew, the other one gets nothing before the unassign (D40)."""
    name = topic(_PARTITIONS)
    pending: list[TopicPartition] = []

    def put_off(member: Member, given: list[TopicPartition]) -> None:
        pending.extend(given)
        member.consumer.incremental_assign([])

    first = join(name, config={"bootstrap.servers": proxy.address, "log_level": 0}, on_revoke=put_off)
    poll_until(lambda: len(first.assigned()) == _PARTITIONS, first)
    second = join(name)
    poll_until(lambda: pending, first, second)
    revoked, connected = {at.partition for at in pending}, proxy.connected

    disturb(proxy)
    poll_for(_SECONDS, first, second)
    assert second.assigned() == ()
    proxy.pass_on()
    poll_for(_SECONDS, first, second)
    assert second.assigned() == ()
    assert first.assigned() == (0, 1, 2, 3)
    if protocol == "consumer" or disturb in {Proxy.cut, _cut_an_unanswered_heartbeat}:
        # A classic heartbeat waits for its answer all the session long.
        assert proxy.connected > connected
    assert first.kinds().count("revoke") == 1
    assert "lost" not in first.kinds()

    first.consumer.incremental_unassign(pending)
    poll_until(lambda: set(second.assigned()) == revoked, first, second)
    produce(name, b"to the new owner", partition=min(revoked))
    poll_until(lambda: second.received, first, second)
    assert second.received == [(min(revoked), 0)]
