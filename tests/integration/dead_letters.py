"""Reads a dead-letter topic by Kafka's own protocol, with a plain consumer: what is there, byte for byte."""

from confluent_kafka import Consumer, Message, TopicPartition

__all__ = ["headers_of", "letters_in"]


def letters_in(bootstrap: str, topic: str, partitions: int = 1) -> list[Message]:
    """Return every record of the topic, as of now, in the order of its partitions."""
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "humus-tests-reader", "enable.auto.commit": False})
    found: list[Message] = []
    try:
        for number in range(partitions):
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, number), timeout=20)
            if high == low:
                continue
            consumer.assign([TopicPartition(topic, number, low)])
            while not found or found[-1].partition() != number or (found[-1].offset() or 0) < high - 1:
                for record in consumer.consume(1000, 1.0):
                    assert record.error() is None, record.error()
                    found.append(record)
    finally:
        consumer.close()
    return found


def headers_of(letter: Message) -> dict[str, bytes | None]:
    """Return a letter's headers, the last one of each name."""
    headers: list[tuple[str, bytes | None]] = letter.headers() or []  # type: ignore[assignment, unused-ignore]
    return dict(headers)
