"""The proxy itself: each of its ways to disturb is one that a client notices, and it ends."""

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually
from tests.kafka.proxy import OFFSET_COMMIT, Proxy


@pytest.fixture
def proxy(kafka: Kafka) -> Iterator[Proxy]:
    """Stand before the run's broker."""
    (broker,) = kafka.cluster.brokers
    with Proxy(broker.place) as standing:
        yield standing


def _client(proxy: Proxy) -> AdminClient:
    client = AdminClient({"bootstrap.servers": proxy.address, "log_level": 0, "reconnect.backoff.max.ms": 200})
    assert client.list_topics(timeout=20).brokers
    return client


@pytest.mark.parametrize("disturb", [Proxy.stand_still, Proxy.refuse], ids=lambda how: how.__name__)
def test_nothing_passes_until_it_may(proxy: Proxy, disturb: Callable[[Proxy], None]) -> None:
    """A client of the proxied listener gets no answer while the proxy stands still or refuses, and then it does."""
    client = _client(proxy)
    disturb(proxy)
    with pytest.raises(KafkaException):
        client.list_topics(timeout=0.5)
    proxy.pass_on()
    assert client.list_topics(timeout=20).brokers


def test_connections_are_cut(proxy: Proxy) -> None:
    """A cut ends the connections that there are, and the client's next one is welcome."""
    client, before = _client(proxy), proxy.connected
    proxy.cut()
    eventually(lambda: client.list_topics(timeout=20).brokers and proxy.connected > before)


def test_it_slows_down(proxy: Proxy, topic: MakeTopic, produce: Produce) -> None:
    """So many bytes a second pass, and no more."""
    name, size, rate = topic(), 100_000, 50_000
    produce(name, b"x" * size)
    consumer = Consumer({"bootstrap.servers": proxy.address, "group.id": "nobody"})
    proxy.slow_down(rate)
    begin = time.monotonic()
    consumer.assign([TopicPartition(name, 0, 0)])
    assert consumer.poll(60) is not None
    assert time.monotonic() - begin > 0.9 * size / rate
    consumer.close()


def test_an_answer_is_swallowed(kafka: Kafka, proxy: Proxy, topic: MakeTopic, group: str) -> None:
    """What is asked happens, its answer does not come, other answers do."""
    name, answers = topic(), list[object]()
    consumer = Consumer(
        {"bootstrap.servers": proxy.address, "group.id": group, "on_commit": lambda *answer: answers.append(answer)}
    )
    consumer.subscribe([name])
    eventually(lambda: consumer.poll(0.1) is None and consumer.assignment())
    proxy.swallow(OFFSET_COMMIT)
    consumer.commit(offsets=[TopicPartition(name, 0, 7)], asynchronous=True)
    eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 7})
    assert consumer.get_watermark_offsets(TopicPartition(name, 0), timeout=20) == (0, 0)
    eventually(lambda: proxy.swallowed == 1)
    consumer.poll(0.1)
    assert not answers
    proxy.pass_on()
    proxy.cut()  # else it would wait for its answer on its way out
    consumer.close()
