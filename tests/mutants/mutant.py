"""A mutant: one fault, put into the source by replacing a text, and the test that kills it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["KAFKA", "SRC", "Mutant", "Stale"]

SRC: Final = Path(__file__).parents[2] / "src"
KAFKA: Final = "humus/queue/kafka/"


class Stale(Exception):  # noqa: N818 - what a mutant is that does not fit the source any more
    """The text that a mutant replaces is not in the source exactly once: the mutant has to follow the source."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A deliberate fault.

    Args:
        name: what it does wrong, in a word for the command line.
        clause: the guarantee that it breaks.
        breaks: what goes wrong by it, in one line.
        file: where, below `src/`.
        text: what is replaced there; it must occur exactly once.
        instead: what it is replaced by.
        killed_by: the test that must fail; where it has parameters, at least one of them.
        slow: the test needs a Kafka.
    """

    name: str
    clause: str
    breaks: str
    file: str
    text: str
    instead: str
    killed_by: str
    slow: bool = False

    def of(self, source: str) -> str:
        """Return the source with the fault in it.

        Raises:
            Stale: the text is not there, or more than once.
        """
        times = source.count(self.text)
        if times != 1:
            raise Stale(f"{self.name}: its text is {times} times in src/{self.file}, not once: {self.text!r}")
        return source.replace(self.text, self.instead)
