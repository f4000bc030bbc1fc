"""What calls the processor for one partition in one epoch, record by record, until a decision on each is final.

There are two workers, one for each kind of processor: `AsyncWorker` (`_async_worker.py`) is a task on the application's
loop, `ThreadWorker` (`_thread_worker.py`) a daemon thread. What both share is here, and with it all that decides:
`_recovery` says what becomes of a failed attempt, and only waiting, calling and posting differ.

What crosses threads: the inbox (filled by the poll thread), `position` (one writer, the worker: everything below it is
handled), the stop flags (set by the poll thread), `started` (read by the poll thread), and events to the poll thread.
Each worker sends exactly one last event: `Halted`, `Fatal` or `WorkerDone`.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Generator, Sequence
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from humus.errors import DeadLetterFailed
from humus.queue._describe import error_message, error_stack, error_type
from humus.queue._processors import Handler, describe_awaitable
from humus.queue.kafka._commands import (
    DeadLettered,
    Failed,
    Failing,
    Fatal,
    Halted,
    Waits,
    WorkerDone,
    WorkerEvent,
)
from humus.queue.kafka._dead_letter import DeadLetter, LastFailure, Post, Refusal, dead_letter_of
from humus.queue.kafka._message import Message
from humus.queue.kafka._partition import Failure, Key, Piece
from humus.queue.kafka._retry import HandlerTimeout, Outcome, Unretryable, decide
from humus.queue.kafka._subscription import Semantic, Subscription
from humus.queue.kafka._timing import Timing

__all__ = [
    "CUT",
    "LETTER_PATIENCE",
    "Answer",
    "Observer",
    "Send",
    "Step",
    "Terms",
    "Worker",
    "refuse_awaitable",
    "stops_runtime",
]

_log = logging.getLogger("humus.kafka.worker")

Send = Callable[[WorkerEvent], None]

LETTER_PATIENCE: Final = 10.0
"""Seconds without an answer to a dead letter after which the log says so, once a letter."""
_FIRST_LETTER_WAIT: Final = 0.5
_LONGEST_LETTER_WAIT: Final = 30.0
"""Seconds before a refused dead letter is posted again: doubled each time, up to this."""


class Observer:
    """What a worker tells of each record. This one listens to nothing; `_observer.py` has the one that does."""

    timing: Timing | None = None
    """Takes the durations where nothing else is listened to: then only records that failed at first have an `end`, and
    none a `begin`."""

    def begin(self, message: Message) -> None:
        """A record's first attempt is about to start."""

    def failed(self, error: BaseException, error_type: str, attempt: int) -> None:
        """An attempt failed; whether it is repeated is not decided."""

    def succeeded(self) -> None:
        """A further attempt went through."""

    def end(self, began: float) -> None:
        """The record has reached its end, or its worker has; it began at this time of `time.perf_counter`."""

    def sending(self, letter: DeadLetter) -> DeadLetter:
        """A dead letter is about to be posted for the first time; returns it with the trace's context."""
        return letter

    def sent(self, letter: DeadLetter, refusal: Refusal | None) -> None:
        """The letter is confirmed, or given up for this refusal."""


NOBODY: Final = Observer()


@dataclass(frozen=True, slots=True)
class Terms:
    """What a worker has of its runtime, beside its subscription.

    `handler_timeout` is in seconds, `None` for none; `letters` is there where a subscription has dead letters;
    `observer` where somebody listens to what is said of single records; `context` is what the processor runs in: it
    sees the application's context variables, and what it sets itself stays set for the partition's next record.
    `None`: a copy of the caller's. `clock` is in seconds and never goes back.
    """

    group_id: str = ""
    handler_timeout: float | None = None
    letters: Post | None = None
    observer: Observer | None = None
    context: Context | None = None
    clock: Callable[[], float] = time.monotonic


class Step(NamedTuple):
    """What a recovery does next: wait so many seconds, then post the letter, or run the processor again."""

    wait: float
    letter: DeadLetter | None = None


Answer = BaseException | Refusal | None
"""What came of a step: the attempt's error or the letter's refusal; `None` for success."""

