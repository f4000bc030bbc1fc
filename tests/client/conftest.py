"""Bare members, under both group protocols."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.client.members import Member, RebalanceCallback
from tests.kafka.access import Kafka

PROTOCOLS: dict[str, dict[str, Any]] = {
    "classic": {
        "group.protocol": "classic",
        "partition.assignment.strategy": "cooperative-sticky",
        "session.timeout.ms": 6000,
        "heartbeat.interval.ms": 500,
    },
    "consumer": {"group.protocol": "consumer"},
}


class Join(Protocol):
    """The fixture `join`."""

    def __call__(
        self,
        *topics: str,
        config: dict[str, Any] | None = None,
        on_assign: RebalanceCallback | None = None,
        on_revoke: RebalanceCallback | None = None,
        on_lost: RebalanceCallback | None = None,
    ) -> Member:
        """Make a member of the test's group that subscribes to the topics."""
        ...


@pytest.fixture(params=list(PROTOCOLS))
def protocol(request: pytest.FixtureRequest) -> str:
    """Return the group protocol; a test that names it runs under both."""
    name: str = request.param
    return name


@pytest.fixture
def settings(kafka: Kafka, group: str, protocol: str) -> dict[str, Any]:
    """Return a consumer's configuration, as the runtime's: no commit and no stored offset of the client's own."""
    return {
        "bootstrap.servers": kafka.bootstrap,
        "group.id": group,
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "max.poll.interval.ms": 30_000,
        "fetch.queue.backoff.ms": 10,
        **PROTOCOLS[protocol],
    }


@pytest.fixture
def join(settings: dict[str, Any]) -> Iterator[Join]:
    """Make members of the test's group, which are closed at its end."""
    members: list[Member] = []

    def make(
        *topics: str,
        config: dict[str, Any] | None = None,
        on_assign: RebalanceCallback | None = None,
        on_revoke: RebalanceCallback | None = None,
        on_lost: RebalanceCallback | None = None,
    ) -> Member:
        member = Member(settings | (config or {}), topics, on_assign=on_assign, on_revoke=on_revoke, on_lost=on_lost)
        members.append(member)
        return member

    yield make
    for member in members:
        member.close()
