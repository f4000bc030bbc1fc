"""Numbers drawn from a seed: the same ones in every version of Python, and cheaper than the library's."""

from collections.abc import Sequence
from typing import Final, TypeVar

__all__ = ["Luck"]

T = TypeVar("T")

_MASK: Final = (1 << 64) - 1


class Luck:
    """A linear congruential generator (Knuth's MMIX constants); its upper bits are used."""

    __slots__ = ("_state",)

    def __init__(self, seed: int) -> None:
        self._state = (seed ^ 0x5DEECE66D) * 0x9E3779B97F4A7C15 & _MASK
        self.below(1)

    def below(self, end: int) -> int:
        """Draw a whole number from 0 to, not including, `end`."""
        self._state = state = (self._state * 6364136223846793005 + 1442695040888963407) & _MASK
        return (state >> 33) % end

    def one_in(self, many: int) -> bool:
        """Tell whether it is the one time of so many."""
        return self.below(many) == 0

    def choice(self, among: Sequence[T]) -> T:
        """Draw one."""
        return among[self.below(len(among))]

    def some(self, among: Sequence[T]) -> list[T]:
        """Draw at least one where there is one, in any order."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in range(1 + self.below(len(left)))] if left else []

    def shuffled(self, among: Sequence[T]) -> list[T]:
        """Return all of them in any order."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in among]
