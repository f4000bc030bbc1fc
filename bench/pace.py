"""How long it will still take."""

from collections.abc import Iterable

__all__ = ["Pace", "in_words"]


class Pace:
    """Remembers how long each candidate's last run took."""

    def __init__(self, typical_s: float) -> None:
        self._typical = typical_s
        self._took: dict[str, float] = {}

    def took(self, candidate: str, seconds: float) -> None:
        """Take note of a run, all in all."""
        self._took[candidate] = seconds

    def left(self, candidates: Iterable[str]) -> float:
        """Return about how many seconds a run of each will take, by its last one, or by what is typical."""
        return sum(self._took.get(candidate, self._typical) for candidate in candidates)


def in_words(seconds: float) -> str:
    """Return a rough time for people."""
    return f"{max(seconds, 1):.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
