"""Reads stretches of a topic from beginning to end, without being anybody's member and without committing."""

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, Message
from confluent_kafka import TopicPartition as ClientTopicPartition

from humus.cli._cluster import PATIENCE, Cluster, Silence
from humus.cli._letters import Headers
from humus.cli._progress import Stretch

__all__ = ["headers_in", "place_in", "read_letters", "timestamp_in"]

_AT_ONCE: Final = 500
_TICK: Final = 0.2
_QUEUE_KIB: Final = 16 * 1024
_NO_TIMESTAMP: Final = 0
_END: Final = "_PARTITION_EOF"
_NOT_OURS: Final = frozenset({"GROUP_AUTHORIZATION_FAILED"})
"""The client wants a group's name, and looks for its coordinator; nothing here needs that group."""


def read_letters(
    cluster: Cluster,
    topic: str,
    stretches: Mapping[int, Stretch],
    group: str,
    stopping: Callable[[], bool] = lambda: False,
) -> Iterator[Message]:
    """Yield the records of each partition's stretch, in the order of their partition; ends early once `stopping`.

    Raises:
        BrokerError: nothing comes for some seconds although there is more.
    """
    left = {partition: end for partition, (start, end) in stretches.items() if start < end}
    if not left:
        return
    consumer = Consumer(
        {
            **cluster.config,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",  # what retention deletes meanwhile is passed over
            "queued.max.messages.kbytes": _QUEUE_KIB,
            "fetch.wait.max.ms": 100,
            "logger": Silence(),
        }
    )
    try:
        consumer.assign([ClientTopicPartition(topic, partition, stretches[partition][0]) for partition in left])
        yield from _read(cluster, consumer, topic, left, stopping)
    finally:
        consumer.close()


def place_in(record: Message) -> tuple[int, int]:
    """Return a record's partition and offset."""
    partition, offset = record.partition(), record.offset()
    assert partition is not None
    assert offset is not None
    return partition, offset


def headers_in(record: Message) -> Headers:
    """Return a record's headers."""
    found: Any = record.headers()
    return found or ()


def timestamp_in(record: Message) -> int | None:
    """Return a record's time in ms since the epoch."""
    kind, milliseconds = record.timestamp()
    return None if kind == _NO_TIMESTAMP else milliseconds


def _read(
    cluster: Cluster, consumer: Consumer, topic: str, left: dict[int, int], stopping: Callable[[], bool]
) -> Iterator[Message]:
    moved = time.monotonic()
    while left and not stopping():
        records = consumer.consume(1, _TICK)
        if records:
            records += consumer.consume(_AT_ONCE, 0)
        for record in records:
            error = record.error()
            partition = record.partition()
            if error is None:
                moved = time.monotonic()
                partition, offset = place_in(record)
                if offset < left.get(partition, 0):
                    yield record
                if offset + 1 >= left.get(partition, 0):
                    left.pop(partition, None)
            elif error.name() == _END:
                left.pop(-1 if partition is None else partition, None)
            elif error.name() not in _NOT_OURS:
                raise cluster.error(f"read {topic}", error, topic=topic, group="?")
        if time.monotonic() - moved > PATIENCE:
            raise cluster.error(f"read {topic}", KafkaError(KafkaError._TIMED_OUT), topic=topic)  # noqa: SLF001 - public
