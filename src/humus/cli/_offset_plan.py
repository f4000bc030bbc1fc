"""Where a group's offsets are to go: what the user asked for against what the partitions have. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from humus.cli._choice import parse_time
from humus.errors import ConfigError, HumusError
from humus.queue.kafka._message import TopicPartition

__all__ = ["Change", "Goal", "Have", "NotPossible", "choose_partitions", "parse_goal", "plan_reset"]

_NAMED: Final = 10


class NotPossible(HumusError):  # noqa: N818 - reads as what happened
    """The offsets cannot go where they should; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Goal:
    """Where to: exactly one of these is given. `time` is in ms since the epoch."""

    edge: str | None = None
    """`earliest` or `latest`."""
    time: int | None = None
    offset: int | None = None
    shift: int | None = None


class Have(NamedTuple):
    """What the partitions have; `committed` is `None` where the group has committed nothing."""

    committed: Mapping[TopicPartition, int | None]
    begins: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]
    at_time: Mapping[TopicPartition, int]
    """The first offset at or after the goal's time; absent where there is none."""


class Change(NamedTuple):
    """What becomes of one partition's committed offset."""

    topic: str
    partition: int
    before: int | None
    after: int
    begin: int
    end: int
    note: str

    def as_json(self) -> dict[str, Any]:
        """Return it by name."""
        return self._asdict()


def parse_goal(to: str | None, shift: int | None, now: datetime) -> Goal:
    """Read `--to` and `--shift`.

    Raises:
        ConfigError: not exactly one of them is given, or `--to` is nothing that is known.
    """
    if (to is None) == (shift is None):
        raise ConfigError("say where to: either --to earliest, latest, an offset or a time, or --shift N")
    if to is None:
        return Goal(shift=shift)
    if to in {"earliest", "latest"}:
        return Goal(edge=to)
    if to.isascii() and to.isdigit():
        if len(to) > 18:
            raise ConfigError(f"--to {to}: no offset is that large")
        return Goal(offset=int(to))
    try:
        return Goal(time=parse_time(to, now))
    except ValueError:
        raise ConfigError(
            f"--to {to}: must be earliest, latest, an offset, a time with its zone such as 2026-01-31T12:00:00Z, or "
            "how long ago, such as 2h"
        ) from None


def choose_partitions(
    wanted: Mapping[str, frozenset[int]], topics: Mapping[str, int]
) -> tuple[list[TopicPartition], list[str]]:
    """Return the partitions that are meant, and one fault for each topic and partition that is not there."""
    chosen: list[TopicPartition] = []
    faults = []
    for topic, partitions in wanted.items():
        count = topics.get(topic)
        if count is None:
            faults.append(f"there is no topic {topic}, or this user may not see it")
            continue
        beyond = sorted(number for number in partitions if number >= count)
        if beyond:
            there = "is only partition 0" if count == 1 else f"are only partitions 0 to {count - 1}"
            faults.append(f"{topic} has no partition {', '.join(map(str, beyond))}: there {there}")
        chosen += [TopicPartition(topic, number) for number in sorted(partitions or range(count)) if number < count]
    return chosen, faults


def plan_reset(goal: Goal, partitions: Iterable[TopicPartition], have: Have) -> list[Change]:
    """Decide for each partition; a goal beyond the log is its edge, and said so, but for an offset that was named.

    Raises:
        NotPossible: an offset that was named is not in the log, or there is nothing to shift from; all faults at once.
    """
    changes: list[Change] = []
    faults: list[str] = []
    for at in partitions:
        begin, end, before = have.begins[at], have.ends[at], have.committed.get(at)
        if goal.offset is not None and not begin <= goal.offset <= end:
            faults.append(f"{at} has no offset {goal.offset}: its log goes from {begin} to {end}")
        elif goal.shift is not None and before is None:
            faults.append(f"{at} has nothing committed to shift from: say where to with --to")
        else:
            after, note = _after(goal, begin, end, before, have.at_time.get(at))
            changes.append(Change(*at, before, after, begin, end, note))
    if faults:
        raise NotPossible(_listed(faults))
    return changes


def _after(goal: Goal, begin: int, end: int, before: int | None, at_time: int | None) -> tuple[int, str]:
    if goal.edge is not None:
        return (begin if goal.edge == "earliest" else end), ""
    if goal.time is not None:
        return (end, "no record since then: the end") if at_time is None else (at_time, "")
    if goal.offset is not None:
        return goal.offset, ""
    assert before is not None
    assert goal.shift is not None
    wanted = before + goal.shift
    if wanted < begin:
        return begin, f"{wanted} is before the first record"
    if wanted > end:
        return end, f"{wanted} is past the end"
    return wanted, ""


def _listed(faults: Sequence[str]) -> str:
    more = len(faults) - _NAMED
    return "\n".join([*faults[:_NAMED], *([f"and {more} more"] if more > 0 else []), "nothing was changed"])
