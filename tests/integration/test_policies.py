"""What becomes of a record that failed for good: `halt`, `skip`, `shut_down` (D31)."""

import asyncio
import logging

import pytest

from humus.errors import ProcessingFailed
from humus.queue.kafka import Reject, Retry, at_least_once, halt, shut_down, skip
from tests.integration.conftest import MakeRuntime
from tests.integration.failures import Failing
from tests.integration.service import Kind, Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio


async def test_halt_stops_the_partition_at_the_failed_record(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """`halt()`: nothing behind the record is handled or committed, others go on, a restart tries it again (D31)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *(Record(b"", partition=at % 2) for at in range(40)))
    recorder = Recorder()
    failing = Failing({(0, 3): [OSError("away"), ValueError("not an order"), Reject("still not"), OSError("away")]})
    subscription = at_least_once(
        name, recorder.processor(kind, failing), retry=Retry(max_attempts=2, initial=0.02), on_failure=halt()
    )

    member = runtime(subscription)
    async with running(member):
        halted = (await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted"))[0]
        await asyncio.to_thread(produce, name, *[b""] * 10, partition=0)
        await asyncio.to_thread(produce, name, *[b""] * 10, partition=1)
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 3, 1: 30})
        problems = member.status().problems
    assert halted.failure is not None
    assert (halted.failure.offset, halted.failure.attempts) == (3, 2)
    assert (halted.failure.error_type, halted.failure.reason) == ("ValueError", "not an order")
    assert problems == (f"{name}[0]@3: halted: not an order",)
    assert recorder.started[0] == [0, 1, 2, 3, 3]
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 3, 1: 30}

    again = runtime(subscription)
    async with running(again):
        halted = (await eventually(lambda: partitions(again), lambda at: 0 in at and at[0].state == "halted"))[0]
    assert halted.failure is not None
    assert (halted.failure.offset, halted.failure.reason) == (3, "still not")

    async with running(runtime(subscription)):
        await eventually(lambda: len(recorder.handled[0]) == 30)
    assert recorder.started[0] == [0, 1, 2, 3, 3, 3, 3, *range(3, 30)]
    assert failing.numbers(0, 3) == [1, 2, 1, 1, 2]
    assert recorder.handled == {0: list(range(30)), 1: list(range(30))}


async def test_the_lag_of_a_halted_partition_grows(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """Nothing is fetched of it any more, so the cluster is asked where its log ends: `lag` is what waits."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", b"", b"")
    recorder = Recorder()
    failing = Failing({(0, 1): [Reject("no")]})
    member = runtime(at_least_once(name, recorder.processor(kind, failing), on_failure=halt()))
    async with running(member):
        await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].state == "halted")
        await asyncio.to_thread(produce, name, *[b""] * 40)  # may still come with a fetch that is under way
        await eventually(lambda: partitions(member)[0].lag, lambda lag: lag == 42)
        await asyncio.to_thread(produce, name, *[b""] * 40)
        await eventually(lambda: partitions(member)[0].lag, lambda lag: lag == 82)


@pytest.mark.parametrize("protocol", ["consumer"], indirect=True)
async def test_halt_holds_while_records_pour_in(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """Records that are being handed over at the moment a partition halts are not handled either (D31, D10)."""
    count = 12
    name = topic(count)
    recorder = Recorder()
    failing = Failing({(at, 150 * at): [Reject("not an order")] for at in range(count)})
    member = runtime(at_least_once(name, recorder.processor(kind, failing)))
    async with running(member):
        for _ in range(10):
            burst = [Record(b"", partition=at % count) for at in range(200 * count)]
            await asyncio.to_thread(produce, name, *burst)
        await eventually(
            lambda: partitions(member),
            lambda at: len(at) == count and all(status.state == "halted" for status in at.values()),
        )
    assert recorder.started == {at: list(range(150 * at + 1)) for at in range(count)}
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {at: 150 * at for at in range(count) if at}


@pytest.mark.parametrize("protocol", ["consumer"], indirect=True)
async def test_skip_goes_on_with_the_next_record(
    kafka: Kafka,
    topic: MakeTopic,
    produce: Produce,
    group: str,
    runtime: MakeRuntime,
    kind: Kind,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """`skip()` logs and counts the record and goes on: its offset is committed like any other (D31)."""
    name = topic()
    await asyncio.to_thread(produce, name, *[b"payload"] * 5)
    recorder, failing = Recorder(), Failing({(0, 4): [Reject("no order id")], (0, 1): [Reject("no amount")]})
    member = runtime(at_least_once(name, recorder.processor(kind, failing), on_failure=skip()))
    with caplog.at_level(logging.WARNING, "humus"):
        async with running(member):
            await eventually(lambda: member.status().totals, lambda totals: totals.handled == 5)
            assert member.status().problems == ()
    assert recorder.handled[0] == [0, 2, 3]
    assert member.status().totals.skipped == 2
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 5}
    skipped = [record for record in caplog.records if "skipped" in record.message]
    assert [(vars(record)["messaging.kafka.offset"], record.levelname) for record in skipped] == [
        (1, "WARNING"),
        (4, "WARNING"),
    ]
    assert "no amount" in skipped[0].message
    assert "payload" not in caplog.text


@pytest.mark.parametrize("protocol", ["consumer"], indirect=True)
async def test_shut_down_ends_the_runtime(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, kind: Kind
) -> None:
    """`shut_down()` raises `ProcessingFailed`, naming the record; what was handled is committed (D31)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *[b""] * 9, partition=1)
    recorder, error = Recorder(), ValueError("not an order")
    failing = Failing({(0, 3): [OSError("away"), error]})
    retry = Retry(max_attempts=2, initial=0.02)
    member = runtime(
        # Far apart, so that only the last commit can be the one that counts.
        at_least_once(name, recorder.processor(kind, failing), retry=retry, on_failure=shut_down()),
        commit_interval=600,
    )

    async def feed() -> None:
        await eventually(lambda: len(recorder.handled[1]) == 9)
        await asyncio.to_thread(produce, name, *[b""] * 9, partition=0)

    with pytest.raises(ProcessingFailed, match="ValueError: not an order") as raised:
        await asyncio.wait_for(asyncio.gather(member.process_queue(), feed()), 60)
    assert (raised.value.topic, raised.value.partition, raised.value.offset) == (name, 0, 3)
    assert raised.value.__cause__ is error
    assert recorder.started[0] == [0, 1, 2, 3, 3]
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 3, 1: 9}
