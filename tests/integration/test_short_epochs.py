"""A partition that leaves before it has begun, is handled elsewhere, and comes back: nothing of it is handled again."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from humus.queue.kafka import Runtime, Subscription, at_least_once, at_most_once
from tests.integration.conftest import MakeRuntime
from tests.integration.service import Recorder, eventually, partitions, running
from tests.kafka.access import Kafka, MakeTopic, Produce
from tests.kafka.proxy import LIST_OFFSETS, Proxy

pytestmark = pytest.mark.asyncio

PARTITIONS, EACH = 2, 5
SEARCHING = 2.0
"""Seconds within which a search for a start, answered late, would have been made again, and records come of it."""


@pytest.fixture
def proxy(kafka: Kafka) -> Iterator[Proxy]:
    """Stand between the first member and the broker."""
    (broker,) = kafka.cluster.brokers
    with Proxy(broker.place) as standing:
        yield standing


def _held(member: Runtime) -> list[int]:
    return sorted(partitions(member))


@pytest.mark.parametrize("semantic", [at_least_once, at_most_once])
@pytest.mark.parametrize("late", [True, False], ids=["answered late", "answered between"])
async def test_an_epoch_that_never_began_leaves_nothing_to_the_next_one(
    kafka: Kafka,
    group: str,
    proxy: Proxy,
    topic: MakeTopic,
    produce: Produce,
    runtime: MakeRuntime,
    semantic: Callable[..., Subscription],
    late: bool,
) -> None:
    """The search for its start is answered when it has left, or come back: no record twice, none left out (D1, D21)."""
    name, first_recorder, second_recorder = topic(PARTITIONS), Recorder(), Recorder()
    for at in range(PARTITIONS):
        produce(name, *[b"x"] * EACH, partition=at)
    first = runtime(semantic(name, first_recorder.processor("async")), brokers=proxy.address)
    second = runtime(semantic(name, second_recorder.processor("async")))
    await asyncio.to_thread(proxy.hold_back, LIST_OFFSETS)
    async with running(first):
        await eventually(lambda: proxy.seen[LIST_OFFSETS])
        async with running(second):
            await eventually(lambda: second_recorder.count() == EACH)
            (moved,) = second_recorder.handled
            await eventually(lambda: kafka.admin.committed(group, name).get(moved) == EACH)
            if not late:
                await asyncio.to_thread(proxy.pass_on)
        await eventually(lambda: _held(first) == list(range(PARTITIONS)))
        await asyncio.to_thread(proxy.pass_on)
        await asyncio.sleep(SEARCHING)
        for at in range(PARTITIONS):
            await asyncio.to_thread(produce, name, b"x", partition=at)
        await eventually(lambda: first_recorder.handled[moved][-1:] == [EACH])
        await eventually(lambda: kafka.admin.lag(group, name) == 0)
    handled: dict[int, Counter[int]] = {
        at: Counter(first_recorder.handled[at]) + Counter(second_recorder.handled[at]) for at in range(PARTITIONS)
    }
    assert handled == {at: Counter(range(EACH + 1)) for at in range(PARTITIONS)}
