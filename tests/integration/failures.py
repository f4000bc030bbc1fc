"""A processor's work that fails as planned, and what it saw of each attempt."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from humus.queue.kafka import Message, current

__all__ = ["Attempt", "Failing"]


class Attempt(NamedTuple):
    """One run of one record: `number` as `current()` gave it, `at` in seconds of `time.monotonic()`."""

    partition: int
    offset: int
    number: int
    at: float


class Failing:
    """Work for a `Recorder`'s processor: each run of a planned record raises the plan's next error.

    `planned` maps (partition, offset) to the errors.
    """

    def __init__(self, planned: Mapping[tuple[int, int], Iterable[BaseException]]) -> None:
        self._planned: dict[tuple[int, int], Iterator[BaseException]] = {at: iter(of) for at, of in planned.items()}
        self._attempts: list[Attempt] = []
        self._lock = threading.Lock()

    def __call__(self, message: Message) -> None:
        """Note the attempt, and fail where that is planned."""
        at = message.partition, message.offset
        with self._lock:
            self._attempts.append(Attempt(*at, current().attempt, time.monotonic()))
        for error in self._planned.get(at, ()):
            raise error

    def attempts(self, partition: int, offset: int) -> list[Attempt]:
        """Return the runs of one record, in order."""
        with self._lock:
            return [attempt for attempt in self._attempts if attempt[:2] == (partition, offset)]

    def numbers(self, partition: int, offset: int) -> list[int]:
        """Return the numbers of one record's runs, in order."""
        return [attempt.number for attempt in self.attempts(partition, offset)]
