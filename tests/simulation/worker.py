"""A worker's contract with the core, kept by a machine of simulated time in place of a task or a thread.

What is kept: records one at a time and in order; `position` says that all below it is handled; a drain ends it after
the record in flight (or after all it was handed), a cancellation at once where the handler lets it; its last word is
exactly one of `WorkerDone`, `Halted`, `Fatal`.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

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
from humus.queue.kafka._partition import Failure, Key, Piece
from humus.queue.kafka._subscription import Semantic

__all__ = ["Run", "Stage", "Worker"]

HANDLER_TIMEOUT: Final = 1.0
"""Seconds after which a handler is past its time: it shows, where it cannot be cancelled."""


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt at a record: how long it takes and how it ends ("ok", "retry", "skip", "halt", "fatal", "letter").

    `wait`: before the next attempt; with "letter" before the letter's confirmation. `letter` is how that ends:
    "confirmed", or "too large", which it is for good.
    """

    seconds: float
    end: str = "ok"
    wait: float = 0.0
    letter: str = "confirmed"


class Stage(Protocol):
    """What a worker tells about its handler, and who says how the handler behaves."""

    def run_of(self, worker: "Worker", offset: int) -> Run:
        """Return how the next attempt at a record goes."""
        ...

    def handler_starts(self, worker: "Worker", offset: int) -> None:
        """Note that a handler starts."""
        ...

    def handler_ends(self, worker: "Worker", offset: int, *, handled: bool) -> None:
        """Note that a handler has ended, or was cancelled."""
        ...

    def letter_due(self, worker: "Worker", offset: int) -> None:
        """Note that a record waits for the confirmation of its dead letter."""
        ...

    def letter_over(self, worker: "Worker", offset: int, *, there: bool) -> None:
        """Note that this wait is over; `there`: the letter is in its topic."""
        ...

    def say(self, event: WorkerEvent) -> None:
        """Take an event for the core."""
        ...


