"""The workers, without a broker: where they stop, and what they say last."""

import asyncio
import queue
from collections.abc import Callable
from typing import Any

import pytest
from tests.pieces import piece, tp_of

from humus.queue import kafka
from humus.queue.kafka._commands import Halted, WorkerDone, WorkerEvent
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._subscription import Subscription, at_least_once
from humus.queue.kafka._worker import AsyncWorker, ThreadWorker, Worker

KEY = Key(tp_of(), 1)
WITHIN = 30.0


def run(
    subscription: Subscription, pieces: list[Piece], hired: Callable[[Worker], None] = lambda _: None
) -> WorkerEvent:
    """Hand pieces to a worker of the right kind, let it come to its end, and return its last word."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()

    async def on_loop() -> None:
        loop = asyncio.get_running_loop()
        worker = AsyncWorker(KEY, subscription, said.put, loop, set())
        hired(worker)
        worker.feed(pieces)
        worker.drain(finish=True)
        worker.wake()
        assert worker.task is not None
        await asyncio.wait([worker.task])

    if subscription.handler.is_async:
        asyncio.run(on_loop())
    else:
        worker = ThreadWorker(KEY, subscription, said.put)
        hired(worker)
        worker.feed(pieces)
        worker.drain(finish=True)
    while True:
        event = said.get(timeout=WITHIN)
        if isinstance(event, WorkerDone | Halted):
            return event


def subscribe(kind: str, function: Callable[[kafka.Message], Any], **options: Any) -> Subscription:
    """Subscribe with a processor of either kind."""

    async def processor(msg: kafka.Message) -> None:
        function(msg)

    return at_least_once("test", processor if kind == "async" else function, **options)


both = pytest.mark.parametrize("kind", ["async", "def"])


@both
def test_the_record_in_flight_at_a_drain_counts_as_handled(kind: str) -> None:
    """D40: the record that was in flight when the drain began, and finished, is not handled again."""
    workers: list[Worker] = []
    handled: list[int] = []

    def process(msg: kafka.Message) -> None:
        if msg.offset == 1:
            workers[0].drain(finish=False)
        handled.append(msg.offset)

    last = run(subscribe(kind, process), [piece([0, 1, 2, 3]), piece([4])], workers.append)
    assert handled == [0, 1]
    assert last == WorkerDone(KEY, 2)


@both
def test_a_skipped_record_in_flight_at_a_drain_counts_as_handled(kind: str) -> None:
    """D40: a record whose failure policy completed is handled, at a drain as well."""
    workers: list[Worker] = []

    def process(_msg: kafka.Message) -> None:
        workers[0].drain(finish=False)
        raise kafka.Reject

    last = run(subscribe(kind, process, on_failure=kafka.skip()), [piece([0, 1])], workers.append)
    assert last == WorkerDone(KEY, 1)


@both
def test_everything_handed_over_is_finished(kind: str) -> None:
    """D23: a drain that lets finish ends behind the last record, gaps in the offsets or not."""
    handled: list[int] = []
    last = run(subscribe(kind, lambda msg: handled.append(msg.offset)), [piece([3, 5, 9]), piece([12, 13])])
    assert handled == [3, 5, 9, 12, 13]
    assert last == WorkerDone(KEY, 14)


@both
def test_a_stale_record_is_not_handed_over(kind: str) -> None:
    """D1: a record below the next expected offset is dropped, inside a piece too."""
    handled: list[int] = []
    run(subscribe(kind, lambda msg: handled.append(msg.offset)), [piece([3, 4, 2, 5])])
    assert handled == [3, 4, 5]


@both
def test_a_halted_worker_says_where(kind: str) -> None:
    """D31: under `halt()` nothing behind the failed record is handled, and the last word names it."""
    handled: list[int] = []

    def process(msg: kafka.Message) -> None:
        handled.append(msg.offset)
        if msg.offset == 4:
            raise kafka.Reject("broken")

    last = run(subscribe(kind, process), [piece([3, 4, 5])])
    assert handled == [3, 4]
    assert isinstance(last, Halted)
    assert (last.failure.offset, last.failure.reason) == (4, "broken")


@both
def test_a_drain_ends_the_wait_before_a_retry(kind: str) -> None:
    """D40: a record that waits for its next attempt is not in flight; the drain does not wait for it."""
    workers: list[Worker] = []

    def process(_msg: kafka.Message) -> None:
        workers[0].drain(finish=False)
        raise RuntimeError("later")

    retry = kafka.Retry(initial=3600, maximum=3600)
    last = run(subscribe(kind, process, retry=retry), [piece([7, 8])], workers.append)
    assert last == WorkerDone(KEY, 7)
