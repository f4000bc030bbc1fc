"""What the broker wrote down of a group's commits: the records of its own topic `__consumer_offsets`."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Consumer, TopicPartition

from tests.kafka.access import Kafka

__all__ = ["Commit", "commits", "requests"]

_TOPIC = "__consumer_offsets"
_OFFSET_KEYS = (0, 1)
_NO_METADATA = {3: b"\x00\x00", 4: b"\x01"}
"""Version of the value -> how it writes the empty string."""
_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Commit:
    """One committed offset; `at` is when the broker took the request, in ms, the same for all partitions of one."""

    topic: str
    partition: int
    offset: int
    leader_epoch: int
    at: int


def commits(kafka: Kafka, group: str, topic: str) -> list[Commit]:
    """Return every commit of the group for the topic so far, repeated ones too, in order."""
    found = [commit for commit in _read(kafka, group) if commit.topic == topic]
    return sorted(found, key=lambda commit: commit.at)


def requests(found: list[Commit]) -> dict[int, list[Commit]]:
    """Return the commits by the request that they came with."""
    return {at: [commit for commit in found if commit.at == at] for at in sorted({commit.at for commit in found})}


def _read(kafka: Kafka, group: str) -> Iterator[Commit]:
    config = {"bootstrap.servers": kafka.bootstrap, "group.id": "nobody", "enable.partition.eof": True}
    consumer = Consumer({**config, "auto.offset.reset": "earliest", "enable.auto.commit": False})
    try:
        ends = {at: end for at, end in kafka.admin.end_offsets(_TOPIC).items() if end}
        consumer.assign([TopicPartition(_TOPIC, at, 0) for at in ends])
        while ends:
            message = consumer.poll(_WITHIN)
            assert message is not None, f"{_TOPIC} cannot be read"
            at, offset = message.partition() or 0, message.offset() or 0
            if message.error() is None and (commit := _decode(message.key() or b"", message.value(), group)):
                yield commit
            # The log may grow all the time, and what was last when we began may be compacted away.
            if message.error() is not None or offset >= ends.get(at, 0) - 1:
                ends.pop(at, None)
    finally:
        consumer.close()


def _decode(key: bytes, value: bytes | None, group: str) -> Commit | None:
    """Decode a record: Kafka's `OffsetCommitKey` and `OffsetCommitValue`; other records are of groups, not offsets."""
    (version,) = struct.unpack_from(">h", key)
    if version not in _OFFSET_KEYS or value is None:
        return None
    name, at = _string(key, 2)
    topic, at = _string(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    if name != group:
        return None
    (value_version,) = struct.unpack_from(">h", value)
    assert value_version in _NO_METADATA, f"this Kafka writes commits in version {value_version}"
    offset, epoch = struct.unpack_from(">qi", value, 2)
    metadata = _NO_METADATA[value_version]
    assert value[14:].startswith(metadata), "the runtime commits no metadata"
    (time,) = struct.unpack_from(">q", value, 14 + len(metadata))
    return Commit(topic, partition, offset, epoch, time)


def _string(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + size].decode(), at + 2 + size
