"""Which partitions are stuck, and nothing else (D72).

A partition is stalled when there are records for it, nothing declared keeps it from handling them (a handler at work, a
retry, a halt, a drain, a handler left behind), and its position stays where it is for the whole of `stall_timeout`.

That there are records is never taken from the client, which may be what is stuck: the cluster is asked, about all
suspects together. A partition becomes one when it has stood still for half the time-out; at its end it is asked about
again after as long. One that is behind has to be found so twice, the time-out apart: the record may have come only just
before the first answer. Where nobody answers nothing is known, and the watch begins anew: brokers that are away are a
state of their own.

While a partition is paused, or a rebalance keeps it from fetching, its clock stands still.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Key

__all__ = ["Ends", "Look", "Seen", "Stall", "Stalls"]

_LOOKS: Final = 20
"""Looks within a time-out; at most one a second."""
_LONGEST_PAUSE: Final = 1.0


class Seen(NamedTuple):
    """A partition as it is: `received` is the end of what came, `excused` that something declared keeps it where it is,
    `paused` that it is not to fetch just now.
    """

    key: Key
    position: int | None
    received: int | None
    excused: bool
    paused: bool


class Ends(NamedTuple):
    """What the cluster said of a partition: where its log begins and ends for us, and what the group has committed.

    `committed` is `None` where nothing is, and where it was not asked for.
    """

    begin: int
    end: int
    committed: int | None


class Stall(NamedTuple):
    """A partition that does not move, `since` the moment it last did; `end` is where its log ends."""

    key: Key
    position: int
    end: int
    since: float


class Look(NamedTuple):
    """What a look found: stalls that began, stalls that are over, and whom to ask about."""

    began: list[Stall]
    ended: list[Stall]
    ask: list[Seen]


@dataclass(slots=True)
class _Watch:
    seen: Seen
    since: float  # it stands still
    ask_at: float
    asked: bool = False
    answer: Ends | None = None
    behind: bool = False  # the last answer said so
    stall: Stall | None = None

    def shift(self, seconds: float) -> None:
        """Let the clock stand still for so long."""
        self.since += seconds
        self.ask_at += seconds


class Stalls:
    """Watches all partitions. `now` is in seconds on any clock that never goes back."""

    def __init__(self, timeout: float, *, from_the_beginning: bool = True) -> None:
        """`from_the_beginning`: without a committed offset a partition begins at the beginning of its log."""
        self.total = 0
        self._timeout = timeout
        self.from_the_beginning = from_the_beginning
        self._next_at = -math.inf
        self._looked_at = -math.inf
        self._watches: dict[TopicPartition, _Watch] = {}

    def due(self, now: float) -> bool:
        """Whether it is time to look."""
        return now >= self._next_at

    def stall(self, tp: TopicPartition) -> Stall | None:
        """Return the stall that a partition is in."""
        watch = self._watches.get(tp)
        return None if watch is None else watch.stall

    def look(self, now: float, partitions: Iterable[Seen]) -> Look:
        """See how all partitions are."""
        elapsed = now - self._looked_at
        self._looked_at = now
        self._next_at = now + min(_LONGEST_PAUSE, self._timeout / _LOOKS)
        found = Look([], [], [])
        before, self._watches = self._watches, {}
        for seen in partitions:
            tp = seen.key.tp
            watch = before.pop(tp, None)
            if watch is None or seen.excused or _moved(watch.seen, seen):
                if watch is not None and watch.stall is not None:
                    found.ended.append(watch.stall)
                self._watches[tp] = _Watch(seen, now, now + self._timeout / 2)
                continue
            self._watches[tp] = watch
            watch.seen = seen
            if seen.paused:
                watch.shift(elapsed)
            if watch.answer is not None:
                self._judge(watch, watch.answer, now, found)
            if now >= watch.ask_at and not watch.asked and not seen.paused:
                watch.asked = True
                found.ask.append(seen)
        found.ended.extend(watch.stall for watch in before.values() if watch.stall is not None)
        return found

    def told(self, asked: Iterable[Key], answers: Mapping[TopicPartition, Ends], now: float) -> None:
        """The cluster was asked about these; where `answers` has nothing it did not answer."""
        for key in asked:
            watch = self._watches.get(key.tp)
            if watch is None or watch.seen.key != key or not watch.asked:
                continue  # it has left, or moved
            watch.asked = False
            watch.answer = answers.get(key.tp)
            watch.ask_at = now + self._timeout / 2
            if watch.answer is None and watch.stall is None:
                watch.behind = False

    def _judge(self, watch: _Watch, answer: Ends, now: float, found: Look) -> None:
        watch.answer = None
        position = self._position(watch.seen, answer)
        if position is None or position >= answer.end:
            watch.behind = False
            if watch.stall is not None:
                found.ended.append(watch.stall)
                watch.stall = None
        elif not watch.behind:
            watch.behind = True
            watch.ask_at = now + self._timeout
        elif watch.stall is None:
            self.total += 1
            watch.stall = Stall(watch.seen.key, position, answer.end, watch.since)
            found.began.append(watch.stall)

    def _position(self, seen: Seen, answer: Ends) -> int | None:
        """Return where the partition goes on: what was deleted before it was read is passed over."""
        position = answer.committed if seen.position is None else seen.position
        if position is None:
            return answer.begin if self.from_the_beginning else None
        return max(position, answer.begin)


def _moved(before: Seen, now: Seen) -> bool:
    return before.key != now.key or before.position != now.position or before.received != now.received
