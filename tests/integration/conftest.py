"""Runtimes for the tests, under both group protocols, and a broker to break."""

import os
from collections.abc import Iterator
from typing import Any, Protocol, cast

import pytest

from humus.queue.kafka import Runtime, Subscription
from tests.integration import service
from tests.kafka import secure
from tests.kafka.access import VARIABLE, Kafka
from tests.kafka.cluster import Cluster
from tests.kafka.secure import SecureKafka


class MakeRuntime(Protocol):
    """The fixture `runtime`."""

    def __call__(self, *subscriptions: Subscription, **options: Any) -> Runtime:
        """Make a member of the test's group, on the test's Kafka or `brokers`; `options` as the runtime's own."""
        ...


one_protocol = pytest.mark.parametrize("protocol", ["classic"])
"""For tests of what has nothing to do with the group's protocol."""


@pytest.fixture(params=["classic", "consumer"])
def protocol(request: pytest.FixtureRequest) -> service.Protocol:
    """Return the group protocol; a test that names it, or `runtime`, runs under both."""
    return cast("service.Protocol", request.param)


@pytest.fixture(params=["async", "def"])
def kind(request: pytest.FixtureRequest) -> service.Kind:
    """Return the shape of processor; a test that names it runs with both."""
    return cast("service.Kind", request.param)


@pytest.fixture
def runtime(kafka: Kafka, group: str, protocol: service.Protocol) -> MakeRuntime:
    """Make members of the test's group, with session time-outs that suit a test."""

    def make(*subscriptions: Subscription, **options: Any) -> Runtime:
        brokers = options.pop("brokers", kafka.bootstrap)
        return Runtime(brokers, group, *subscriptions, **{**defaults(protocol), **options})

    return make


def defaults(protocol: service.Protocol) -> dict[str, Any]:
    """Return options for a test: failures are noticed soon, by either protocol."""
    common: dict[str, Any] = {"group_protocol": protocol, "drain_timeout": 5, "commit_interval": 0.2}
    return common if protocol == "consumer" else {**common, "session_timeout": 6}


@pytest.fixture(scope="session")
def breakable() -> Iterator[Kafka]:
    """One more broker, to freeze and to stop: nobody else's tests run on it."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"needs a broker of the run's own, and {VARIABLE} names yours")
    with Cluster(1) as cluster:
        yield Kafka(cluster.bootstrap, cluster)


@pytest.fixture(scope="session")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """One more broker, with listeners for certificates, passwords and tokens."""
    if os.environ.get(VARIABLE):
        pytest.skip(f"needs a broker of the run's own, and {VARIABLE} names yours")
    with secure.secure_kafka(tmp_path_factory.mktemp("certificates")) as started:
        yield started