class Worker:
    """One worker. `cancellable`: an async handler that does not swallow its cancellation."""

    def __init__(self, key: Key, semantic: Semantic, stage: Stage, *, cancellable: bool) -> None:
        self.key = key
        self.semantic = semantic
        self.position = -1
        self.ended = False
        self.running: int | None = None  # the record whose handler runs
        self.ends_at = math.inf
        self._stage = stage
        self._cancellable = cancellable
        self._leave = self._finish = False
        self.cancelled = False
        self._inbox: deque[Piece] = deque()
        self._records: deque[int] = deque()
        self._end = -1  # of the piece in work
        self._done = -1  # all below is handled; `position` follows at the next record, as the real one's does
        self._run = Run(0.0)
        self._attempt = 1
        self._again_at: float | None = None  # in a retry's wait
        self._retried = -1
        self._letter: int | None = None  # the record whose dead letter is on its way
        self._letter_at = 0.0
        self._overdue = False
        self._now = 0.0

    def feed(self, pieces: Sequence[Piece]) -> None:
        """Take records."""
        if self.position < 0:
            self.position = self._done = pieces[0].first
        self._inbox.extend(pieces)

    def drain(self, *, finish: bool) -> None:
        """Come to an end."""
        if finish:
            self._finish = True
        else:
            self._leave = True

    def cancel(self) -> None:
        """Come to an end at once, as far as that is possible."""
        self._leave = self.cancelled = True

    def let_go(self, now: float) -> None:
        """End a handler that is stuck."""
        if self.running is not None:
            self.ends_at = min(self.ends_at, now)
        self._letter_at = min(self._letter_at, now)

    @property
    def stuck(self) -> bool:
        """Whether it waits for what may never come."""
        return math.inf in (self.ends_at, self._letter_at)

    def live(self, now: float) -> None:
        """Do what can be done until `now`."""
        if not self.ended:
            self._now = max(self._now, now - 0.5)  # at most so much is caught up in one go
            while self._step(now) and not self.ended:
                pass

    def _step(self, now: float) -> bool:  # noqa: C901 - one line a state
        if self.running is not None:
            return self._go_on(now)
        if self._letter is not None:
            return self._wait_for_letter(self._letter, now)
        if self._leave:
            self._last(WorkerDone(self.key, self._done))
        elif self._again_at is not None:
            if now < self._again_at:
                return False
            self._now, self._again_at = self._again_at, None
            self._start(self._retried)
        elif self._records:
            if self._now > now:
                return False
            self._start(self._records.popleft())
        elif self._end >= 0:
            self.position = self._done = max(self._done, self._end)
            self._end = -1
        elif self._inbox:
            piece = self._inbox.popleft()
            self._records.extend(offset for record in piece.records if (offset := record.offset()) >= self._done)
            self._end = piece.end
        elif self._finish:
            self._last(WorkerDone(self.key, self._done))
        else:
            self._now = now
            return False
        return True

    def _wait_for_letter(self, offset: int, now: float) -> bool:
        """Do not go on before the dead letter is confirmed (D32); a drain lets it wait, up to the drain's end."""
        if now < self._letter_at and not self.cancelled:
            return False
        self._letter = None
        there = self._run.letter == "confirmed"
        self._stage.letter_over(self, offset, there=there)
        if self.cancelled:  # the letter may be there; the record counts as not handled
            self._last(WorkerDone(self.key, offset))
            return False
        self._now = max(self._now, self._letter_at)
        failure = self._failure(offset)
        self._attempt = 1
        if not there:
            self._last(Halted(self.key, failure))
            return False
        self._stage.handler_ends(self, offset, handled=True)
        self._stage.say(DeadLettered(self.key, failure))
        self._done = offset + 1
        return True

    def _failure(self, offset: int) -> Failure:
        return Failure(offset, self._attempt, "OSError", "no luck", self._now)

    def _start(self, offset: int) -> None:
        self.position = self._done = offset
        self.running = offset
        self._run = self._stage.run_of(self, offset)
        self.ends_at = self._now + self._run.seconds
        self._stage.handler_starts(self, offset)

    def _go_on(self, now: float) -> bool:
        offset = self.running
        assert offset is not None
        if self.cancelled and self._cancellable:
            self.running = None
            self._stage.handler_ends(self, offset, handled=False)
            self._last(WorkerDone(self.key, offset))
            return False
        if now < self.ends_at:
            if not self._cancellable and not self._overdue and now > self.ends_at - self._run.seconds + HANDLER_TIMEOUT:
                self._overdue = True  # a handler that cannot be cancelled runs past its time, and shows it (D33)
                self._stage.say(Waits(self.key, self._failure(offset)))
            return False
        self._overdue = False
        self._now = self.ends_at
        self.running = None
        self._over(offset)
        return True

    def _over(self, offset: int) -> None:
        end = self._run.end
        consumed = self.semantic is Semantic.AT_MOST_ONCE
        failure = self._failure(offset)
        self._stage.handler_ends(self, offset, handled=end in ("ok", "skip") or consumed)
        if end == "retry":
            self._stage.say(Failing(self.key, failure))
            self._attempt += 1
            self._again_at, self._retried = self._now + self._run.wait, offset
            return
        if end == "letter":
            self._stage.say(Waits(self.key, failure))
            self._stage.letter_due(self, offset)
            self._letter, self._letter_at = offset, self._now + self._run.wait
            return
        self._attempt = 1
        if end == "halt":
            self._last(Halted(self.key, failure))
        elif end == "fatal":
            self._last(Fatal(self.key, offset + consumed, offset, SystemExit()))
        else:
            if end == "skip":
                self._stage.say(Failed(self.key, failure))
            self._done = offset + 1

    def _last(self, event: WorkerEvent) -> None:
        self.ended = True
        self.position = self._done
        self._stage.say(event)
