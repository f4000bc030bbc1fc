"""The workers, without a broker: where they stop, and what they say last, whoever listens to single records."""

import asyncio
import queue
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

import pytest
from tests.pieces import Record, piece, tp_of

from humus.queue import kafka
from humus.queue.kafka import _async_worker, _thread_worker
from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._commands import Failing, Fatal, Halted, WorkerDone, WorkerEvent
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._subscription import Subscription, at_least_once
from humus.queue.kafka._thread_worker import ThreadWorker
from humus.queue.kafka._timing import LONG, Timing
from humus.queue.kafka._worker import Observer, Terms, Worker

KEY = Key(tp_of(), 1)
WITHIN = 30.0


class Listener(Observer):
    """Listens to all of each record, or to durations alone; expects to hear of each once."""

    def __init__(self, *, durations_alone: bool) -> None:
        self.durations: list[float] = []
        self.open = 0
        if durations_alone:
            self.timing = Timing(lambda seconds, _: self.durations.append(seconds), {})

    def begin(self, message: kafka.Message) -> None:  # noqa: ARG002
        """Open it."""
        self.open += 1

    def end(self, began: float) -> None:
        """Close it."""
        self.open -= self.timing is None
        self.durations.append(began)


listener: Listener | None = None
"""Hired with every worker."""


