"""Runs a processor on messages as the runtime would, with neither a broker nor a real wait."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from humus.errors import ConfigError, HumusError
from humus.queue._describe import error_message, error_type
from humus.queue._protocols import ProcessorLike
from humus.queue.kafka._async_worker import AsyncWorker
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
from humus.queue.kafka._dead_letter import Answered, DeadLetter
from humus.queue.kafka._message import Message, TopicPartition
from humus.queue.kafka._partition import Key, Piece
from humus.queue.kafka._retry import FailurePolicy, Retry
from humus.queue.kafka._subscription import Subscription, at_least_once
from humus.queue.kafka._thread_worker import ThreadWorker
from humus.queue.kafka._worker import Terms

__all__ = ["Outcome", "deliver"]


Result = Literal["handled", "skipped", "dead_lettered", "halted", "shut_down"]

_GROUP: Final = "deliver"
_FOR_EVER: Final = 100
"""Attempts after which a retry without an end is taken at its word."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one message.

    Attributes:
        message: the message.
        result: `handled`; or what the failure policy did: `skipped`, `dead_lettered`, `halted` (the messages behind it
            are not delivered), or `shut_down` (likewise; also what an exception that is no `Exception` does).
        attempts: how often the processor was run on it.
        waits: the seconds that the runtime would have waited between the attempts.
        error_type: the last failure's type, `None` where there was none.
        reason: the last failure's message.
        dead_letter: the record that would be written to the dead-letter topic (`topic`, `key`, `value`, `headers`, and
            `header(name)`), `None` where there is none.
    """

    message: Message
    result: Result
    attempts: int
    waits: tuple[float, ...]
    error_type: str | None
    reason: str | None
    dead_letter: DeadLetter | None = None


async def deliver(
    processor: ProcessorLike[Message],
    *messages: Message,
    retry: Retry = Retry(max_attempts=3),  # noqa: B008 - immutable
    on_failure: FailurePolicy | None = None,
) -> list[Outcome]:
    """Run `processor` on `messages`, one after the other, at least once; return an outcome for each that was delivered.

    It is the runtime's own worker that calls it: an `async def` on this loop, a `def` on a thread. Backoff is
    computed and not waited; a dead letter is made, and confirmed at once. Other than the runtime, which tries for ever
    unless told otherwise, `retry` ends after three attempts here. In a test that is no coroutine:
    `asyncio.run(deliver(...))`.

    Raises:
        ConfigError: the processor, `retry` or `on_failure` is none.
        HumusError: the processor failed a hundred times, and `retry` says to go on for ever.
    """
    policy = {} if on_failure is None else {"on_failure": on_failure}
    outcomes: list[Outcome] = []
    for message in messages:
        subscription = at_least_once(message.topic, processor, retry=retry, **policy)
        if subscription.faults:
            raise ConfigError(subscription.faults)
        outcome = await _deliver_one(message, subscription)
        outcomes.append(outcome)
        if outcome.result in ("halted", "shut_down"):
            break
    return outcomes


async def _deliver_one(message: Message, subscription: Subscription) -> Outcome:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    said: list[WorkerEvent] = []

    def send(event: WorkerEvent) -> None:
        said.append(event)
        if isinstance(event, WorkerDone | Halted | Fatal):
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_let_go, ended)

    key = Key(TopicPartition(message.topic, message.partition), 0)
    letters = _Letters()
    terms = Terms(_GROUP, letters=letters)
    worker: _InstantTask | _InstantThread
    if subscription.handler.is_async:
        worker = _InstantTask(key, subscription, send, loop, set(), terms)
    else:
        worker = _InstantThread(key, subscription, send, terms)
    worker.feed([Piece([message._raw], message.offset, message.offset + 1, 0, -1)])  # noqa: SLF001 - the record itself
    worker.drain(finish=True)
    if isinstance(worker, _InstantTask):
        worker.wake()
    try:
        await ended
    except asyncio.CancelledError:
        worker.cancel()
        if isinstance(worker, _InstantTask):
            worker.wake()
        raise
    if worker.endless:
        last = next(event.failure for event in reversed(said) if isinstance(event, Failing))
        raise HumusError(
            f"deliver: {message!r} failed {len(worker.waits)} times, and retry has no max_attempts: the runtime would "
            f"try for ever; the last failure was {last.error_type}: {last.reason}"
        )
    return _outcome(message, said, worker.waits, letters.letter)


def _let_go(ended: "asyncio.Future[None]") -> None:
    if not ended.done():
        ended.set_result(None)


class _Letters:
    """Confirms every letter at once."""

    def __init__(self) -> None:
        self.letter: DeadLetter | None = None

    def post(self, letter: DeadLetter, answered: Answered) -> None:
        self.letter = letter
        answered(None)


def _outcome(message: Message, said: Sequence[WorkerEvent], waits: list[float], letter: DeadLetter | None) -> Outcome:
    failures = [event.failure for event in said if isinstance(event, Failing | Failed | DeadLettered | Halted)]
    attempts = len(waits) + 1
    kind, reason = (failures[-1].error_type, failures[-1].reason) if failures else (None, None)
    result: Result = "handled"
    for event in said:
        match event:
            case Failed():
                result = "skipped"
            case DeadLettered():
                result = "dead_lettered"
            case Halted():
                result = "halted"
            case Fatal(error=error):
                result, kind, reason = "shut_down", error_type(error), error_message(error)
            case Failing() | Waits() | WorkerDone():
                pass
    return Outcome(message, result, attempts, tuple(waits), kind, reason, letter)


class _Waits:
    """Waits for nothing, and notes for how long it would have."""

    _subscription: Subscription
    leave: bool

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.waits: list[float] = []
        self.endless = False

    def _wait_none(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.endless = len(self.waits) >= _FOR_EVER and self._subscription.retry.max_attempts is None
        return not self.leave and not self.endless


class _InstantTask(_Waits, AsyncWorker):
    """The worker of an `async def` processor."""

    async def _wait_out(self, seconds: float) -> bool:
        goes_on = self._wait_none(seconds)
        await asyncio.sleep(0)
        return goes_on


class _InstantThread(_Waits, ThreadWorker):
    """The worker of a `def` processor."""

    def _wait_out(self, seconds: float) -> bool:
        return self._wait_none(seconds)
