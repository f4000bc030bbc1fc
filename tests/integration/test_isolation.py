"""One partition that does not get on delays no other one: not its fetching, not its commits (D2)."""

import asyncio

import pytest

from humus.queue.kafka import Message, Retry, Subscription, at_least_once, halt
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.service import Gate, Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = [pytest.mark.asyncio, one_protocol]

_BUFFER = 4 * 1024 * 1024


async def test_a_slow_partition(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """While a handler blocks its partition, the others are fetched, handled and committed to the end (D2, D3)."""
    name = topic(4)
    recorder, gate = Recorder(), Gate(kind, lambda message: message.partition == 0)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 4) for at in range(1200)))
    async with running(runtime(at_least_once(name, recorder.processor(kind, gate.work)))):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {1: 300, 2: 300, 3: 300})
        assert recorder.running() == {0}
        # What comes later comes through as well.
        await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 4) for at in range(400)))
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {1: 400, 2: 400, 3: 400})
        assert recorder.running() == {0}
        gate.open()
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
    assert recorder.handled == {at: list(range(400)) for at in range(4)}


@pytest.mark.parametrize("state", ["retrying", "halted"])
async def test_a_failing_partition(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind, state: str
) -> None:
    """While a record is retried for ever, or has halted its partition, the others get to their ends (D2, D10)."""
    name = topic(3)
    recorder = Recorder()

    def fail(message: Message) -> None:
        if (message.partition, message.offset) == (0, 7):
            raise ValueError("no")

    def subscription() -> Subscription:
        most = None if state == "retrying" else 2
        retry = Retry(max_attempts=most, initial=0.01, maximum=0.05)
        return at_least_once(name, recorder.processor(kind, fail), retry=retry, on_failure=halt())

    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 3) for at in range(300)))
    member = runtime(subscription())
    async with running(member):
        await eventually(lambda: partitions(member)[0].state if 0 in partitions(member) else "", lambda at: at == state)
        await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 3) for at in range(300)))
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 7, 1: 200, 2: 200})
        failure = partitions(member)[0].failure
        assert failure is not None
        assert (failure.offset, failure.error_type) == (7, "ValueError")
    assert recorder.handled == {0: list(range(7)), 1: list(range(200)), 2: list(range(200))}
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 7, 1: 200, 2: 200}


async def test_seven_of_eight_stuck_with_a_full_buffer(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """Seven partitions stuck, with more records waiting than the buffer holds, leave room for the eighth (D2, D50)."""
    name = topic(8)
    each, count, value = 400, 800, bytes(2048)  # seven times 1 MB, for a buffer of 4 MiB
    await asyncio.to_thread(produce, name, *(Record(value, partition=at % 8) for at in range(8 * each)))
    recorder, gate = Recorder(), Gate("async", lambda message: message.partition < 7)
    member = runtime(at_least_once(name, recorder.processor("async", gate.work)), buffer_max_bytes=_BUFFER)
    async with running(member):
        await eventually(recorder.running, lambda busy: busy >= set(range(7)))
        await asyncio.to_thread(produce, name, *(Record(value, partition=7) for _ in range(count)))
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {7: each + count})
        assert recorder.running() == set(range(7))
        gate.open()
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
    expected = {at: list(range(each + (count if at == 7 else 0))) for at in range(8)}
    assert recorder.handled == expected, "pausing and resuming lost or repeated records"
    assert recorder.overlaps == []
