"""Which letters a command is about: filters as they are written, and what they choose. Pure."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Final

from humus.cli._letters import Facts
from humus.config import parse_duration

__all__ = ["Choice", "parse_letter", "parse_time", "parse_topic", "parse_topics"]

_NAME: Final = re.compile(r"[a-zA-Z0-9._-]{1,249}")
_A_TOPIC: Final = "must be TOPIC or TOPIC:PARTITION,..., such as orders or orders:0,3"
_A_LETTER: Final = "must be PARTITION:OFFSET, such as 0:1234"
_A_TIME: Final = "must be a time with its zone, such as 2026-01-31T12:00:00Z, or how long ago, such as 2h or 1d12h"


@dataclass(frozen=True, slots=True)
class Choice:
    """The letters that pass every filter that is given.

    Args:
        since, until: in ms since the epoch, of the time at which the letter was written; `until` itself is out.
        exceptions: patterns of which one must match the exception's type, whole or without its module.
        sources: topics, each with partitions (empty: all of them), that the record comes from.
        letters: places in the dead-letter topic, as partition and offset.
        max_replays: how often a record went round already, at most.
    """

    since: int | None = None
    until: int | None = None
    exceptions: tuple[str, ...] = ()
    sources: tuple[tuple[str, frozenset[int]], ...] = ()
    letters: frozenset[tuple[int, int]] = frozenset()
    max_replays: int | None = None

    def takes(self, letter: Facts) -> bool:
        """Whether the letter is chosen."""
        return (
            self._at_time(letter.timestamp)
            and (not self.exceptions or _matches(letter.exception, self.exceptions))
            and (not self.sources or self._from_source(letter))
            and (not self.letters or (letter.partition, letter.offset) in self.letters)
            and (self.max_replays is None or letter.replays <= self.max_replays)
        )

    def _at_time(self, timestamp: int | None) -> bool:
        if timestamp is None:
            return self.since is None and self.until is None
        return (self.since is None or timestamp >= self.since) and (self.until is None or timestamp < self.until)

    def _from_source(self, letter: Facts) -> bool:
        origin = letter.origin
        return origin is not None and any(
            topic == origin.topic and (not partitions or origin.partition in partitions)
            for topic, partitions in self.sources
        )


def _matches(kind: str | None, patterns: Iterable[str]) -> bool:
    if kind is None:
        return False
    names = (kind, kind.rpartition(".")[2])
    return any(fnmatchcase(name, pattern) for pattern in patterns for name in names)


def parse_time(text: str, now: datetime) -> int:
    """Return a time in ms since the epoch: ISO 8601 with a zone, or a duration before `now`.

    Raises:
        ValueError: it is neither.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        try:
            when = now - timedelta(seconds=parse_duration(text))
        except (ValueError, OverflowError):
            raise ValueError(_A_TIME) from None
    if when.tzinfo is None:
        raise ValueError(_A_TIME)
    try:
        return round(when.timestamp() * 1000)
    except OverflowError:
        raise ValueError(_A_TIME) from None


def parse_topic(text: str) -> tuple[str, frozenset[int]]:
    """Return a topic and the partitions named with it; none named is all of them.

    Raises:
        ValueError: the text is no topic, or no number is between commas.
    """
    name, colon, numbers = text.partition(":")
    if not _NAME.fullmatch(name):
        raise ValueError(_A_TOPIC)
    if not colon:
        return name, frozenset()
    return name, frozenset(_number(number, _A_TOPIC) for number in numbers.split(","))


def parse_topics(texts: Iterable[str]) -> Mapping[str, frozenset[int]]:
    """Return topics and their partitions; a topic that comes twice has the partitions of both.

    Raises:
        ValueError: as `parse_topic`.
    """
    found: dict[str, frozenset[int]] = {}
    for text in texts:
        name, partitions = parse_topic(text)
        before = found.get(name)
        found[name] = partitions if before is None else before | partitions if before and partitions else frozenset()
    return found


def parse_letter(text: str) -> tuple[int, int]:
    """Return a letter's partition and offset.

    Raises:
        ValueError: the text is no such place.
    """
    partition, colon, offset = text.partition(":")
    if not colon:
        raise ValueError(_A_LETTER)
    return _number(partition, _A_LETTER), _number(offset, _A_LETTER)


def _number(text: str, expected: str) -> int:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ValueError(expected)
    return int(text)
