"""What is in a dead-letter topic, counted while it is read: by exception, and by the partition it came from. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from humus.cli._letters import Facts, instant

__all__ = ["Kind", "Summary", "Tally", "row_of"]


class Kind(NamedTuple):
    """What letters are counted by; `None` where a letter does not say."""

    exception: str | None
    topic: str | None
    partition: int | None


@dataclass(slots=True)
class Tally:
    """The letters of one kind; times in ms since the epoch."""

    letters: int = 0
    replayed: int = 0
    again: int = 0
    """Were replayed before and failed again."""
    first: int | None = None
    last: int | None = None

    def add(self, letter: Facts, *, replayed: bool) -> None:
        """Count one more."""
        self.letters += 1
        self.replayed += replayed
        self.again += letter.replays > 0
        when = letter.timestamp
        if when is not None:
            self.first = when if self.first is None else min(self.first, when)
            self.last = when if self.last is None else max(self.last, when)


@dataclass(slots=True)
class Summary:
    """All letters of a topic that were chosen."""

    total: Tally = field(default_factory=Tally)
    kinds: dict[Kind, Tally] = field(default_factory=dict)

    def add(self, letter: Facts, *, replayed: bool) -> None:
        """Count a letter."""
        origin = letter.origin
        kind = Kind(letter.exception, origin and origin.topic, origin and origin.partition)
        self.total.add(letter, replayed=replayed)
        self.kinds.setdefault(kind, Tally()).add(letter, replayed=replayed)

    def rows(self) -> Iterable[dict[str, Any]]:
        """Return a row for each kind, the most frequent first."""
        by_count = sorted(self.kinds.items(), key=lambda each: (-each[1].letters, tuple(map(str, each[0]))))
        for kind, tally in by_count:
            yield {**kind._asdict(), **_counts(tally)}

    def as_json(self) -> dict[str, Any]:
        """Return the total and the rows."""
        return {**_counts(self.total), "kinds": list(self.rows())}


def row_of(letter: Facts, *, replayed: bool) -> dict[str, Any]:
    """Return a letter as a line of a list."""
    origin = letter.origin
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "time": instant(letter.timestamp),
        "topic": origin and origin.topic,
        "original_partition": origin and origin.partition,
        "original_offset": origin and origin.offset,
        "original_time": instant(origin.timestamp) if origin else None,
        "group": letter.group,
        "attempts": letter.attempts,
        "exception": letter.exception,
        "message": letter.message,
        "replays": letter.replays,
        "replayed": replayed,
    }


def _counts(tally: Tally) -> dict[str, Any]:
    return {
        "letters": tally.letters,
        "replayed": tally.replayed,
        "failed_again": tally.again,
        "first": instant(tally.first),
        "last": instant(tally.last),
    }
