"""What is committed, and when (D10, D12)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from humus.queue.kafka import Message, Retry, at_least_once
from tests.integration.commit_log import commits, requests
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.service import Gate, Kind, Recorder, eventually, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = pytest.mark.asyncio


async def test_never_past_an_unhandled_record(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """While handlers fail and are tried again, no commit ever covers a record that is not handled yet (D10)."""
    name = topic(2)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 2) for at in range(400)))
    recorder = Recorder()
    failed: set[tuple[int, int]] = set()

    def fail_once(message: Message) -> None:
        place = (message.partition, message.offset)
        if message.offset % 10 == 0 and place not in failed:
            failed.add(place)
            raise ValueError("not now")

    retry = Retry(initial=0.03, multiplier=1, jitter=0)
    member = runtime(at_least_once(name, recorder.processor(kind, fail_once), retry=retry), commit_interval=0.01)
    looks = 0
    async with running(member):
        done = False
        while not done:
            committed = await asyncio.to_thread(kafka.admin.committed, group, name)
            for partition, offset in committed.items():
                handled = recorder.handled[partition][:offset]
                assert handled == list(range(offset)), "committed, and not handled"
            looks += 0 < sum(committed.values()) < 400
            done = committed == {0: 200, 1: 200}
    assert looks > 3, "the test has seen nothing of the way"
    assert recorder.handled == {0: list(range(200)), 1: list(range(200))}


async def test_a_record_in_flight_comes_again(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """What was not handled when the service stopped is where the next one begins (D10, D41)."""
    name = topic()
    await asyncio.to_thread(produce, name, *(b"x" for _ in range(20)))
    recorder, gate = Recorder(), Gate(kind, lambda message: message.offset >= 12)
    async with running(runtime(at_least_once(name, recorder.processor(kind, gate.work)), drain_timeout=0.2)):
        await eventually(lambda: recorder.started[0][-1:] == [12])
    assert await asyncio.to_thread(kafka.admin.committed, group, name) == {0: 12}
    gate.open()
    second = Recorder()
    async with running(runtime(at_least_once(name, second.processor(kind)))):
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 20})
    assert second.handled == {0: list(range(12, 20))}


@one_protocol
async def test_one_request_an_interval(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """Under load there is one commit request for all partitions each interval, with the leader epoch (D12)."""
    name, interval = topic(4), 0.5
    recorder = Recorder()
    async with running(runtime(at_least_once(name, recorder.processor("async")), commit_interval=interval)):
        async with _steady_load(produce, name, [0, 1, 2, 3]):
            await eventually(lambda: len(requests(commits(kafka, group, name))), lambda count: count >= 6)
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
    found = commits(kafka, group, name)
    by_request = requests(found)
    first, *_, last = by_request
    # Two more than intervals fit in: one at each end, of which the last one is not bound to the interval.
    assert len(by_request) <= (last - first) / 1000 / interval + 2, by_request
    assert max(len(together) for together in by_request.values()) == 4
    assert {commit.leader_epoch for commit in found} == {0}


@one_protocol
async def test_nothing_moved_nothing_committed(
    kafka: Kafka, group: str, topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """A partition in which nothing moves is not committed again, while others are, nor when the service stops (D12)."""
    name = topic(2)
    recorder = Recorder()
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=0) for _ in range(5)))
    async with running(runtime(at_least_once(name, recorder.processor("async")), commit_interval=0.1)):
        await eventually(lambda: kafka.admin.committed(group, name), lambda committed: committed == {0: 5})
        async with _steady_load(produce, name, [1]):
            await eventually(lambda: len(requests(commits(kafka, group, name))), lambda count: count >= 8)
        await eventually(lambda: kafka.admin.lag(group, name), lambda lag: lag == 0)
    found = commits(kafka, group, name)
    assert [commit.offset for commit in found if commit.partition == 0] == [5]
    moving = [commit.offset for commit in found if commit.partition == 1]
    assert moving == sorted(set(moving)), "an offset was committed twice"


@asynccontextmanager
async def _steady_load(produce: Produce, name: str, partitions: list[int]) -> AsyncIterator[None]:
    """Produce a record to each of the partitions again and again during the block."""
    enough = asyncio.Event()

    async def load() -> None:
        while not enough.is_set():
            await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in partitions))

    task = asyncio.create_task(load())
    try:
        yield
    finally:
        enough.set()
        await task
