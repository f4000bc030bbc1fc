"""A worker that is told to leave: what it finished counts as handled, what it did not start does not."""

import asyncio
import threading

import pytest

from humus.queue.kafka._commands import WorkerDone, WorkerEvent
from humus.queue.kafka._message import Message, TopicPartition
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._subscription import at_least_once
from humus.queue.kafka._worker import AsyncWorker, ThreadWorker
from humus.testing import message

KEY = Key(TopicPartition("orders", 0), 1)


IN_FLIGHT = 9
"""In the middle of what an async worker handles between two looks at the others, not at its end."""


def piece() -> Piece:
    """Make offsets 5 to 14."""
    records = [message(b"", offset=offset)._raw for offset in range(5, 15)]  # noqa: SLF001 - what a worker gets
    return Piece(records, 5, 15, 0, 0)


@pytest.mark.asyncio
async def test_an_async_worker_leaves_behind_the_record_in_flight() -> None:
    """D40: the record in flight finishes and is handled; the next one is not started and not counted."""
    said: list[WorkerEvent] = []
    started, may_finish = asyncio.Event(), asyncio.Event()

    async def process(msg: Message) -> None:
        if msg.offset == IN_FLIGHT:
            started.set()
            await may_finish.wait()

    worker = AsyncWorker(KEY, at_least_once("orders", process), said.append, asyncio.get_running_loop(), set())
    worker.feed([piece()])
    worker.wake()
    await started.wait()
    worker.drain(finish=False)
    worker.wake()
    may_finish.set()
    assert worker.task is not None
    await worker.task
    await asyncio.sleep(0)  # the task's own callback

    assert said == [WorkerDone(KEY, IN_FLIGHT + 1)]


def test_a_thread_worker_leaves_behind_the_record_in_flight() -> None:
    """D40: the same for a plain `def` processor on its thread."""
    said: list[WorkerEvent] = []
    started, may_finish, ended = threading.Event(), threading.Event(), threading.Event()

    def process(msg: Message) -> None:
        if msg.offset == IN_FLIGHT:
            started.set()
            assert may_finish.wait(10)

    def send(event: WorkerEvent) -> None:
        said.append(event)
        ended.set()

    worker = ThreadWorker(KEY, at_least_once("orders", process), send)
    worker.feed([piece()])
    assert started.wait(10)
    worker.drain(finish=False)
    may_finish.set()
    assert ended.wait(10)

    assert said == [WorkerDone(KEY, IN_FLIGHT + 1)]
