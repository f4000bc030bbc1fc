"""Makes topics and fills them: as many records in each partition as in the others."""

from confluent_kafka import Producer
from tests.kafka.admin import Admin
from tests.kafka.fresh import fresh

from bench.instruments import MIB, MeasurementFailed

__all__ = ["fill", "make"]

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
    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "enable.idempotence": True,
            "linger.ms": 50,
            "message.max.bytes": _LARGEST_RECORD,
            "log_level": 3,
            "queue.buffering.max.messages": 500_000,
        }
    )
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