CUT: Final = Refusal("", "the worker was told to end")
"""In place of an answer: the letter may be written or not, and the record counts as not handled."""


class Worker:
    """What both kinds have in common. `send` may be called from any thread."""

    _overdue_grace = 0.0
    """Seconds past the handler time-out before it is reported that the handler still runs."""

    def __init__(self, key: Key, subscription: Subscription, send: Send, terms: Terms = Terms()) -> None:
        self.key = key
        self.position = -1
        self.message: Message | None = None
        self.attempt = 1
        self.leave = False  # end after the record in flight
        self.finish = False  # end after everything handed over
        self.started = 0.0  # with a handler time-out: when the attempt in flight began, 0 where there is none
        self._subscription = subscription
        self._handler: Handler = subscription.handler
        self._send = send
        self._group_id = terms.group_id
        self._letters = terms.letters
        self._observer = terms.observer
        self._timeout = terms.handler_timeout
        self._clock = terms.clock
        self._context = copy_context() if terms.context is None else terms.context
        self._last: WorkerEvent | None = None
        self._reported = 0.0
        self._refusal: Refusal | None = None  # the last one of a dead letter

    @property
    def group_id(self) -> str:
        """The consumer group."""
        return self._group_id

    @property
    def deadline(self) -> float | None:
        """When the attempt in flight is cut short, in seconds of the clock."""
        return None if self._timeout is None or not self.started else self.started + self._timeout

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

    def overdue(self, now: float) -> Waits | None:
        """Tell, once an attempt, that a handler runs past its time-out and has not ended by it (D33). Poll thread."""
        message, started, timeout = self.message, self.started, self._timeout
        if timeout is None or message is None or not started or started == self._reported:
            return None
        if now < started + timeout + self._overdue_grace:
            return None
        self._reported = started
        reason = f"its handler still runs, {now - started:.3g} s after it began: handler_timeout is {timeout:g} s"
        _log.warning("%s: attempt %d: %s", _place(message), self.attempt, reason, extra=_fields(message, "timeout"))
        return Waits(self.key, Failure(message.offset, self.attempt, "timeout", reason, started))

    def _recovery(self, message: Message, error: BaseException) -> Generator[Step, Answer, bool]:
        """Decide on a record whose first attempt failed with `error`.

        Yields what to do next and is sent what came of it. Returns whether the partition goes on; where it does not,
        the last event says why.
        """
        subscription, key, observer = self._subscription, self.key, self._observer or NOBODY
        since = self._clock()
        while True:
            observer.failed(error, error_type(error), self.attempt)
            if stops_runtime(error):
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
                    again = yield Step(verdict.wait)
                    if again is None:
                        observer.succeeded()
                        return True
                    assert isinstance(again, BaseException)
                    error = again
                case Outcome.SKIP:
                    self._send(Failed(key, failure))
                    return True
                case Outcome.DEAD_LETTER:
                    return (yield from self._bury(message, error, failure))
                case Outcome.HALT:
                    self._last = Halted(key, failure)
                    return False
                case Outcome.SHUT_DOWN:
                    self._last = Fatal(key, self._position_behind(message), message.offset, error)
                    return False

    def _bury(self, message: Message, error: BaseException, failure: Failure) -> Generator[Step, Answer, bool]:
        """Write the record's dead letter; the partition waits for as long as that takes, visibly (D32)."""
        topic = self._subscription.on_failure.topic
        assert topic is not None
        what = LastFailure(self._group_id, failure.attempts, failure.error_type, failure.reason, error_stack(error))
        letter = dead_letter_of(message, what, topic)
        observer = self._observer or NOBODY
        letter = observer.sending(letter)
        refusal: Refusal | None = CUT
        try:
            written = yield from self._post_until_written(message, failure, letter)
            refusal = None if written else self._refusal
            return written
        finally:
            observer.sent(letter, refusal)

    def _post_until_written(
        self, message: Message, failure: Failure, letter: DeadLetter
    ) -> Generator[Step, Answer, bool]:
        topic = letter.topic
        why, wait, refused_for = "is not confirmed yet", 0.0, None
        while True:
            shown = f"its dead letter to {topic} {why}; the record failed with {failure.error_type}: {failure.reason}"
            self._send(Waits(self.key, replace(failure, reason=shown)))
            answer = yield Step(wait, letter)
            if answer is None:
                if refused_for is not None:
                    _log.info("%s: its dead letter to %s is written now", _place(message), topic)
                self._send(DeadLettered(self.key, failure))
                return True
            assert isinstance(answer, Refusal)
            self._refusal = answer
            if answer.final:
                self._halt_unburied(message, failure, f"its dead letter to {topic} can never be written: {answer}")
                return False
            cause = answer.what_to_do or answer.code
            if cause != refused_for:  # once a change of state, not once a try
                _log.error(
                    "%s: its dead letter to %s is refused, and posted again until it is written: %s",
                    *(_place(message), topic, answer),
                    extra=_fields(message, answer.code),
                )
            refused_for = cause
            why = f"is refused: {answer}"
            wait = min(max(wait * 2, _FIRST_LETTER_WAIT), _LONGEST_LETTER_WAIT)

    def _halt_unburied(self, message: Message, failure: Failure, reason: str) -> None:
        kind = f"{DeadLetterFailed.__module__}.{DeadLetterFailed.__qualname__}"
        _log.error("%s: %s", _place(message), reason, extra=_fields(message, kind))
        self._last = Halted(self.key, replace(failure, error_type=kind, reason=reason))

    def _letter_is_slow(self, message: Message) -> None:
        _log.warning(
            "%s: the broker has not confirmed its dead letter to %s after %g s: the partition waits for it",
            *(_place(message), self._subscription.on_failure.topic, LETTER_PATIENCE),
            extra=_fields(message, "_TIMED_OUT"),
        )

    def _timed_out(self) -> HandlerTimeout:
        return HandlerTimeout(f"the handler was not done after handler_timeout, {self._timeout:g} s")

    def _fatal(self, message: Message, error: BaseException) -> None:
        _log.critical(
            "%s: the processor raised %s: the runtime stops\n%s",
            _place(message),
            error_type(error),
            error_stack(error).rstrip(),
            extra=_fields(message, error_type(error)),
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
            Outcome.DEAD_LETTER: f"a dead letter goes to {self._subscription.on_failure.topic}",
            Outcome.HALT: "the partition is halted at this record",
            Outcome.SHUT_DOWN: "the runtime is shut down",
        }[outcome]
        # The stack at the first failure, and where it decides something: attempts need not fail alike.
        tells = outcome in (Outcome.HALT, Outcome.SHUT_DOWN) or (outcome is Outcome.RETRY and failure.attempts == 1)
        stack = f"\n{error_stack(error)}".rstrip() if tells else ""
        _log.log(
            logging.ERROR if outcome in (Outcome.HALT, Outcome.SHUT_DOWN) else logging.WARNING,
            "%s: attempt %d failed, %s: %s: %s%s",
            _place(message),
            failure.attempts,
            consequence,
            failure.error_type,
            failure.reason,
            stack,
            extra=_fields(message, failure.error_type),
        )


def refuse_awaitable(handler: Handler, returned: Any) -> None:
    fault = describe_awaitable(handler, returned)
    if fault is not None:
        raise Unretryable(fault)


def stops_runtime(error: BaseException) -> bool:
    """Tell whether an exception ends the runtime: no `Exception`, or out of memory (D34)."""
    if isinstance(error, asyncio.CancelledError):
        return False  # nobody asked for it: an ordinary failure
    return not isinstance(error, Exception) or isinstance(error, MemoryError)


def _place(message: Message) -> str:
    return f"{message.topic}[{message.partition}]@{message.offset}"


def _fields(message: Message, kind: str) -> dict[str, object]:
    return {
        "messaging.destination.name": message.topic,
        "messaging.destination.partition.id": str(message.partition),
        "messaging.kafka.offset": message.offset,
        "error.type": kind,
    }
