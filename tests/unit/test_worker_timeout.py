"""`handler_timeout` in the workers, without a broker (D33)."""

import asyncio
import queue
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tests.pieces import piece, tp_of

from humus.queue import kafka
from humus.queue.kafka._async_worker import AsyncWorker
from humus.queue.kafka._commands import Failed, Failing, Fatal, WorkerDone, WorkerEvent
from humus.queue.kafka._partition import Key
from humus.queue.kafka._subscription import at_least_once
from humus.queue.kafka._thread_worker import ThreadWorker
from humus.queue.kafka._worker import Terms

KEY = Key(tp_of(), 1)
WITHIN = 30.0
SHORT, LONG = 0.05, 20.0


def run_async(processor: Callable[[kafka.Message], Awaitable[None]], timeout: float, **options: Any) -> list[Any]:
    """Let an async worker handle records 0 to 2 and return all that it said."""
    said: list[WorkerEvent] = []

    async def on_loop() -> None:
        subscription = at_least_once(
            "orders", processor, **{"retry": kafka.Retry(max_attempts=1), "on_failure": kafka.skip(), **options}
        )
        terms = Terms(handler_timeout=timeout)
        worker = AsyncWorker(KEY, subscription, said.append, asyncio.get_running_loop(), set(), terms)
        worker.feed([piece([0, 1, 2])])
        worker.drain(finish=True)
        worker.wake()
        assert worker.task is not None
        await asyncio.wait([worker.task], timeout=WITHIN)
        assert not worker.task.cancelling() or isinstance(said[-1], Fatal)

    asyncio.run(on_loop())
    return said


def test_an_async_handler_is_cancelled_and_has_failed() -> None:
    """D33: the attempt is cut short and counts as a failure named `timeout`; the others have their whole time."""
    cancelled: list[int] = []

    async def processor(msg: kafka.Message) -> None:
        if msg.offset == 1:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                cancelled.append(msg.offset)
                raise

    failed, done = run_async(processor, SHORT)
    assert cancelled == [1]
    assert isinstance(failed, Failed)
    assert (failed.failure.offset, failed.failure.error_type) == (1, "timeout")
    assert "handler_timeout, 0.05 s" in failed.failure.reason
    assert done == WorkerDone(KEY, 3)


def test_each_attempt_has_its_own_time() -> None:
    """D33: a retry is not cut short for what the attempt before it took."""
    attempts: list[tuple[int, float]] = []

    async def processor(msg: kafka.Message) -> None:
        if msg.offset == 1:
            deadline = kafka.current().deadline
            assert deadline is not None
            attempts.append((kafka.current().attempt, deadline))
            if len(attempts) < 3:
                await asyncio.sleep(LONG)

    events = run_async(processor, SHORT, retry=kafka.Retry(initial=0.01))
    assert [type(event) for event in events] == [Failing, Failing, WorkerDone]
    assert [number for number, _ in attempts] == [1, 2, 3]
    assert attempts[1][1] - attempts[0][1] >= SHORT
    assert events[-1] == WorkerDone(KEY, 3)


def test_a_handler_that_swallows_its_cancellation_has_failed_when_it_ends() -> None:
    """D33: there are never two runs of one record at once, and a late success is none."""
    running, overlaps, runs = 0, 0, 0

    async def processor(msg: kafka.Message) -> None:
        nonlocal running, overlaps, runs
        if msg.offset != 1:
            return
        running, runs = running + 1, runs + 1
        overlaps += running > 1
        if runs == 1:
            try:
                await asyncio.sleep(LONG)
            except asyncio.CancelledError:
                await asyncio.sleep(SHORT * 2)
        running -= 1

    failing, done = run_async(processor, SHORT, retry=kafka.Retry(initial=0.01))
    assert (runs, overlaps) == (2, 0)
    assert failing.failure.error_type == "timeout"
    assert done == WorkerDone(KEY, 3)


