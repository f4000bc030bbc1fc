"""A group member that is nothing but the bare client and a notebook."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

__all__ = ["Event", "Member", "partitions", "poll_for", "poll_until"]

Event = tuple[str, tuple[int, ...]]
"""A rebalance callback: `assign`, `revoke` or `lost`, and the partitions."""

RebalanceCallback = Callable[["Member", list[TopicPartition]], None]


def partitions(given: Iterable[TopicPartition]) -> tuple[int, ...]:
    """Return the numbers, in order."""
    return tuple(sorted(at.partition for at in given))


class Member:
    """A consumer that notes what comes to it; one thread polls all members of a test in turn.

    `events` are rebalance callbacks, `received` partition and offset of each record, `errors` error records of
    `consume()`, `troubles` what the error callback got, `commits` what the commit callback got.
    """

    def __init__(
        self,
        config: dict[str, Any],
        topics: Sequence[str],
        *,
        on_assign: RebalanceCallback | None = None,
        on_revoke: RebalanceCallback | None = None,
        on_lost: RebalanceCallback | None = None,
    ) -> None:
        self.events: list[Event] = []
        self.received: list[tuple[int, int]] = []
        self.errors: list[KafkaError] = []
        self.troubles: list[KafkaError] = []
        self.commits: list[tuple[KafkaError | None, list[TopicPartition]]] = []
        self.consumer = Consumer({**config, "on_commit": self._committed, "error_cb": self.troubles.append})
        self._open = True
        acts = {"assign": on_assign, "revoke": on_revoke, "lost": on_lost}
        self.consumer.subscribe(list(topics), **{f"on_{kind}": self._noting(kind, act) for kind, act in acts.items()})

    def poll(self, seconds: float = 0.02, most: int = 500) -> list[Message]:
        """Let the client work for up to so long, and note what comes."""
        messages = self.consumer.consume(1, seconds)
        messages += self.consumer.consume(most - 1, 0) if messages and most > 1 else []
        for message in messages:
            error = message.error()
            if error is None:
                self.received.append((_number(message.partition()), _number(message.offset())))
            else:
                self.errors.append(error)
        return messages

    def assigned(self) -> tuple[int, ...]:
        """Return the partitions that the client counts as assigned."""
        return partitions(self.consumer.assignment())

    def position(self, topic: str, partition: int = 0) -> int:
        """Return the client's position: the next offset to deliver; -1001 where it has none yet."""
        (at,) = self.consumer.position([TopicPartition(topic, partition)])
        return at.offset

    def commit(self, topic: str, offsets: dict[int, int]) -> None:
        """Commit asynchronously; the answer is noted in `commits` by a later `poll`."""
        self.consumer.commit(offsets=[TopicPartition(topic, *at) for at in offsets.items()], asynchronous=True)

    def commit_and_wait(self, topic: str, offsets: dict[int, int]) -> KafkaError | None:
        """Commit synchronously and return the broker's error, if any."""
        try:
            done = self.consumer.commit(
                offsets=[TopicPartition(topic, *at) for at in offsets.items()], asynchronous=False
            )
        except KafkaException as refused:
            error: KafkaError = refused.args[0]
            return error
        return next((at.error for at in done or () if at.error), None)

    def offsets(self, partition: int) -> list[int]:
        """Return the offsets received of a partition, in the order of arrival."""
        return [offset for at, offset in self.received if at == partition]

    def kinds(self) -> list[str]:
        """Return the rebalance callbacks by name, in order."""
        return [kind for kind, _ in self.events]

    def close(self) -> None:
        """Leave the group."""
        if self._open:
            self._open = False
            self.consumer.close()

    def _committed(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        self.commits.append((error, offsets))

    def _noting(self, kind: str, act: RebalanceCallback | None) -> Callable[[Consumer, list[TopicPartition]], None]:
        def callback(_consumer: Consumer, given: list[TopicPartition]) -> None:
            self.events.append((kind, partitions(given)))
            if act is not None:
                act(self, given)

        return callback


def poll_until(condition: Callable[[], object], *members: Member, within: float = 30.0) -> float:
    """Poll the members in turn until the condition holds; return how many seconds it took.

    Raises:
        AssertionError: it does not hold in time; names what the members noted.
    """
    start = time.monotonic()
    while not condition():
        for member in members:
            member.poll()
        waited = time.monotonic() - start
        assert waited < within, f"not within {within:g} s; noted: {[(m.events, m.errors, m.commits) for m in members]}"
    return time.monotonic() - start


def poll_for(seconds: float, *members: Member) -> None:
    """Poll the members in turn for so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for member in members:
            member.poll()


def _number(given: int | None) -> int:
    assert given is not None
    return given
