"""Where the logs end of which nothing is fetched just now, and nothing else.

The client knows a log's end from its fetches. A partition that is halted, retries, or is paused, is not fetched, and
its lag would stay what it was when it stopped: just where it matters most. So the cluster is asked, now and then, about
all of them together.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Final

from humus.queue.kafka._message import TopicPartition
from humus.queue.kafka._partition import Key
from humus.queue.kafka._stalls import Ends

__all__ = ["LogEnds"]

_INTERVAL: Final = 10.0
"""Seconds between two questions."""


class LogEnds:
    """`now` is in seconds on any clock that never goes back."""

    def __init__(self) -> None:
        self._standing: dict[TopicPartition, Key] = {}
        self._ends: dict[TopicPartition, int] = {}
        self._ask_at = -math.inf

    def look(self, now: float, standing: Iterable[Key]) -> list[Key]:
        """See which are not fetched; return those to ask about. What is fetched again is forgotten."""
        self._standing = {key.tp: key for key in standing}
        self._ends = {tp: end for tp, end in self._ends.items() if tp in self._standing}
        if now < self._ask_at or not self._standing:
            return []
        self._ask_at = now + _INTERVAL
        return list(self._standing.values())

    def told(self, asked: Iterable[Key], answers: Mapping[TopicPartition, Ends]) -> None:
        """The cluster was asked about these; where `answers` has nothing it did not answer."""
        for key in asked:
            if key.tp in answers and self._standing.get(key.tp) == key:
                self._ends[key.tp] = answers[key.tp].end

    def end(self, tp: TopicPartition) -> int | None:
        """Return the end that the cluster told, `None` for what is fetched and what is not known."""
        return self._ends.get(tp)