def test_what_a_cut_short_handler_raises_instead_is_the_cause() -> None:
    """D33, D34: an exception out of the cancellation is a time-out all the same; what ends the runtime still does."""

    async def raises(msg: kafka.Message) -> None:
        try:
            await asyncio.sleep(LONG if msg.offset == 1 else 0)
        except asyncio.CancelledError:
            raise KeyError("half done") from None

    failed, _done = run_async(raises, SHORT)
    assert failed.failure.error_type == "timeout"

    async def exits(_msg: kafka.Message) -> None:
        try:
            await asyncio.sleep(LONG)
        except asyncio.CancelledError:
            raise SystemExit(3) from None

    [fatal] = run_async(exits, SHORT)
    assert isinstance(fatal, Fatal)
    assert isinstance(fatal.error, SystemExit)


def test_handlers_in_time_are_left_alone() -> None:
    """D33: many quick records, together longer than the time-out, and a slow one within it: nothing is cancelled."""

    async def processor(_msg: kafka.Message) -> None:
        await asyncio.sleep(SHORT)

    assert run_async(processor, SHORT * 2.5) == [WorkerDone(KEY, 3)]


def test_the_handlers_own_time_outs_still_work() -> None:
    """`asyncio.timeout` inside a processor is not mistaken for ours, nor ours for it."""
    seen: list[str] = []

    async def processor(msg: kafka.Message) -> None:
        if msg.offset == 0:
            try:
                async with asyncio.timeout(SHORT / 2):
                    await asyncio.sleep(LONG)
            except TimeoutError:
                seen.append("its own")
        elif msg.offset == 1:
            async with asyncio.timeout(LONG):
                await asyncio.sleep(LONG)

    failed, done = run_async(processor, SHORT * 2)
    assert seen == ["its own"]
    assert (failed.failure.offset, failed.failure.error_type) == (1, "timeout")
    assert done == WorkerDone(KEY, 3)


def test_a_sync_handler_is_reported_and_has_failed_when_it_returns() -> None:
    """D33: a thread cannot be cut short; the time-out shows at once, and the late success is a failure."""
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    began, go_on = threading.Event(), threading.Event()
    runs: list[int] = []

    def processor(msg: kafka.Message) -> None:
        runs.append(msg.offset)
        if runs == [0, 1]:
            began.set()
            assert go_on.wait(WITHIN)

    subscription = at_least_once("orders", processor, retry=kafka.Retry(initial=0.01))
    worker = ThreadWorker(KEY, subscription, said.put, Terms(handler_timeout=SHORT))
    worker.feed([piece([0, 1, 2])])
    worker.drain(finish=True)
    assert began.wait(WITHIN)
    started = worker.started
    assert worker.overdue(started + SHORT / 2) is None
    overdue = worker.overdue(started + SHORT + 1)
    assert overdue is not None
    assert (overdue.failure.offset, overdue.failure.error_type, overdue.failure.since) == (1, "timeout", started)
    assert worker.overdue(started + SHORT + 2) is None  # once an attempt
    while time.monotonic() < started + SHORT:
        assert said.empty()
    go_on.set()
    failing = said.get(timeout=WITHIN)
    assert isinstance(failing, Failing)
    assert (failing.failure.offset, failing.failure.error_type) == (1, "timeout")
    assert said.get(timeout=WITHIN) == WorkerDone(KEY, 3)
    assert runs == [0, 1, 1, 2]


@pytest.mark.parametrize("timeout", [None, LONG])
def test_without_a_time_out_nothing_is_overdue(timeout: float | None) -> None:
    """D33: nothing is reported of a worker at rest, or without a time-out."""
    subscription = at_least_once("orders", lambda _msg: None)
    said: queue.SimpleQueue[WorkerEvent] = queue.SimpleQueue()
    worker = ThreadWorker(KEY, subscription, said.put, Terms(handler_timeout=timeout))
    worker.feed([piece([0])])
    worker.drain(finish=True)
    assert said.get(timeout=WITHIN) == WorkerDone(KEY, 1)
    assert worker.overdue(1e12) is None
