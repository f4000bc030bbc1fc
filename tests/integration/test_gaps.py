"""Offsets that hold no record for us: transactions and their markers, compacted records (D4)."""

import asyncio

import pytest
from confluent_kafka import Consumer, TopicPartition

from humus.queue.kafka import Message, at_least_once, at_most_once
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.service import Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.admin import eventually as wait_for
from tests.kafka.records import Record
from tests.kafka.tools import GroupOffset

pytestmark = pytest.mark.asyncio

_PLAIN, _COMMITTED, _ABORTED, _ONLY_ABORTED, _BOTH = range(5)
_ENDS = {_PLAIN: 3, _COMMITTED: 6, _ABORTED: 8, _ONLY_ABORTED: 5, _BOTH: 11}


def _write_transactions(kafka: Kafka, name: str) -> None:
    """Write partitions that end in every way a log with transactions can end."""
    kafka.records.produce(name, *(Record(b"plain", partition=at) for at in (_PLAIN, _ABORTED) for _ in range(3)))
    with kafka.records.transaction() as committed:
        committed.produce(name, *(Record(b"committed", partition=at) for at in (_COMMITTED, _BOTH) for _ in range(5)))
    aborted = kafka.records.transaction()
    hidden = (_ABORTED, _ONLY_ABORTED, _BOTH)
    aborted.produce(name, *(Record(b"aborted", partition=at) for at in hidden for _ in range(4)))
    aborted.abort()
    # The markers are written after the answer to the client.
    wait_for(lambda: kafka.admin.end_offsets(name, committed_only=True), lambda ends: ends == _ENDS)


@pytest.mark.parametrize("semantic", ["at least once", "at most once"])
async def test_control_records_at_the_end(
    kafka: Kafka, group: str, topic: MakeTopic, runtime: MakeRuntime, semantic: str
) -> None:
    """Behind markers and aborted records the committed offset reaches the log's end: Kafka's tool says lag 0 (D4)."""
    name = topic(5)
    await asyncio.to_thread(_write_transactions, kafka, name)
    seen: list[bytes | None] = []
    recorder = Recorder()

    def note(message: Message) -> None:
        seen.append(message.value)

    factory = at_least_once if semantic == "at least once" else at_most_once
    async with running(runtime(factory(name, recorder.processor("async", note)))):
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == _ENDS)
    assert recorder.handled == {_PLAIN: [0, 1, 2], _ABORTED: [0, 1, 2], _COMMITTED: [*range(5)], _BOTH: [*range(5)]}
    assert set(seen) == {b"plain", b"committed"}
    said = await asyncio.to_thread(kafka.tools.group_offsets, group, name)
    assert said == {at: GroupOffset(end, end, 0) for at, end in _ENDS.items()}


@one_protocol
async def test_an_open_transaction_is_waited_for(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """Records of an open transaction are neither handled nor committed past, until it is committed (D4, D10)."""
    name = topic(2)
    recorder = Recorder()
    open_one = await asyncio.to_thread(kafka.records.transaction)
    await asyncio.to_thread(produce, name, Record(b"before", partition=0))
    await asyncio.to_thread(open_one.produce, name, Record(b"inside", partition=0))
    await asyncio.to_thread(produce, name, Record(b"behind", partition=0), Record(b"beside", partition=1))
    async with running(runtime(at_least_once(name, recorder.processor("async")))):
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 1, 1: 1})
        assert recorder.handled == {0: [0], 1: [0]}
        await asyncio.to_thread(open_one.commit)
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 4, 1: 1})
    assert recorder.handled == {0: [0, 1, 2], 1: [0]}


@one_protocol
async def test_compacted_records(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """Offsets that compaction took out of the log are passed over: what is left is handled and committed (D4)."""
    eager = {"cleanup.policy": "compact", "segment.ms": "100", "min.cleanable.dirty.ratio": "0.001"}
    name = topic(1, config=eager)
    for round_ in range(3):
        await asyncio.to_thread(produce, name, *(Record(b"%d" % round_, key=b"%d" % (at % 7)) for at in range(70)))
    left = await asyncio.to_thread(_compacted, kafka, produce, name)
    recorder = Recorder()
    async with running(runtime(at_least_once(name, recorder.processor("async")))):
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
    handled = recorder.handled[0]
    assert set(handled) <= set(left), "records that are not in the log"
    assert handled == sorted(handled)
    assert len(handled) < 210


def _compacted(kafka: Kafka, produce: Produce, name: str) -> list[int]:
    """Wait until the broker has compacted the log, and return the offsets that are left."""

    def look() -> list[int]:
        produce(name, Record(b"rolls the segment", key=b"other"))
        end = kafka.admin.end_offsets(name)[0]
        reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "nobody", "enable.auto.commit": False})
        try:
            reader.assign([TopicPartition(name, 0, 0)])
            offsets: list[int] = []
            while not offsets or offsets[-1] < end - 1:
                offsets += [at for message in reader.consume(1000, 0.2) if (at := message.offset()) is not None]
            return offsets
        finally:
            reader.close()

    return wait_for(look, lambda offsets: len(offsets) < 150)
