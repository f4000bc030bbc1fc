"""What a test wants of the embedded broker: records written, records read, offsets committed. By the bare client."""

import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from humus.errors import BrokerError
from humus.queue.kafka._message import Message

__all__ = ["Records"]

_WITHIN: Final = 10.0
"""Seconds for what takes milliseconds."""
_QUIET: Final = {"log_level": 0}
"""A client that outlives its broker for a moment would say so on stderr."""
_ANYBODY: Final = "humus.testing"
"""A group id, which a consumer has to have, also one that joins no group."""


class Records:
    """The records of one broker. All methods block for some milliseconds, and are safe to call from any thread."""

    def __init__(self, brokers: str) -> None:
        self._brokers = brokers
        self._lock = threading.Lock()
        self._producer: Producer | None = None

    def produce(
        self,
        topic: str,
        values: Iterable[bytes | str | None],
        key: bytes | str | None,
        headers: Iterable[tuple[str, bytes | None]],
        partition: int | None,
    ) -> None:
        producer = self._running_producer()
        where: Any = {} if partition is None else {"partition": partition}
        refused: list[KafkaError] = []
        for value in values:
            producer.produce(
                topic,
                value,
                key,
                headers=list(headers),
                on_delivery=lambda error, _record: refused.append(error) if error is not None else None,
                **where,
            )
        unanswered = producer.flush(_WITHIN)
        if refused:
            raise BrokerError(f"produce({topic!r}): {refused[0].str()}", code=refused[0].name())
        if unanswered:
            raise BrokerError(f"produce({topic!r}): no answer from the embedded broker within {_WITHIN:g} s")

    def read(self, topic: str) -> list[Message]:
        """Return what all partitions of a topic have now, by partition and offset; nothing where there is none."""
        with self._consumer(_ANYBODY) as consumer:
            ends: dict[int, int] = {}
            for partition in _partitions(consumer, topic):
                low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_WITHIN)
                if low < high:
                    ends[partition] = high
                    consumer.incremental_assign([TopicPartition(topic, partition, low)])
            found = list(_up_to(consumer, topic, ends))
        return sorted(found, key=lambda message: (message.partition, message.offset))

    def committed(self, group_id: str, topic: str) -> dict[int, int]:
        """Return the group's committed offsets by partition; those without one are left out."""
        with self._consumer(group_id) as consumer:
            places = [TopicPartition(topic, partition) for partition in _partitions(consumer, topic)]
            found = consumer.committed(places, timeout=_WITHIN) if places else []
        return {place.partition: place.offset for place in found if place.offset >= 0}

    def close(self) -> None:
        with self._lock:
            self._producer = None

    def _running_producer(self) -> Producer:
        with self._lock:
            if self._producer is None:
                self._producer = Producer({"bootstrap.servers": self._brokers, "linger.ms": 0, **_QUIET})
            return self._producer

    @contextmanager
    def _consumer(self, group_id: str) -> Iterator[Consumer]:
        consumer = Consumer(
            {
                "bootstrap.servers": self._brokers,
                "group.id": group_id,
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": 10,
                **_QUIET,
            }
        )
        try:
            yield consumer
        except KafkaException as error:
            failure: KafkaError = error.args[0]
            raise BrokerError(f"the embedded broker: {failure.str()}", code=failure.name()) from error
        finally:
            consumer.close()


def _partitions(consumer: Consumer, topic: str) -> list[int]:
    # Of all topics: asking for one creates it.
    known = consumer.list_topics(timeout=_WITHIN).topics.get(topic)
    return [] if known is None else sorted(known.partitions)


def _up_to(consumer: Consumer, topic: str, ends: dict[int, int]) -> Iterator[Message]:
    """Give the assigned partitions' records up to these offsets, in the order in which they come."""
    deadline = time.monotonic() + _WITHIN
    while ends:
        raw: Any = consumer.poll(_WITHIN)
        if raw is None or time.monotonic() > deadline:
            raise BrokerError(f"records({topic!r}): not all of them came within {_WITHIN:g} s")
        partition, offset, error = raw.partition(), raw.offset(), raw.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the client's own name
            raise KafkaException(error)
        end = ends.get(partition)
        if end is None:
            continue
        if error is None and offset < end:
            yield Message(topic, partition, offset, raw.key(), raw.value(), raw)
        if error is not None or offset + 1 >= end:
            del ends[partition]
