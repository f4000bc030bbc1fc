"""The durations of records on their way to the histogram, where nothing else of single records is listened to.

They are told after a run of records, one call after the other: between two processors each call of the SDK finds its
code and its memory gone from the core's caches, and costs a twentieth more (`bench/IDEAS.md`). A record that hangs, or
is retried, keeps the quick ones of its run waiting that came before it.
"""

from collections.abc import Callable
from typing import Any, Final

__all__ = ["LONG", "Timing"]

LONG: Final = 0.001
"""Seconds. Behind a record that took longer, and did not fail, all that wait are told at once."""


class Timing:
    """Of one partition. The worker's thread, or its task's.

    Args:
        record: takes a duration in seconds, and attributes.
        attributes: those of a record that went through at once.
    """

    def __init__(self, record: Callable[[float, Any], None], attributes: Any) -> None:
        self._record, self._attributes = record, attributes
        self._waiting: list[float] = []
        self.keep: Final[Callable[[float], None]] = self._waiting.append
        """Takes the duration of a record that went through at once, in seconds."""

    def tell(self) -> None:
        """Record what waits."""
        record, attributes = self._record, self._attributes
        for seconds in self._waiting:
            record(seconds, attributes)
        self._waiting.clear()
