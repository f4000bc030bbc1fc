"""The worker of a plain `def` processor: one daemon thread (never `concurrent.futures`, which joins at exit)."""

import queue
import threading
from collections.abc import Sequence
from time import perf_counter

from humus.queue.kafka._commands import Fatal
from humus.queue.kafka._dead_letter import DeadLetter, Refusal
from humus.queue.kafka._delivery_context import worker_var
from humus.queue.kafka._message import Message
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._subscription import Subscription
from humus.queue.kafka._timing import LONG
from humus.queue.kafka._worker import CUT, LETTER_PATIENCE, Send, Terms, Worker, refuse_awaitable, stops_runtime

__all__ = ["ThreadWorker"]


class ThreadWorker(Worker):
    """A worker for a plain `def` processor: one daemon thread, so that blocking code blocks its own partition only."""

    def __init__(self, key: Key, subscription: Subscription, send: Send, terms: Terms = Terms()) -> None:  # noqa: B008
        super().__init__(key, subscription, send, terms)
        self._call = self._handler.call if self._timeout is None else self._timed
        if terms.observer is None:
            self._handle = self._handle_plain
        else:
            self._handle = self._handle_observed if terms.observer.timing is None else self._handle_timed
        self._inbox: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
        self._hurry = threading.Event()
        self._answers: queue.SimpleQueue[Refusal | None] = queue.SimpleQueue()  # to its letter, one at a time
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
        self._answers.put(CUT)

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

    def _handle_plain(self, piece: Piece) -> bool:
        """Handle a piece's records; `False` when the worker is to end. The hot path."""
        handler = self._handler
        call = self._call
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
                    refuse_awaitable(handler, returned)
            except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                if not self._recover(message, error):
                    return False
            expected = offset + 1
        self.position = max(expected, piece.end)
        return True

    def _handle_observed(self, piece: Piece) -> bool:
        """The same, for who listens; apart, so that nobody else pays for it."""
        assert self._observer is not None
        begin, call, end = self._observer.begin, self._call, self._observer.end
        handler = self._handler
        topic, partition = self.key.tp
        expected = self.position
        for raw in piece.records:
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
                returned = call(message)
                if returned is not None:
                    refuse_awaitable(handler, returned)
            except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                if not self._recover(message, error):
                    return False
            finally:
                end(began)
            expected = offset + 1
        self.position = max(expected, piece.end)
        return True

    def _handle_timed(self, piece: Piece) -> bool:
        """The same, where only durations are listened to."""
        assert self._observer is not None
        assert self._observer.timing is not None
        timing = self._observer.timing
        keep, call, end = timing.keep, self._call, self._observer.end
        handler = self._handler
        topic, partition = self.key.tp
        expected = self.position
        try:
            for raw in piece.records:
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
                    returned = call(message)
                    if returned is not None:
                        refuse_awaitable(handler, returned)
                except BaseException as error:  # noqa: BLE001 - what stops the runtime is decided in one place
                    try:
                        if not self._recover(message, error):
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
        self.position = max(expected, piece.end)
        return True

    def _recover(self, message: Message, error: BaseException) -> bool:
        recovery = self._recovery(message, error)
        try:
            step = next(recovery)
            while True:
                # A letter that goes out at once belongs to the record in flight, which a drain lets finish.
                if (step.wait or step.letter is None) and not self._wait_out(step.wait):
                    return False
                answer = self._try_again(message) if step.letter is None else self._post(message, step.letter)
                if answer is CUT:
                    return False
                step = recovery.send(answer)
        except StopIteration as decision:
            return bool(decision.value)
        finally:
            recovery.close()
            self.attempt = 1

    def _wait_out(self, seconds: float) -> bool:
        """Wait before the next attempt; `False` when the worker is to end instead."""
        return not (self._hurry.wait(seconds) or self.leave)

    def _try_again(self, message: Message) -> BaseException | None:
        try:
            refuse_awaitable(self._handler, self._call(message))
        except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
            return error
        return None

    def _timed(self, message: Message) -> object:
        """Run the processor once. A thread cannot be cut short: what took too long has failed when it ends (D33)."""
        assert self._timeout is not None
        started = self.started = self._clock()
        cause: Exception | None = None
        returned: object = None
        try:
            returned = self._handler.call(message)
        except Exception as error:
            if stops_runtime(error) or self._clock() - started < self._timeout:
                raise
            cause = error
        finally:
            self.started = 0.0
        if self._clock() - started >= self._timeout:
            raise self._timed_out() from cause
        return returned

    def _post(self, message: Message, letter: DeadLetter) -> Refusal | None:
        """Post a dead letter and wait for its answer, as long as it takes; `CUT` where the worker is to end at once."""
        assert self._letters is not None
        self._letters.post(letter, self._answers.put)
        try:
            return self._answers.get(timeout=LETTER_PATIENCE)
        except queue.Empty:
            self._letter_is_slow(message)
        return self._answers.get()
