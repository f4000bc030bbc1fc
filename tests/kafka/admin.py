"""The quick look at the other end: topics, offsets and groups through librdkafka's admin client."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, TypeVar

from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    IsolationLevel,
    KafkaException,
    TopicPartition,
)
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    MemberDescription,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourcePatternType,
    ResourceType,
)

__all__ = ["AclOperation", "Admin", "ResourceType", "eventually"]

_WITHIN = 20.0
_COORDINATOR_MOVES = frozenset({"COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"})
_LED_WITHIN = 60.0
"""Hundreds of partitions on three brokers take a while, on a busy machine."""
T = TypeVar("T")


def eventually(
    ask: Callable[[], T], holds: Callable[[T], bool] = bool, *, within: float = _WITHIN, every: float = 0.05
) -> T:
    """Ask until the answer holds, and return it.

    Raises:
        AssertionError: it does not within so many seconds; names the last answer.
    """
    deadline = time.monotonic() + within
    while not holds(answer := ask()):
        assert time.monotonic() < deadline, f"still {answer!r} after {within:g} s"
        time.sleep(every)
    return answer


class Admin:
    """Topics, offsets and groups of one cluster. Every method waits for the broker's answer."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._readers: dict[str, Consumer] = {}
        self._asking = threading.Lock()
        self._client = AdminClient({"bootstrap.servers": bootstrap, "client.id": "humus-tests-admin", "log_level": 0})

    def create_topic(
        self, name: str, partitions: int = 1, *, replicas: int = -1, config: Mapping[str, str] | None = None
    ) -> None:
        """Create a topic and wait until every partition has a leader; `replicas` -1 is the broker's default."""
        new = NewTopic(name, num_partitions=partitions, replication_factor=replicas, config=dict(config or {}))
        _answer(self._client.create_topics([new]))
        eventually(
            lambda: self._leaders(name),
            lambda found: len(found) == partitions and min(found.values()) >= 0,
            within=_LED_WITHIN,
        )

    def delete_topic(self, name: str) -> None:
        """Delete a topic."""
        _answer(self._client.delete_topics([name]))

    def add_partitions(self, name: str, total: int) -> None:
        """Grow a topic to `total` partitions."""
        _answer(self._client.create_partitions([NewPartitions(name, total)]))

    def delete_records(self, topic: str, partition: int, before: int) -> None:
        """Delete the records of a partition below an offset, as retention would."""
        _answer(self._client.delete_records([TopicPartition(topic, partition, before)]))

    def leader(self, topic: str, partition: int = 0) -> int:
        """Return the number of the broker that leads a partition; -1 where none does."""
        return self._leaders(topic).get(partition, -1)

    def in_sync(self, topic: str) -> dict[int, int]:
        """Return how many replicas of each partition are in sync with its leader."""
        found = self._client.list_topics(topic, timeout=_WITHIN).topics[topic]
        return {number: len(at.isrs) for number, at in found.partitions.items()}

    def partitions(self, topic: str) -> list[int]:
        """Return the numbers of a topic's partitions."""
        return sorted(self._leaders(topic))

    def end_offsets(self, topic: str, *, committed_only: bool = False) -> dict[int, int]:
        """Return the end of every partition: the high watermark, or the last stable offset where `committed_only`."""
        level = IsolationLevel.READ_COMMITTED if committed_only else IsolationLevel.READ_UNCOMMITTED
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call, assignment, unused-ignore]
        wanted = {TopicPartition(topic, number): latest for number in self.partitions(topic)}
        found = self._client.list_offsets(wanted, isolation_level=level)
        return {at.partition: future.result().offset for at, future in found.items()}

    def committed(self, group: str, topic: str) -> dict[int, int]:
        """Return the group's committed offset of every partition that has one.

        Asked by a consumer that joins no group: librdkafka's admin client (2.16) crashes the process when the
        coordinator is not there yet (`rd_kafka_handle_OffsetFetch` looks for a consumer's group).
        """
        wanted = [TopicPartition(topic, at) for at in self.partitions(topic)]
        with self._asking:
            if group not in self._readers:
                own = {"group.id": group, "enable.auto.commit": False, "log_level": 0}
                self._readers[group] = Consumer({"bootstrap.servers": self._bootstrap, **own})
            reader = self._readers[group]
            found = _of_coordinator(lambda: reader.committed(wanted, timeout=_WITHIN))
        return {at.partition: at.offset for at in found if at.offset >= 0}

    def close(self) -> None:
        """Let go of the clients."""
        for reader in self._readers.values():
            reader.close()

    def lag(self, group: str, topic: str) -> int:
        """Return how many offsets of the topic the group has not committed yet, all partitions together."""
        committed = self.committed(group, topic)
        return sum(end - committed.get(at, 0) for at, end in self.end_offsets(topic, committed_only=True).items())

    def members(self, group: str) -> Sequence[MemberDescription]:
        """Return the group's members as its coordinator sees them."""
        return tuple(self._described(group).members)

    def state(self, group: str) -> ConsumerGroupState:
        """Return the group's state."""
        found: ConsumerGroupState = self._described(group).state
        return found

    def _described(self, group: str) -> Any:
        return _of_coordinator(lambda: _answer(self._client.describe_consumer_groups([group])))

    def allow(self, user: str, kind: ResourceType, name: str, *operations: AclOperation) -> None:
        """Grant a user of the SASL listener operations on one topic or group."""
        bindings = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]
        for future in self._client.create_acls(bindings).values():
            future.result(_WITHIN)

    def take_back(self, user: str, kind: ResourceType, operation: AclOperation) -> None:
        """Take an operation back that a user was granted on topics or groups, on all of them."""
        every: Any = None  # as the client's documentation says; its types do not
        who, pattern = f"User:{user}", ResourcePatternType.ANY
        granted = AclBindingFilter(kind, every, pattern, who, every, operation, AclPermissionType.ALLOW)
        for future in self._client.delete_acls([granted]).values():
            future.result(_WITHIN)

    def _leaders(self, topic: str) -> dict[int, int]:
        found = self._client.list_topics(topic, timeout=_WITHIN).topics[topic]
        return {} if found.error else {number: at.leader for number, at in found.partitions.items()}


def _answer(futures: "Mapping[Any, Future[Any]]") -> Any:
    (future,) = futures.values()
    return future.result(_WITHIN)


def _of_coordinator(ask: Callable[[], T]) -> T:
    """Ask again while the group's coordinator moves or has only just begun."""
    deadline = time.monotonic() + _WITHIN
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].name() not in _COORDINATOR_MOVES or time.monotonic() > deadline:
                raise
        time.sleep(0.1)
