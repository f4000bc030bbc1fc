"""The Kafka that tests ask for by naming a fixture: started at the first test that does, shared by the whole run."""

import os
from collections.abc import Iterator

import pytest

from tests.kafka.access import VARIABLE, Kafka, MakeTopic, Produce
from tests.kafka.cluster import Cluster
from tests.kafka.distribution import VERSION, KafkaUnavailable
from tests.kafka.fresh import fresh


def pytest_report_header() -> str:
    """Say which Kafka the tests run on."""
    given = os.environ.get(VARIABLE)
    return (
        f"kafka: yours at {given} ({VARIABLE})"
        if given
        else f"kafka: Apache Kafka {VERSION}, started when first asked for"
    )


def _start(size: int) -> Iterator[Kafka]:
    try:
        cluster = Cluster(size)
    except KafkaUnavailable as error:
        pytest.fail(str(error), pytrace=False)
    with cluster:
        started = Kafka(cluster.bootstrap, cluster)
        yield started
        started.disconnect()


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """One broker for the whole run, or the user's own (`HUMUS_TEST_KAFKA`)."""
    given = os.environ.get(VARIABLE)
    if given:
        yield Kafka(given)
    else:
        yield from _start(1)


@pytest.fixture(scope="session")
def kafka_cluster() -> Iterator[Kafka]:
    """Three brokers for the whole run; a test that stops one starts it again."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"needs a cluster of the run's own, and {VARIABLE} names yours")
    yield from _start(3)


@pytest.fixture
def topic(kafka: Kafka) -> MakeTopic:
    """Make a topic with a fresh name: `topic(partitions=1, config={...})` returns the name."""

    def make(partitions: int = 1, *, config: dict[str, str] | None = None) -> str:
        name = fresh("topic")
        kafka.admin.create_topic(name, partitions, config=config)
        return name

    return make


@pytest.fixture
def group() -> str:
    """Return a group id that nobody used before."""
    return fresh("group")


@pytest.fixture
def produce(kafka: Kafka) -> Produce:
    """Produce records and wait for the broker's confirmation: `produce(topic, b"value", Record(...), partition=0)`."""
    return kafka.records.produce
