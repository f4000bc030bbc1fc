"""The limit of concurrent fetches, on a cluster with more brokers than that (D51)."""

import asyncio
import itertools

import pytest

from humus.queue.kafka import Message, Runtime, at_least_once
from tests.integration.conftest import defaults, one_protocol
from tests.integration.service import Protocol, Recorder, eventually, running
from tests.kafka.access import Kafka
from tests.kafka.fresh import fresh
from tests.kafka.records import Record

pytestmark = [pytest.mark.asyncio, one_protocol]

_PARTITIONS = 3
_ROUNDS = 2


async def test_one_fetch_at_a_time(kafka_cluster: Kafka, protocol: Protocol) -> None:
    """With `max_concurrent_fetches=1` partitions are fetched one at a time, in turns of 1 s, and none starves (D51)."""
    name = fresh("topic")
    await asyncio.to_thread(kafka_cluster.admin.create_topic, name, _PARTITIONS)
    recorder = Recorder()
    arrivals: list[int] = []
    clock = asyncio.get_running_loop().time

    def note(message: Message) -> None:
        arrivals.append(message.partition)

    member = Runtime(
        kafka_cluster.bootstrap,
        fresh("group"),
        at_least_once(name, recorder.processor("async", note)),
        **defaults(protocol),
        max_concurrent_fetches=1,
    )

    def unpaused() -> list[int]:
        return [at.partition for at in member.status().partitions if at.state != "paused"]

    async def produce_everywhere() -> None:
        everywhere = (Record(b"x", partition=at) for at in range(_PARTITIONS))
        await asyncio.to_thread(kafka_cluster.records.produce, name, *everywhere)

    async def load() -> None:
        """Every partition has something to be fetched at any time."""
        while not enough.is_set():
            await produce_everywhere()

    enough = asyncio.Event()
    async with running(member):
        await eventually(lambda: len(member.status().partitions), lambda count: count == _PARTITIONS)
        await eventually(unpaused, lambda partitions: len(partitions) == 1)  # the brokers are counted
        await produce_everywhere()  # the producer has found all leaders: no turn is cut short for want of records
        await eventually(lambda: all(recorder.handled[at] for at in range(_PARTITIONS)))  # each has begun
        arrivals.clear()
        loading, start = asyncio.create_task(load()), clock()
        seen: list[int] = []
        while len(seen) < _PARTITIONS * _ROUNDS:
            partitions = unpaused()
            assert len(partitions) == 1, "one fetch at a time"
            assert clock() - start < 60, f"starved: the turns were {seen}"
            if partitions != seen[-1:]:
                seen += partitions
            await asyncio.sleep(0.02)
        seconds = clock() - start
        enough.set()
        await loading
        await eventually(
            lambda: [recorder.handled[at][-1:] for at in range(_PARTITIONS)],
            lambda last: last == [[end - 1] for _, end in sorted(kafka_cluster.admin.end_offsets(name).items())],
        )
    assert set(seen[:_PARTITIONS]) == set(seen[_PARTITIONS:]) == set(range(_PARTITIONS)), "turns go round"
    assert seconds > (_PARTITIONS * _ROUNDS - 2) * 0.9, "a turn lasts 1 s or more"
    changes = sum(one != other for one, other in itertools.pairwise(arrivals))
    assert changes <= (seconds + _PARTITIONS + 1) * 2, "records of many partitions came at a time"
    assert recorder.handled == {at: list(range(len(recorder.handled[at]))) for at in range(_PARTITIONS)}


async def test_a_limit_that_is_no_limit(kafka_cluster: Kafka, protocol: Protocol) -> None:
    """At or above the number of brokers the limit asks for nothing: no partition is paused (D51)."""
    name, partitions = fresh("topic"), 6
    await asyncio.to_thread(kafka_cluster.admin.create_topic, name, partitions)
    recorder = Recorder()
    member = Runtime(
        kafka_cluster.bootstrap,
        fresh("group"),
        at_least_once(name, recorder.processor("async")),
        **defaults(protocol),
        max_concurrent_fetches=3,
    )
    async with running(member):
        for round_ in range(1, 6):
            everywhere = (Record(b"x", partition=at) for at in range(partitions))
            await asyncio.to_thread(kafka_cluster.records.produce, name, *everywhere)
            await eventually(recorder.count, lambda count, expected=round_ * partitions: count == expected)  # type: ignore[misc]
            assert {at.state for at in member.status().partitions} == {"running"}
