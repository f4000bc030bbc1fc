"""Processors that do what none should: what each does to its own record, and that it does nothing to the others."""

import asyncio
import logging
import queue
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.pieces import piece, tp_of

from humus.queue import kafka
from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._commands import Fatal, Halted, WorkerDone, WorkerEvent
from humus.queue.kafka._partition import Key
from humus.queue.kafka._subscription import at_least_once
from humus.queue.kafka._thread_worker import ThreadWorker

WITHIN = 30.0
HUGE = 10 * 1024 * 1024
both = pytest.mark.parametrize("kind", ["async", "def"])


class Mute(Exception):  # noqa: N818 - says what it is
    """An exception whose message cannot be had."""

    def __init__(self, failure: BaseException) -> None:
        super().__init__()
        self._failure = failure

    def __str__(self) -> str:
        raise self._failure


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the caller bounds the time."""
    while not condition():  # noqa: ASYNC110 - nothing in a worker signals what a test waits for
        await asyncio.sleep(0)


def last_word(said: "queue.SimpleQueue[WorkerEvent]") -> WorkerEvent:
    """Wait for the worker's last word."""
    while True:
        event = said.get(timeout=WITHIN)
        if isinstance(event, WorkerDone | Halted | Fatal):
            return event


def halted_by(kind: str, error: BaseException) -> Halted:
    """Let a processor raise this at record 1 of 0 to 2, under `halt()` and without a retry; return the last word."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()

    def fail(msg: kafka.Message) -> None:
        if msg.offset == 1:
            raise error

    async def fail_later(msg: kafka.Message) -> None:
        fail(msg)

    options: Any = {"retry": kafka.Retry(max_attempts=1), "on_failure": kafka.halt()}
    if kind == "def":
        worker = ThreadWorker(Key(tp_of(), 1), at_least_once("test", fail, **options), said.put)
        worker.feed([piece([0, 1, 2])])
    else:
        asyncio.run(asyncio.wait_for(_one_worker(at_least_once("test", fail_later, **options), said), WITHIN))
    last = last_word(said)
    assert isinstance(last, Halted)
    assert last.failure.offset == 1
    return last


async def _one_worker(subscription: Any, said: "queue.SimpleQueue[WorkerEvent]") -> None:
    worker = AsyncWorker(Key(tp_of(), 1), subscription, said.put, asyncio.get_running_loop(), set())
    worker.feed([piece([0, 1, 2])])
    worker.wake()
    assert worker.task is not None
    await asyncio.wait([worker.task])


@both
@pytest.mark.parametrize("failure", [ZeroDivisionError(), SystemExit(3), asyncio.CancelledError()], ids=repr)
def test_an_exception_that_cannot_say_what_it_is(kind: str, failure: BaseException) -> None:
    """A `__str__` that raises, whatever it raises, does not hide the failure, nor is it taken for one of ours (D34)."""
    last = halted_by(kind, Mute(failure))
    assert last.failure.error_type == f"{__name__}.Mute"
    assert type(failure).__name__ in last.failure.reason


@both
def test_an_exception_as_large_as_a_payload(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Ten megabytes of message stay out of the log and the status, but for their beginning (D32)."""
    caplog.set_level(logging.DEBUG, "humus")
    last = halted_by(kind, ValueError("x" * HUGE))
    assert len(last.failure.reason) <= 1024
    assert len(caplog.text) < 16 * 1024


@both
def test_stop_iteration_is_an_ordinary_failure(kind: str) -> None:
    """It ends nothing of ours that iterates; Python itself makes another error of it in a coroutine (D34)."""
    last = halted_by(kind, StopIteration("no more"))
    assert last.failure.error_type == ("StopIteration" if kind == "def" else "RuntimeError")


def workers(count: int, processor: Callable[[kafka.Message], Any]) -> Iterator[AsyncWorker]:
    """Make async workers of one processor, each with many records of a partition of its own, and start them."""
    loop = asyncio.get_running_loop()
    for number in range(count):
        key = Key(tp_of(number), 1)
        worker = AsyncWorker(key, at_least_once("test", processor), lambda _event: None, loop, set())
        worker.feed([piece(range(20_000))])
        worker.wake()
        yield worker


def test_a_processor_that_never_waits_leaves_room_for_others() -> None:
    """Every partition gets its turn long before the first one is done, and so does the application's loop (D2)."""

    async def processor(_msg: kafka.Message) -> None:
        pass

    async def on_loop() -> None:
        first, *others = workers(3, processor)
        await until(lambda: all(other.position > 0 for other in others))
        assert first.position < 20_000
        for worker in (first, *others):
            worker.drain(finish=False)
            worker.wake()
        await until(lambda: all(worker.task is not None and worker.task.done() for worker in (first, *others)))

    asyncio.run(asyncio.wait_for(on_loop(), WITHIN))


def test_a_processor_that_swallows_its_cancellation() -> None:
    """It may finish its record, which counts for nothing any more, and is handed no other (D41)."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    handled: list[int] = []

    async def on_loop() -> None:
        released, swallowed = asyncio.Event(), asyncio.Event()

        async def processor(msg: kafka.Message) -> None:
            try:
                await released.wait()
            except asyncio.CancelledError:
                swallowed.set()
                await released.wait()
            handled.append(msg.offset)

        loop = asyncio.get_running_loop()
        worker = AsyncWorker(Key(tp_of(), 1), at_least_once("test", processor), said.put, loop, set())
        worker.feed([piece([0, 1, 2])])
        worker.wake()
        await until(lambda: worker.message is not None)
        worker.cancel()
        worker.wake()
        await swallowed.wait()
        assert said.empty(), "it says that it has ended when it has"
        released.set()
        await until(lambda: not said.empty())

    asyncio.run(asyncio.wait_for(on_loop(), WITHIN))
    assert handled == [0]
    assert last_word(said) == WorkerDone(Key(tp_of(), 1), 1)


def test_tasks_that_a_processor_starts_and_forgets() -> None:
    """They are the application's: how they fail, or that they run on, is nothing to the partition."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    complaints: list[str] = []
    forgotten: list[asyncio.Task[None]] = []

    async def fails() -> None:
        raise ValueError("nobody looks")

    async def processor(msg: kafka.Message) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(fails() if msg.offset % 2 else asyncio.sleep(3600))
        if not msg.offset % 2:
            forgotten.append(task)

    async def on_loop() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: complaints.append(str(context["message"])))
        worker = AsyncWorker(Key(tp_of(), 1), at_least_once("test", processor), said.put, loop, set())
        worker.feed([piece(range(6))])
        worker.drain(finish=True)
        worker.wake()
        await until(lambda: not said.empty())
        await until(lambda: len(complaints) == 3)
        assert not any(task.done() for task in forgotten)

    asyncio.run(asyncio.wait_for(on_loop(), WITHIN))
    assert last_word(said) == WorkerDone(Key(tp_of(), 1), 6)
    assert set(complaints) == {"Task exception was never retrieved"}
