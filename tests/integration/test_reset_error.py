"""`auto_offset_reset="error"`: a group begins where something is committed, and nowhere else."""

import asyncio

import pytest
from confluent_kafka import Consumer, TopicPartition

from humus.queue.kafka import at_least_once
from tests.integration.conftest import MakeRuntime
from tests.integration.service import Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce

pytestmark = pytest.mark.asyncio


def commit(kafka: Kafka, group: str, topic: str, partition: int, offset: int) -> None:
    """Commit an offset for a group without members."""
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": group, "enable.auto.commit": False})
    try:
        consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    finally:
        consumer.close()


async def test_a_partition_without_a_committed_offset_halts(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime
) -> None:
    """It halts, says what to do and handles nothing; another one begins where its offset is committed (D11, D2)."""
    name = topic(2)
    for partition in (0, 1):
        await asyncio.to_thread(produce, name, *[b""] * 5, partition=partition)
    await asyncio.to_thread(commit, kafka, group, name, 1, 3)
    recorder = Recorder()
    member = runtime(at_least_once(name, recorder.processor("async")), auto_offset_reset="error")
    async with running(member):
        found = await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted")
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {1: 5})
        assert found[0].failure is not None
        assert "auto_offset_reset is 'error'" in found[0].failure.reason
        assert [problem for problem in member.status().problems if f"{name}[0]" in problem]
    assert recorder.started == {1: [3, 4]}
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {1: 5}
