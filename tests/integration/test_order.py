"""Order and threads: one record at a time within a partition, partitions side by side (D1, D3)."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from humus.queue.kafka import Message, Subscription, at_least_once, at_most_once
from tests.integration.conftest import MakeRuntime, one_protocol
from tests.integration.service import Kind, Recorder, eventually, running
from tests.kafka.access import MakeTopic, Produce
from tests.kafka.records import Record

pytestmark = [pytest.mark.asyncio, one_protocol]

_WITHIN = 20.0


@pytest.mark.parametrize("factory", [at_least_once, at_most_once])
async def test_in_offset_order_and_one_at_a_time(
    factory: Callable[[str, Any], Subscription],
    topic: MakeTopic,
    produce: Produce,
    runtime: MakeRuntime,
    kind: Kind,
) -> None:
    """Within a partition every record comes once, in offset order, and never two at a time (D1, D22)."""
    name = topic(4)
    await asyncio.to_thread(produce, name, *(Record(b"%d" % at, partition=at % 4) for at in range(2000)))
    recorder = Recorder()
    # The processor gives way within each record: whoever could overtake it would.
    work = (lambda _: asyncio.sleep(0)) if kind == "async" else lambda _: time.sleep(0.0005)
    async with running(runtime(factory(name, recorder.processor(kind, work)))):
        await eventually(recorder.count, lambda count: count >= 2000)
    assert recorder.handled == {at: list(range(500)) for at in range(4)}
    assert recorder.overlaps == []


async def test_partitions_run_side_by_side(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime, kind: Kind
) -> None:
    """Four partitions, whose first records wait for one another, all get through (D1)."""
    name = topic(4)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in range(4)))
    recorder = Recorder()
    meeting, met = threading.Barrier(4), asyncio.Event()

    async def meet(_message: Message) -> None:
        if recorder.most_at_once == 4:
            met.set()
        await met.wait()

    work = meet if kind == "async" else lambda _: meeting.wait(_WITHIN)
    async with running(runtime(at_least_once(name, recorder.processor(kind, work)))):
        await eventually(recorder.count, lambda count: count == 4)
    assert recorder.most_at_once == 4


async def test_async_processors_share_the_loop(topic: MakeTopic, produce: Produce, runtime: MakeRuntime) -> None:
    """`async def` processors run on the thread of the application's loop, one task for each partition (D3)."""
    name = topic(3)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at % 3) for at in range(30)))
    recorder = Recorder()
    tasks: dict[int, set[asyncio.Task[Any] | None]] = {0: set(), 1: set(), 2: set()}

    async def note(message: Message) -> None:
        tasks[message.partition].add(asyncio.current_task())

    async with running(runtime(at_least_once(name, recorder.processor("async", note)))):
        await eventually(recorder.count, lambda count: count == 30)
    assert recorder.threads == {at: {threading.current_thread()} for at in range(3)}
    assert [len(each) for each in tasks.values()] == [1, 1, 1]
    assert len(set.union(*tasks.values())) == 3


async def test_def_processors_have_a_thread_a_partition(
    topic: MakeTopic, produce: Produce, runtime: MakeRuntime
) -> None:
    """`def` processors run on a daemon thread for each partition, which starts at its first record (D3)."""
    name = topic(4)
    await asyncio.to_thread(produce, name, *(Record(b"x", partition=at) for at in (0, 1, 2) for _ in range(10)))
    recorder = Recorder()

    def alive() -> list[str]:
        return sorted(thread.name for thread in threading.enumerate() if name in thread.name)

    async with running(runtime(at_least_once(name, recorder.processor("def")))):
        await eventually(recorder.count, lambda count: count == 30)
        assert len(alive()) == 3, "the empty partition has no thread"
        await asyncio.to_thread(produce, name, Record(b"x", partition=3))
        await eventually(recorder.count, lambda count: count == 31)
        assert len(alive()) == 4
    used = [threads for _, threads in sorted(recorder.threads.items())]
    assert [len(threads) for threads in used] == [1, 1, 1, 1]
    threads = set.union(*used)
    assert len(threads) == 4
    assert threading.current_thread() not in threads
    assert all(thread.daemon for thread in threads)
    await eventually(alive, lambda names: names == [])
