"""A consumer that has everything at once, and never waits; and its records, in the client's shape."""

from collections.abc import Callable, Sequence
from typing import Any

from confluent_kafka import TopicPartition

__all__ = ["Consumer", "Record", "records"]


class Record:
    """A record of the client's, all of it in Python."""

    __slots__ = ("_headers", "_offset", "_partition", "_topic")

    def __init__(self, topic: str, partition: int, offset: int, headers: Any) -> None:
        self._topic, self._partition, self._offset = topic, partition, offset
        self._headers = headers

    def __len__(self) -> int:
        return 200

    def topic(self) -> str:
        """Return the topic."""
        return self._topic

    def partition(self) -> int:
        """Return the partition."""
        return self._partition

    def offset(self) -> int:
        """Return the offset."""
        return self._offset

    def key(self) -> bytes:
        """Return some key."""
        return b"key"

    def value(self) -> bytes:
        """Return some value."""
        return b"value"

    def headers(self) -> Any:
        """Return the headers."""
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        """Return that there is none."""
        return 0, -1

    def leader_epoch(self) -> int:
        """Return some epoch."""
        return 1

    def error(self) -> None:
        """Return no error."""


def records(topic: str, partitions: int, number: int, run: int, headers: Any = None) -> list[Record]:
    """Make so many records, in runs of one partition, the partitions in turns."""
    offsets = [0] * partitions
    made = []
    for at in range(number):
        partition = at // run % partitions
        made.append(Record(topic, partition, offsets[partition], headers))
        offsets[partition] += 1
    return made


class Consumer:
    """In the shape of the client's `Consumer`, as far as the runtime calls it."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.has: Sequence[Record] = ()
        self._at = 0
        self._committed: list[TopicPartition] = []
        self._partitions: list[TopicPartition] = []
        self._on_commit: Callable[[Any, list[TopicPartition]], None] = config["on_commit"]
        self._on_assign: Callable[[Any, list[TopicPartition]], None] | None = None

    def assign(self, topic: str, partitions: int) -> None:
        """Give partitions to the member: it hears of them in its next call."""
        self._partitions = [TopicPartition(topic, partition) for partition in range(partitions)]

    def subscribe(self, _topics: list[str], *, on_assign: Any, on_revoke: Any, on_lost: Any) -> None:  # noqa: ARG002
        """Keep what is to be called."""
        self._on_assign = on_assign

    def consume(self, most: int, _timeout: float) -> Sequence[Record]:
        """Call back what is due, then return records."""
        if self._on_assign is not None:
            on_assign, self._on_assign = self._on_assign, None
            on_assign(self, self._partitions)
            return []
        if self._committed:
            committed, self._committed = self._committed, []
            self._on_commit(None, committed)
        at, self._at = self._at, min(self._at + most, len(self.has))
        return self.has[at : at + most]

    @property
    def done(self) -> bool:
        """Whether it has no more."""
        return self._at >= len(self.has)

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        """Confirm in the next call."""
        assert asynchronous
        self._committed += offsets

    def position(self, partitions: list[TopicPartition]) -> list[TopicPartition]:
        """Return that none has begun: nothing here needs it."""
        return partitions

    def get_watermark_offsets(self, _partition: TopicPartition, *, cached: bool) -> tuple[int, int]:
        """Return some end."""
        assert cached
        return 0, len(self.has)

    def assignment(self) -> list[TopicPartition]:
        """Return the partitions."""
        return self._partitions

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        """Begin them; all have begun."""

    def pause(self, partitions: list[TopicPartition]) -> None:
        """Nothing is paused where every round handles all it took."""
        raise AssertionError(partitions)

    def resume(self, partitions: list[TopicPartition]) -> None:
        """Each new epoch is resumed once."""
