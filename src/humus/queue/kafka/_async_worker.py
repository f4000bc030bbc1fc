"""The worker of an `async def` processor: one task on the application's loop."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from humus.queue.kafka._commands import Fatal
from humus.queue.kafka._dead_letter import DeadLetter, Refusal
from humus.queue.kafka._delivery_context import worker_var
from humus.queue.kafka._message import Message, RawRecord
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._subscription import Subscription
from humus.queue.kafka._timing import LONG
from humus.queue.kafka._worker import LETTER_PATIENCE, Send, Terms, Worker, stops_runtime

__all__ = ["AsyncWorker"]

_SLICE_SECONDS: Final = 0.005
"""An async worker lets the other partitions run about this often, even if its processor never waits (D2)."""
_MAX_SLICE: Final = 512


class AsyncWorker(Worker):
    """A worker for an `async def` processor: one task on the application's loop.

    `wake` is to be called on that loop; `needs_wake` collects, on the poll thread, the workers that wait for it, so
    that a whole round of the poll loop costs one crossing of threads.
    """

    def __init__(  # noqa: PLR0917 - what both workers take, and the loop
        self,
        key: Key,
        subscription: Subscription,
        send: Send,
        loop: asyncio.AbstractEventLoop,
        needs_wake: "set[AsyncWorker]",
        terms: Terms = Terms(),  # noqa: B008 - immutable
    ) -> None:
        super().__init__(key, subscription, send, terms)
        self._call = self._handler.call if self._timeout is None else self._within_time
        if terms.observer is None:
            self._handle_slice = self._handle_plain
        else:
            self._handle_slice = self._handle_observed if terms.observer.timing is None else self._handle_timed
        self.task: asyncio.Task[None] | None = None
        self._loop = loop
        self._needs_wake = needs_wake
        self._inbox: deque[Piece] = deque()
        self._idle = True
        self._waiter: asyncio.Future[None] | None = None
        self._cancelled = False
        self._cut_short = False  # the attempt in flight was cancelled for its time-out
        self._timer: asyncio.TimerHandle | None = None
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
        if self._timer is not None:
            self._timer.cancel()
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a defect of ours, never the processor's: stop loudly rather than stand still
            self._last = Fatal(self.key, self.position, self.position, error)
        self._ended()

    async def _run(self) -> None:
        worker_var.set(self)
        self._since = self._clock()
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
        self._since = self._clock()

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

    async def _handle_plain(self, records: Sequence[RawRecord]) -> bool:
        """The hot path: a few tenths of a microsecond a record."""
        call = self._call
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

    async def _handle_observed(self, records: Sequence[RawRecord]) -> bool:
        """The same, for who listens; apart, so that nobody else pays for it."""
        assert self._observer is not None
        begin, call, end = self._observer.begin, self._call, self._observer.end
        topic, partition = self.key.tp
        expected = self.position
        for raw in records:
            offset = raw.offset()
            if offset < expected:
                continue
            if self.leave:
                self.position = expected
                return False
            self.position = offset
            self.message = message = Message(topic, partition, offset, raw.key(), raw.value(), raw)
            begin(message)
            began = perf_counter()
            try:
                await call(message)
            except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                if not await self._recover(message, error):
                    return False
            finally:
                end(began)
            expected = offset + 1
        self.position = expected
        return True

    async def _handle_timed(self, records: Sequence[RawRecord]) -> bool:
        """The same, where only durations are listened to."""
        assert self._observer is not None
        assert self._observer.timing is not None
        timing = self._observer.timing
        keep, call, end = timing.keep, self._call, self._observer.end
        topic, partition = self.key.tp
        expected = self.position
        try:
            for raw in records:
                offset = raw.offset()
                if offset < expected:
                    continue
                if self.leave:
                    self.position = expected
                    return False
                self.position = offset
                self.message = message = Message(topic, partition, offset, raw.key(), raw.value(), raw)
                began = perf_counter()
                try:
                    await call(message)
                except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                    try:
                        if not await self._recover(message, error):
                            return False
                    finally:
                        end(began)
                else:
                    took = perf_counter() - began
                    keep(took)
                    if took > LONG:
                        timing.tell()
                expected = offset + 1
        finally:
            timing.tell()
        self.position = expected
        return True

    async def _recover(self, message: Message, error: BaseException) -> bool:
        if self._is_our_cancellation(error):
            raise error
        recovery = self._recovery(message, error)
        try:
            step = next(recovery)
            while True:
                # A letter that goes out at once belongs to the record in flight, which a drain lets finish.
                if (step.wait or step.letter is None) and not await self._wait_out(step.wait):
                    return False
                if step.letter is None:
                    step = recovery.send(await self._try_again(message))
                else:
                    step = recovery.send(await self._post(message, step.letter))
        except StopIteration as decision:
            return bool(decision.value)
        finally:
            recovery.close()
            self.attempt = 1

    async def _try_again(self, message: Message) -> BaseException | None:
        try:
            await self._call(message)
        except BaseException as error:
            if self._is_our_cancellation(error):
                raise
            return error
        return None

    async def _within_time(self, message: Message) -> None:
        """Run the processor once, no longer than the handler time-out (D33)."""
        self.started = self._clock()
        if self._timer is None and self._timeout is not None:
            self._timer = self._loop.call_later(self._timeout, self._look_at_the_time)
        cause: BaseException | None = None
        try:
            await self._handler.call(message)
        except BaseException as error:
            if not self._cut_short or self._cancelled or stops_runtime(error):
                raise
            cause = error
        finally:
            self.started = 0.0
            late, self._cut_short = self._cut_short, False
        if late and not self._cancelled:
            if self.task is not None:
                self.task.uncancel()
            raise self._timed_out() from (None if isinstance(cause, asyncio.CancelledError) else cause)

    def _look_at_the_time(self) -> None:
        """Cancel the attempt in flight if its time is over, else look again when it will be.

        One timer a worker and not one an attempt: most attempts end long before.
        """
        self._timer = None
        if not self.started or self._cut_short or self._timeout is None or self.task is None:
            return
        left = self.started + self._timeout - self._clock()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look_at_the_time)
        else:
            self._cut_short = True
            self.task.cancel()

    async def _post(self, message: Message, letter: DeadLetter) -> Refusal | None:
        """Post a dead letter and wait for its answer, as long as it takes."""
        assert self._letters is not None
        answer: asyncio.Future[Refusal | None] = self._loop.create_future()

        def answered(refusal: Refusal | None) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(_resolve, answer, refusal)

        self._letters.post(letter, answered)
        patience: float | None = LETTER_PATIENCE
        while not answer.done():
            try:
                await asyncio.wait([answer], timeout=patience)
            except asyncio.CancelledError as error:
                if self._is_our_cancellation(error):
                    raise
            else:
                if not answer.done():
                    self._letter_is_slow(message)
                    patience = None
        return answer.result()

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
        until = self._clock() + seconds
        while not self.leave:
            left = until - self._clock()
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
        elapsed = self._clock() - self._since
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
        self._since = self._clock()


def _let_go(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


def _resolve(answer: "asyncio.Future[Refusal | None]", refusal: Refusal | None) -> None:
    if not answer.done():
        answer.set_result(refusal)
