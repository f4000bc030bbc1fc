"""A subscription to a topic that does not exist, and what finds it once it does (D70)."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from tests.client.conftest import Join
from tests.client.members import poll_until
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.fresh import fresh


def test_classic_says_so_once_and_consumer_never(topic: MakeTopic, join: Join, protocol: str) -> None:
    """The classic protocol gives one error record for the missing topic; the consumer protocol gives no sign of it."""
    known, missing = topic(), fresh("missing")
    member = join(known, missing, config={"topic.metadata.refresh.interval.ms": 500})
    poll_until(member.assigned, member)
    for _ in range(100):
        member.poll()
    expected = [KafkaError.UNKNOWN_TOPIC_OR_PART] if protocol == "classic" else []
    assert [error.code() for error in member.errors] == expected


@pytest.mark.parametrize("nudge", ["refresh", "list_topics", "subscribe"])
def test_it_is_found_soon_after_its_creation(
    kafka: Kafka, topic: MakeTopic, produce: Produce, join: Join, nudge: str
) -> None:
    """A short metadata refresh finds it, as does listing all topics, or subscribing again; all within seconds.

    Left alone the classic protocol looks only every 5 minutes, once another topic of the subscription exists.
    """
    known, late = topic(), fresh("late")
    refresh: dict[str, Any] = {"topic.metadata.refresh.interval.ms": 1000} if nudge == "refresh" else {}
    member = join(known, late, config=refresh)
    poll_until(member.assigned, member)
    for _ in range(10):
        member.poll()
    kafka.admin.create_topic(late)
    produce(late, b"x")
    if nudge == "list_topics":
        member.consumer.list_topics(timeout=10)
    elif nudge == "subscribe":
        member.consumer.subscribe([known, late])
    poll_until(lambda: member.received, member, within=20)


@pytest.mark.parametrize("protocol", ["classic"], indirect=True)
def test_listing_the_one_topic_does_not_help(kafka: Kafka, topic: MakeTopic, produce: Produce, join: Join) -> None:
    """`list_topics(topic)` on the same handle tells us that it is there, but not the group (classic)."""
    known, late = topic(), fresh("late")
    member = join(known, late)
    poll_until(member.assigned, member)
    kafka.admin.create_topic(late)
    produce(late, b"x")
    assert member.consumer.list_topics(late, timeout=10).topics[late].error is None
    for _ in range(100):
        member.poll()
    assert member.received == []
