"""Calls the processor for one partition in one epoch, record by record, until a decision on each is final.

Two workers, one for each kind of processor. `AsyncWorker` is a task on the application's loop; `ThreadWorker` is a
daemon thread with a plain queue (never `concurrent.futures`: it joins at exit). They share all that decides:
`_recovery` says what becomes of a failed attempt, and only waiting and calling differ.

What crosses threads: the inbox (filled by the poll thread), `position` (one writer, the worker: everything below it is
handled), the stop flags (set by the poll thread), and events to the poll thread. Each worker sends exactly one last
event: `Halted`, `Fatal` or `WorkerDone`.
"""

import asyncio
import logging
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextvars import Context, copy_context
from typing import Any, Final

from humus.queue._describe import error_message, error_stack, error_type
from humus.queue._processors import Handler, describe_awaitable
from humus.queue.kafka._commands import Failed, Failing, Fatal, Halted, WorkerDone, WorkerEvent
from humus.queue.kafka._delivery_context import worker_var
from humus.queue.kafka._message import Message, RawRecord
from humus.queue.kafka._partition import Failure, Key, Piece
from humus.queue.kafka._retry import Outcome, Unretryable, decide
from humus.queue.kafka._subscription import Semantic, Subscription

__all__ = ["AsyncWorker", "ThreadWorker", "Worker"]

_log = logging.getLogger("humus.kafka.worker")

_SLICE_SECONDS: Final = 0.005
"""An async worker lets the other partitions run about this often, even if its processor never waits (D2)."""
_MAX_SLICE: Final = 512

Send = Callable[[WorkerEvent], None]


class Worker:
    """What both kinds have in common. `send` may be called from any thread.

    The processor runs in `context`, by default a copy of the caller's: it sees the application's context variables,
    and what it sets itself stays set for the partition's next record.
    """

    def __init__(self, key: Key, subscription: Subscription, send: Send, context: Context | None = None) -> None:
        self.key = key
        self.position = -1
        self.message: Message | None = None
        self.attempt = 1
        self.leave = False  # end after the record in flight
        self.finish = False  # end after everything handed over
        self._subscription = subscription
        self._handler: Handler = subscription.handler
        self._send = send
        self._context = copy_context() if context is None else context
        self._last: WorkerEvent | None = None

    @property
    def stopping(self) -> bool:
        """Whether the partition is to be given back."""
        return self.leave or self.finish

    def feed(self, pieces: Sequence[Piece]) -> None:
        """Hand over records. Poll thread."""
        raise NotImplementedError

    def drain(self, *, finish: bool) -> None:
        """Come to an end: after the record in flight, or (`finish`) after everything handed over. Poll thread."""
        raise NotImplementedError

    def cancel(self) -> None:
        """Come to an end at once, as far as that is possible. Poll thread."""
        raise NotImplementedError

    def _ended(self) -> None:
        self._send(self._last or WorkerDone(self.key, self.position))

    def _recovery(self, message: Message, error: BaseException) -> Generator[float, BaseException | None, bool]:
        """Decide on a record whose first attempt failed with `error`.

        Yields the seconds to wait before each further attempt and is sent its error, `None` for success. Returns
        whether the partition goes on; where it does not, the last event says why.
        """
        subscription, key = self._subscription, self.key
        since = time.monotonic()
        while True:
            if _stops_runtime(error):
                self._fatal(message, error)
                return False
            verdict = decide(
                subscription.retry,
                subscription.on_failure,
                error,
                self.attempt,
                random.random(),  # noqa: S311 - spreads retries, guards nothing
            )
            failure = Failure(message.offset, self.attempt, error_type(error), error_message(error), since)
            self._log_failure(message, error, failure, verdict.outcome, verdict.wait)
            match verdict.outcome:
                case Outcome.RETRY:
                    self._send(Failing(key, failure))
                    self.attempt += 1
                    again = yield verdict.wait
                    if again is None:
                        return True
                    error = again
                case Outcome.SKIP:
                    self._send(Failed(key, failure))
                    return True
                case Outcome.HALT:
                    self._last = Halted(key, failure)
                    return False
                case Outcome.SHUT_DOWN:
                    self._last = Fatal(key, self._position_behind(message), message.offset, error)
                    return False

    def _fatal(self, message: Message, error: BaseException) -> None:
        _log.critical(
            "%s: the processor raised %s: the runtime stops\n%s",
            _place(message),
            error_type(error),
            error_stack(error).rstrip(),
            extra=_fields(message, error),
        )
        self._last = Fatal(self.key, self._position_behind(message), message.offset, error)

    def _position_behind(self, message: Message) -> int:
        """Return where a fatal record leaves the position: at most once it is consumed, else it is not handled."""
        return message.offset + (self._subscription.semantic is Semantic.AT_MOST_ONCE)

    def _log_failure(
        self, message: Message, error: BaseException, failure: Failure, outcome: Outcome, wait: float
    ) -> None:
        at_most_once = self._subscription.semantic is Semantic.AT_MOST_ONCE
        consequence = {
            Outcome.RETRY: f"trying again in {wait:.3g} s",
            Outcome.SKIP: "it is consumed all the same" if at_most_once else "skipped",
            Outcome.HALT: "the partition is halted at this record",
            Outcome.SHUT_DOWN: "the runtime is shut down",
        }[outcome]
        # The stack at the first failure, and where it decides something: attempts need not fail alike.
        tells = outcome in (Outcome.HALT, Outcome.SHUT_DOWN) or (outcome is Outcome.RETRY and failure.attempts == 1)
        stack = f"\n{error_stack(error)}".rstrip() if tells else ""
        _log.log(
            logging.WARNING if outcome in (Outcome.RETRY, Outcome.SKIP) else logging.ERROR,
            "%s: attempt %d failed, %s: %s: %s%s",
            _place(message),
            failure.attempts,
            consequence,
            failure.error_type,
            failure.reason,
            stack,
            extra=_fields(message, error),
        )