@pytest.fixture(autouse=True, params=["nobody", "all", "durations"])
def _listens(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let each test run once for each of a worker's three loops."""
    global listener  # noqa: PLW0603
    durations = request.param == "durations"
    listener = None if request.param == "nobody" else Listener(durations_alone=durations)
    yield
    listener = None


def terms() -> Terms:
    """Return a worker's terms: its listener."""
    return Terms(observer=listener)


def run(
    subscription: Subscription, pieces: list[Piece], hired: Callable[[Worker], None] = lambda _: None
) -> WorkerEvent:
    """Hand pieces to a worker of the right kind, let it come to its end, and return its last word."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()

    async def on_loop() -> None:
        loop = asyncio.get_running_loop()
        worker = AsyncWorker(KEY, subscription, said.put, loop, set(), terms())
        hired(worker)
        worker.feed(pieces)
        worker.drain(finish=True)
        worker.wake()
        assert worker.task is not None
        await asyncio.wait([worker.task])

    if subscription.handler.is_async:
        asyncio.run(on_loop())
    else:
        worker = ThreadWorker(KEY, subscription, said.put, terms())
        hired(worker)
        worker.feed(pieces)
        worker.drain(finish=True)
    while True:
        event = said.get(timeout=WITHIN)
        if isinstance(event, WorkerDone | Halted | Fatal):
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
def test_each_record_is_told_once(kind: str) -> None:
    """Whoever listens hears of every record that was begun, once: of one that failed, and of the last one too."""

    def process(msg: kafka.Message) -> None:
        if msg.offset == 3:
            raise kafka.Reject("broken")

    run(subscribe(kind, process), [piece([0, 1]), piece([2, 3, 4])])
    assert listener is None or (len(listener.durations), listener.open) == (4, 0)


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


@both
def test_a_record_inherits_no_attempts(kind: str) -> None:
    """D30: each record has all its attempts, also behind one that took nearly all of its own."""
    workers: list[Worker] = []
    attempts: list[tuple[int, int]] = []

    def process(msg: kafka.Message) -> None:
        attempts.append((msg.offset, workers[0].attempt))
        if workers[0].attempt < 3:
            raise RuntimeError("not yet")

    retry = kafka.Retry(max_attempts=3, initial=0)
    last = run(subscribe(kind, process, retry=retry), [piece([0, 1])], workers.append)
    assert attempts == [(0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3)]
    assert last == WorkerDone(KEY, 2)


@both
@pytest.mark.parametrize("error", [MemoryError(), SystemExit(3), KeyboardInterrupt(), GeneratorExit()], ids=repr)
def test_what_ends_the_runtime_leaves_its_record_unhandled(kind: str, error: BaseException) -> None:
    """D34: it is tried once, whatever the retry says; the last word names it, and the position stays at it."""
    tries: list[int] = []

    def process(msg: kafka.Message) -> None:
        tries.append(msg.offset)
        if msg.offset == 4 and tries.count(4) == 1:
            raise error

    last = run(subscribe(kind, process, retry=kafka.Retry(initial=0), on_failure=kafka.skip()), [piece([3, 4, 5])])
    assert tries == [3, 4]
    assert last == Fatal(KEY, 4, 4, error)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition holds; the caller bounds the time."""
    while not condition():  # noqa: ASYNC110 - nothing in a worker signals what a test waits for
        await asyncio.sleep(0)


def run_beside(processor: Callable[[kafka.Message], Any], beside: Callable[[AsyncWorker], Any]) -> list[WorkerEvent]:
    """Hand records 0 to 2 to an async worker, do something to it, hand it record 3, and return all it said."""
    said: list[WorkerEvent] = []

    async def on_loop() -> None:
        loop = asyncio.get_running_loop()
        subscription = at_least_once("test", processor, retry=kafka.Retry(initial=0.05))
        worker = AsyncWorker(KEY, subscription, said.append, loop, set(), terms())
        worker.feed([piece([0, 1, 2])])
        worker.wake()
        await beside(worker)
        worker.feed([piece([3])])
        worker.drain(finish=True)
        worker.wake()
        await until(lambda: any(isinstance(event, WorkerDone | Halted | Fatal) for event in said))

    asyncio.run(asyncio.wait_for(on_loop(), WITHIN))
    return said


def test_a_handler_that_cancels_itself_has_failed() -> None:
    """D34: a cancellation that the runtime did not ask for is a failure like any other; the partition goes on."""
    tries: list[int] = []

    async def processor(msg: kafka.Message) -> None:
        tries.append(msg.offset)
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()
        if len(tries) == 2:
            task.cancel()
            await asyncio.sleep(0)

    async def nothing(_worker: AsyncWorker) -> None:
        pass

    said = run_beside(processor, nothing)
    assert tries == [0, 1, 1, 2, 3]
    failing, last = said
    assert isinstance(failing, Failing)
    assert (failing.failure.offset, failing.failure.error_type) == (1, "asyncio.exceptions.CancelledError")
    assert last == WorkerDone(KEY, 4)


@pytest.mark.parametrize("when", ["before its first step", "between records", "at rest", "in a retry's wait"])
def test_a_worker_ends_only_when_it_is_told_to(when: str) -> None:
    """D72: somebody who cancels all tasks of the loop does not leave a partition standing still."""
    handled: list[int] = []
    cancelled = False

    async def processor(msg: kafka.Message) -> None:
        if when == "in a retry's wait" and msg.offset == 1 and not cancelled:
            raise RuntimeError("later")
        handled.append(msg.offset)

    def is_there(worker: AsyncWorker) -> bool:
        return {
            "before its first step": True,
            "between records": len(handled) == 1,
            "at rest": len(handled) == 3 and worker.message is None,
            "in a retry's wait": worker.attempt == 2,
        }[when]

    async def cancel(worker: AsyncWorker) -> None:
        nonlocal cancelled
        await until(lambda: is_there(worker))
        cancelled = True
        assert worker.task is not None
        worker.task.cancel()
        if when != "before its first step":
            await asyncio.sleep(0)

    said = run_beside(processor, cancel)
    assert handled == [0, 1, 2, 3]
    assert said[-1] == WorkerDone(KEY, 4)


class Mortal(Record):
    """A record whose end can be seen."""

    __slots__ = ("__weakref__",)


@both
def test_a_worker_at_rest_holds_no_record(kind: str) -> None:
    """D50: what is handled is no longer in memory, however long nothing follows it."""
    records = [Mortal(0), Mortal(1)]
    alive = [weakref.ref(record) for record in records]
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    subscription = subscribe(kind, lambda _msg: None)

    def rest(worker: Worker) -> bool:
        return worker.position == 2 and not any(record() for record in alive)

    async def on_loop() -> None:
        needs_wake: set[AsyncWorker] = set()

        def wake() -> None:
            for sleeper in needs_wake:
                sleeper.wake()

        loop = asyncio.get_running_loop()
        worker: Worker = (
            AsyncWorker(KEY, subscription, said.put, loop, needs_wake, terms())
            if kind == "async"
            else ThreadWorker(KEY, subscription, said.put, terms())
        )
        worker.feed([Piece(records[:], 0, 2, 200, -1)])
        records.clear()
        wake()
        try:
            await asyncio.wait_for(until(lambda: rest(worker)), WITHIN)
        finally:
            worker.drain(finish=False)
            wake()
        await asyncio.wait_for(until(lambda: not said.empty()), WITHIN)

    asyncio.run(on_loop())


SETTING: ContextVar[str] = ContextVar("setting", default="unset")


@both
def test_a_processor_sees_the_applications_context(kind: str) -> None:
    """Context variables that are set where the worker was hired are seen by the processor, on a thread as well."""
    seen: list[str] = []
    token = SETTING.set("by the application")
    try:
        run(subscribe(kind, lambda _msg: seen.append(SETTING.get())), [piece([0, 1])])
    finally:
        SETTING.reset(token)
    assert seen == ["by the application"] * 2


@both
@pytest.mark.parametrize("_listens", ["durations"], indirect=True)
def test_a_slow_records_duration_does_not_wait(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a record that took long, all durations so far are told before the next record begins."""
    assert listener is not None
    now = iter([0.0, 0.0, 0.0, LONG * 2, 0.0, 0.0])
    for module in (_async_worker, _thread_worker):
        monkeypatch.setattr(module, "perf_counter", lambda: next(now))
    told: list[int] = []
    durations = listener.durations

    run(subscribe(kind, lambda _msg: told.append(len(durations))), [piece([0, 1, 2])])
    assert told[2] == 2
    assert durations == [0.0, LONG * 2, 0.0]
