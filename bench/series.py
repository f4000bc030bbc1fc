"""Many runs of one thing, said in three numbers."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["Spread", "percentile"]


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of a series, and its ends."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, series: Sequence[float]) -> Self:
        """Return the spread of at least one number."""
        return cls(statistics.median(series), min(series), max(series))


def percentile(ordered: Sequence[float], percent: float) -> float:
    """Return the smallest of the sorted numbers that at least so many percent of them do not exceed."""
    at = -(-len(ordered) * percent // 100)  # rounded up
    return ordered[max(0, int(at) - 1)]
