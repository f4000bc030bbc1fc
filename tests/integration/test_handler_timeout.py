"""`handler_timeout` on a real broker: a record that takes too long has failed, and its partition goes on (D33)."""

import asyncio
import threading

import pytest

from humus.queue.kafka import Message, Retry, at_least_once, at_most_once, current, skip
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.service import Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = [pytest.mark.asyncio, one_protocol]

HANGS = b"hangs"


async def test_an_async_handler_that_hangs_is_cancelled_and_tried_again(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime
) -> None:
    """The attempt is cancelled at the time-out and repeated; the second one succeeds (D33)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", HANGS, b"")
    recorder = Recorder()

    def work(message: Message) -> object:
        return asyncio.sleep(60 if message.value == HANGS and current().attempt == 1 else 0)

    member = runtime(
        at_least_once(name, recorder.processor("async", work), retry=Retry(initial=0.01)), handler_timeout=0.3
    )
    async with running(member):
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 3})
        totals = member.status().totals
    assert recorder.started[0] == [0, 1, 1, 2]
    assert (totals.retries, totals.handled) == (1, 3)


async def test_a_sync_handler_that_hangs_is_shown_and_fails_when_it_returns(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    """The time-out shows while the handler still runs; nothing is run beside it; other partitions go on (D33, D2)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *(Record(value, partition=0) for value in (b"", HANGS, b"")))
    await asyncio.to_thread(produce, name, *[b""] * 5, partition=1)
    recorder, go_on = Recorder(), threading.Event()

    def work(message: Message) -> None:
        if message.value == HANGS:
            assert go_on.wait(60)

    subscription = at_least_once(name, recorder.processor("def", work), retry=Retry(max_attempts=1), on_failure=skip())
    member = runtime(subscription, handler_timeout=0.3)
    async with running(member):
        shown = await eventually(lambda: partitions(member), lambda at: 0 in at and at[0].failure is not None)
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 1, 1: 5})
        assert recorder.running() == {0}
        go_on.set()
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 3, 1: 5})
        totals = member.status().totals
    failure = shown[0].failure
    assert failure is not None
    assert (failure.offset, failure.error_type) == (1, "timeout")
    assert "its handler still runs" in failure.reason
    assert (totals.skipped, totals.handled) == (1, 8)
    assert recorder.started[0] == [0, 1, 2]
    assert caplog.text.count("its handler still runs") == 1


async def test_at_most_once_a_record_that_takes_too_long_is_consumed(
    kafka: Kafka, topic: MakeTopic, produce: Produce, group: str, runtime: MakeRuntime
) -> None:
    """It has failed and is gone: counted, not repeated (D33, D21)."""
    name = topic()
    await asyncio.to_thread(produce, name, b"", HANGS, b"")
    recorder = Recorder()

    def work(message: Message) -> object:
        return asyncio.sleep(60 if message.value == HANGS else 0)

    member = runtime(at_most_once(name, recorder.processor("async", work)), handler_timeout=0.3)
    async with running(member):
        await eventually(lambda: recorder.handled[0], lambda handled: handled == [0, 2])
        await eventually(lambda: kafka.admin.committed(group, name), lambda at: at == {0: 3})
        await eventually(lambda: member.status().totals.failed, lambda failed: failed == 1)
    assert recorder.started[0] == [0, 1, 2]