class AsyncWorker(Worker):
    """A worker for an `async def` processor: one task on the application's loop.

    `wake` is to be called on that loop; `needs_wake` collects, on the poll thread, the workers that wait for it, so
    that a whole round of the poll loop costs one crossing of threads.
    """

    def __init__(
        self,
        key: Key,
        subscription: Subscription,
        send: Send,
        loop: asyncio.AbstractEventLoop,
        needs_wake: "set[AsyncWorker]",
        *,
        context: Context | None = None,
    ) -> None:
        super().__init__(key, subscription, send, context)
        self.task: asyncio.Task[None] | None = None
        self._loop = loop
        self._needs_wake = needs_wake
        self._inbox: deque[Piece] = deque()
        self._idle = True
        self._waiter: asyncio.Future[None] | None = None
        self._cancelled = False
        self._slice = 1
        self._ran = 0
        self._since = 0.0

    def feed(self, pieces: Sequence[Piece]) -> None:
        """Hand over records. Poll thread."""
        if self.position < 0:
            self.position = pieces[0].first
        self._inbox.extend(pieces)
        if self._idle:
            self._needs_wake.add(self)

    def drain(self, *, finish: bool) -> None:
        """Come to an end. Poll thread."""
        if finish:
            self.finish = True
        else:
            self.leave = True
        self._needs_wake.add(self)

    def cancel(self) -> None:
        """Cancel the task. Poll thread."""
        self.leave = True
        self._cancelled = True
        self._needs_wake.add(self)

    def wake(self) -> None:
        """Start, go on, or be cancelled: whatever the poll thread asked for. On the loop."""
        self._idle = False
        task = self.task or self._start()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        if self._cancelled:
            task.cancel()

    def _start(self) -> asyncio.Task[None]:
        self.task = task = self._loop.create_task(
            self._run(), name=f"humus {self.key.tp} epoch {self.key.epoch}", context=self._context
        )
        task.add_done_callback(self._task_done)
        return task

    def _task_done(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() and not self._cancelled:  # by somebody else, before its first step
            self._start()
            return
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a defect of ours, never the processor's: stop loudly rather than stand still
            self._last = Fatal(self.key, self.position, self.position, error)
        self._ended()

    async def _run(self) -> None:
        worker_var.set(self)
        self._since = time.perf_counter()
        inbox = self._inbox
        while not self.leave:
            if inbox:
                if not await self._handle(inbox.popleft()):
                    return
            elif self.finish:
                return
            else:
                await self._rest(inbox)

    async def _rest(self, inbox: deque[Piece]) -> None:
        self.message = None
        self._idle = True
        if inbox or self.stopping:  # filled before the poll thread could see that we rest
            self._idle = False
            return
        await self._wait(None)
        self._ran = 0
        self._since = time.perf_counter()

    async def _handle(self, piece: Piece) -> bool:
        """Handle a piece's records; `False` when the worker is to end."""
        records = piece.records
        at = 0
        while at < len(records):
            some = records[at : at + self._slice - self._ran]
            at += len(some)
            if not await self._handle_slice(some):
                return False
            self._ran += len(some)
            if self._ran >= self._slice:
                await self._let_others_run()
        self.position = max(self.position, piece.end)
        return True

    async def _handle_slice(self, records: Sequence[RawRecord]) -> bool:
        """The hot path: a few tenths of a microsecond a record."""
        call = self._handler.call
        topic, partition = self.key.tp
        expected = self.position
        for raw in records:
            offset = raw.offset()
            if offset < expected:
                continue
            if self.leave:
                self.position = expected  # the record before was handled to its end
                return False
            self.position = offset
            self.message = message = Message(topic, partition, offset, raw.key(), raw.value(), raw)
            try:
                await call(message)
            except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                if not await self._recover(message, error):
                    return False
            expected = offset + 1
        self.position = expected
        return True

    async def _recover(self, message: Message, error: BaseException) -> bool:
        if self._is_our_cancellation(error):
            raise error
        recovery = self._recovery(message, error)
        answer: BaseException | None = None
        try:
            wait = next(recovery)
            while True:
                if not await self._wait_out(wait):
                    return False
                answer = None
                try:
                    await self._handler.call(message)
                except BaseException as again:
                    if self._is_our_cancellation(again):
                        raise
                    answer = again
                wait = recovery.send(answer)
        except StopIteration as decision:
            return bool(decision.value)
        finally:
            self.attempt = 1

    def _is_our_cancellation(self, error: BaseException) -> bool:
        """Tell whether the poll thread asked for it. Any other one is the handler's failure, or means nothing (D34):
        a worker that ended by itself would leave its partition standing still.
        """
        if not isinstance(error, asyncio.CancelledError):
            return False
        while not self._cancelled and self.task is not None and self.task.cancelling():
            self.task.uncancel()
        return self._cancelled

    async def _wait_out(self, seconds: float) -> bool:
        """Wait before the next attempt; `False` when the worker is to end instead."""
        until = time.monotonic() + seconds
        while not self.leave:
            left = until - time.monotonic()
            if left <= 0:
                return True
            await self._wait(left)
        return False

    async def _wait(self, seconds: float | None) -> None:
        """Wait until woken, or for so many seconds."""
        self._waiter = waiter = self._loop.create_future()
        timer = None if seconds is None else self._loop.call_later(seconds, _let_go, waiter)
        try:
            if seconds is None or not self.leave:
                await waiter
        except asyncio.CancelledError as error:
            if self._is_our_cancellation(error):
                raise
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    async def _let_others_run(self) -> None:
        """Give way to the other tasks of the loop, and learn how many records fit between two times of doing so."""
        elapsed = time.perf_counter() - self._since
        if elapsed > _SLICE_SECONDS * 2:
            self._slice = max(1, self._slice // 2)
        elif elapsed < _SLICE_SECONDS / 2:
            self._slice = min(_MAX_SLICE, self._slice * 2)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            if self._is_our_cancellation(error):
                raise
        self._ran = 0
        self._since = time.perf_counter()


class ThreadWorker(Worker):
    """A worker for a plain `def` processor: one daemon thread, so that blocking code blocks its own partition only."""

    def __init__(self, key: Key, subscription: Subscription, send: Send, context: Context | None = None) -> None:
        super().__init__(key, subscription, send, context)
        self._inbox: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._thread = threading.Thread(
            target=self._context.run, args=(self._run,), name=f"humus {key.tp} epoch {key.epoch}", daemon=True
        )

    def feed(self, pieces: Sequence[Piece]) -> None:
        """Hand over records. Poll thread."""
        if self.position < 0:
            self.position = pieces[0].first
            self._thread.start()
        for piece in pieces:
            self._inbox.put(piece)

    def drain(self, *, finish: bool) -> None:
        """Come to an end. Poll thread."""
        if finish:
            self.finish = True
        else:
            self.leave = True
            self._hurry.set()
        self._inbox.put(None)

    def cancel(self) -> None:
        """End after the record in flight; a thread cannot be stopped within it. Poll thread."""
        self.drain(finish=False)

    def _run(self) -> None:
        try:
            worker_var.set(self)
            while not self.leave and self._handle_next():
                self.message = None
        except BaseException as error:  # noqa: BLE001 - a defect of ours: stop loudly rather than stand still
            self._last = Fatal(self.key, self.position, self.position, error)
        finally:
            self._ended()

    def _handle_next(self) -> bool:
        # In a frame of its own: a worker at rest holds no record.
        piece = self._inbox.get()
        return piece is not None and self._handle(piece)

    def _handle(self, piece: Piece) -> bool:
        """Handle a piece's records; `False` when the worker is to end. The hot path."""
        handler = self._handler
        call = handler.call
        topic, partition = self.key.tp
        expected = self.position
        for raw in piece.records:
            offset = raw.offset()
            if offset < expected:
                continue
            if self.leave:
                self.position = expected  # the record before was handled to its end
                return False
            self.position = offset
            self.message = message = Message(topic, partition, offset, raw.key(), raw.value(), raw)
            try:
                returned = call(message)
                if returned is not None:
                    _refuse_awaitable(handler, returned)
            except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                if not self._recover(message, error):
                    return False
            expected = offset + 1
        self.position = max(expected, piece.end)
        return True

    def _recover(self, message: Message, error: BaseException) -> bool:
        recovery = self._recovery(message, error)
        try:
            wait = next(recovery)
            while True:
                if not self._wait_out(wait):
                    return False
                wait = recovery.send(self._attempt(message))
        except StopIteration as decision:
            return bool(decision.value)
        finally:
            self.attempt = 1

    def _wait_out(self, seconds: float) -> bool:
        """Wait before the next attempt; `False` when the worker is to end instead."""
        return not (self._hurry.wait(seconds) or self.leave)

    def _attempt(self, message: Message) -> BaseException | None:
        try:
            _refuse_awaitable(self._handler, self._handler.call(message))
        except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
            return error
        return None


def _let_go(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _refuse_awaitable(handler: Handler, returned: Any) -> None:
    fault = describe_awaitable(handler, returned)
    if fault is not None:
        raise Unretryable(fault)


def _stops_runtime(error: BaseException) -> bool:
    """Tell whether an exception ends the runtime: no `Exception`, or out of memory (D34)."""
    if isinstance(error, asyncio.CancelledError):
        return False  # nobody asked for it: an ordinary failure
    return not isinstance(error, Exception) or isinstance(error, MemoryError)


def _place(message: Message) -> str:
    return f"{message.topic}[{message.partition}]@{message.offset}"


def _fields(message: Message, error: BaseException) -> dict[str, object]:
    return {
        "messaging.destination.name": message.topic,
        "messaging.destination.partition.id": str(message.partition),
        "messaging.kafka.offset": message.offset,
        "error.type": error_type(error),
    }
