"""States that an operator should know of, each logged when it begins and when it ends, never once a try (D70)."""

import logging
from collections.abc import Hashable, Iterator

__all__ = ["Conditions"]


class Conditions:
    """What is wrong just now, by a name of its own. Poll thread."""

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._texts: dict[Hashable, str] = {}
        self._warnings: set[Hashable] = set()

    def begin(self, name: Hashable, text: str, *, warning: bool = False) -> None:
        """Note a condition; logged unless it is there already, whatever its words.

        A `warning` is worth to be told and is no problem of the runtime: `texts` leaves it out.
        """
        if name not in self._texts:
            self._log.log(logging.WARNING if warning else logging.ERROR, "%s", text)
        self._texts[name] = text
        self.weigh(name, warning=warning)

    def end(self, name: Hashable, text: str) -> None:
        """Note that a condition is over; logged where it was there."""
        if self._texts.pop(name, None) is not None:
            self._log.info("%s", text)

    def __iter__(self) -> Iterator[Hashable]:
        return iter(self._texts)

    def __contains__(self, name: Hashable) -> bool:
        return name in self._texts

    def texts(self) -> list[str]:
        """Return what is a problem, oldest first."""
        return [text for name, text in self._texts.items() if name not in self._warnings]

    def warnings(self) -> list[str]:
        """Return what is worth to be told and is no problem, oldest first."""
        return [text for name, text in self._texts.items() if name in self._warnings]

    def weigh(self, name: Hashable, *, warning: bool) -> None:
        """Make a condition that has begun a warning, or a problem."""
        (self._warnings.add if warning else self._warnings.discard)(name)
