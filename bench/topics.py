"""Makes topics and fills them: as many records in each partition as in the others."""

from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer
from tests.kafka.admin import Admin
from tests.kafka.fresh import fresh

from bench.instruments import MIB, MeasurementFailed

__all__ = ["fill", "fill_unseen", "make"]

_FLUSH_WITHIN = 120.0
_LARGEST_RECORD = 2 * MIB


def make(brokers: str, partitions: int) -> str:
    """Make a topic that keeps what it is given, and return its fresh name."""
    name = fresh("bench")
    config = {"retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": str(_LARGEST_RECORD)}
    Admin(brokers).create_topic(name, partitions, config=config)
    return name


def fill(brokers: str, topic: str, *, partitions: int, each: int, size: int) -> None:
    """Produce `each` records of `size` bytes, with no key, to every partition, and make sure that they are there.

    Raises:
        MeasurementFailed: they are not.
    """
    _fill(Producer(_config(brokers)), brokers, topic, partitions=partitions, each=each, size=size)


def fill_unseen(brokers: str, topic: str, *, partitions: int, each: int, size: int) -> Callable[[], None]:
    """Do the same in a transaction: who reads what is committed sees nothing before the returned function is called.

    Raises:
        MeasurementFailed: they are not there.
    """
    producer = Producer({**_config(brokers), "transactional.id": fresh("bench")})
    producer.init_transactions(_FLUSH_WITHIN)
    producer.begin_transaction()
    _fill(producer, brokers, topic, partitions=partitions, each=each, size=size)
    return lambda: producer.commit_transaction(_FLUSH_WITHIN)


def _config(brokers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": brokers,
        "enable.idempotence": True,
        "linger.ms": 50,
        "message.max.bytes": _LARGEST_RECORD,
        "log_level": 3,
        "queue.buffering.max.messages": 500_000,
    }


def _fill(producer: Producer, brokers: str, topic: str, *, partitions: int, each: int, size: int) -> None:
    value = b"." * size
    for number in range(partitions * each):
        while True:
            try:
                producer.produce(topic, value, partition=number % partitions)
                break
            except BufferError:
                producer.poll(0.05)
    producer.flush(_FLUSH_WITHIN)
    ends = Admin(brokers).end_offsets(topic)
    if ends != dict.fromkeys(range(partitions), each):
        raise MeasurementFailed(f"topic {topic} should hold {each:,} records in each partition, but ends at {ends}")
