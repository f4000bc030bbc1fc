"""What a replay is going to do, letter by letter, before it does anything. Pure.

Each letter of the scan is one of these: done by an earlier replay; passed over by the filters; foreign (it names no
source topic); a copy of one that was replayed or is about to be (a crash may write a letter twice, D32); or sent. What
is passed over stays for a later replay. A step covers the offsets from behind the letter before it up to its own, so
that offsets without a letter (transaction markers, compaction) do not stand in the way of the committed offset.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from humus.cli._letters import Origin
from humus.cli._progress import Progress, Stretch

__all__ = ["Found", "Plan", "Range", "Rules", "Step", "Target", "after", "faults_of", "make_plan"]

_NAMED: Final = 5
"""So many of a kind are named in an error."""


class Range(NamedTuple):
    """A partition of the dead-letter topic: where its log begins, and what of it was scanned."""

    low: int
    start: int
    end: int


class Found(NamedTuple):
    """A letter of the scan; `identity` is `None` for a foreign one."""

    partition: int
    offset: int
    timestamp: int | None
    origin: Origin | None
    identity: bytes | None
    chosen: bool
    replays: int


class Target(NamedTuple):
    """Where a letter goes; partition `None`: as its key says."""

    topic: str
    partition: int | None


class Step(NamedTuple):
    """One letter to replay; without a target it is a copy, which counts as replayed and goes nowhere."""

    partition: int
    offset: int
    covers: Stretch
    target: Target | None


@dataclass(frozen=True, slots=True)
class Rules:
    """How to plan.

    Args:
        topic: the dead-letter topic.
        to: the topic that all letters go to, instead of where they came from.
        skip_foreign: pass letters over that name no source topic, and those whose source topic is the dead-letter one.
        limit: send so many letters at most.
        forgotten_before: progress from before this time (ms since the epoch) may have expired at the broker.
        first_time: the user knows that no letter of a partition without progress was ever replayed.
    """

    topic: str
    to: str | None = None
    skip_foreign: bool = False
    limit: int | None = None
    forgotten_before: int | None = None
    first_time: bool = False


@dataclass(slots=True)
class Plan:
    """The steps, in order, and what became of all other letters."""

    steps: list[Step] = field(default_factory=list)
    targets: Counter[str] = field(default_factory=Counter)
    again: Counter[int] = field(default_factory=Counter)
    """How often the letters to send went round already -> how many."""
    letters: int = 0
    done: int = 0
    passed_over: int = 0
    copies: int = 0
    left: int = 0
    """Chosen, but beyond the limit."""
    foreign: list[tuple[int, int]] = field(default_factory=list)
    circular: list[tuple[int, int]] = field(default_factory=list)
    """Their source topic is the dead-letter topic itself."""
    doubtful: list[tuple[int, int]] = field(default_factory=list)
    """Perhaps replayed before: the group has no progress, and what it had may have expired."""
    missing: Counter[str] = field(default_factory=Counter)
    """Target topics that do not exist, and how many letters want to go there."""
    scattered: list[int] = field(default_factory=list)
    """Partitions whose progress would not fit into a committed offset."""
    beyond: list[int] = field(default_factory=list)
    """Partitions that end before the progress: the topic was made anew since."""

    @property
    def to_send(self) -> int:
        """How many letters go out."""
        return sum(self.targets.values())


def make_plan(
    found: Mapping[int, Sequence[Found]],
    ranges: Mapping[int, Range],
    progress: Mapping[int, Progress],
    topics: Mapping[str, int],
    rules: Rules,
) -> Plan:
    """Decide on every letter.

    Args:
        found: the letters of each partition, in order of their offsets.
        ranges: what of each partition was scanned.
        progress: of the partitions that have any.
        topics: all topics and how many partitions they have.
        rules: what the user asked for.
    """
    plan = Plan()
    sent = {
        letter.identity
        for partition, letters in found.items()
        for letter in letters
        if letter.identity is not None and _is_done(letter, progress.get(partition))
    }
    for partition in sorted(found):
        for letter, covers in _covering(found[partition], ranges[partition]):
            _decide(plan, letter, covers, sent, progress.get(partition), topics, rules)
    after_all = after(plan.steps, ranges, progress)
    plan.scattered = [partition for partition, at in sorted(after_all.items()) if not at.fits]
    plan.beyond = [partition for partition, at in sorted(progress.items()) if at.below > ranges[partition].end]
    return plan


def after(steps: Iterable[Step], ranges: Mapping[int, Range], progress: Mapping[int, Progress]) -> dict[int, Progress]:
    """Return the progress once these steps are done too.

    That of partitions without progress and without a step stays unknown: to say that nothing of them is replayed would
    be to know it.
    """
    stretches: dict[int, list[Stretch]] = {partition: [] for partition in progress}
    for step in steps:
        stretches.setdefault(step.partition, []).append(step.covers)
    return {
        partition: progress.get(partition, Progress(ranges[partition].low)).plus([(0, ranges[partition].low), *more])
        for partition, more in stretches.items()
        if partition in ranges
    }


def faults_of(plan: Plan, rules: Rules, group: str) -> list[str]:
    """Return why the plan cannot be carried out, one line a fault, each with what to do."""
    topic = rules.topic
    faults = []
    if plan.foreign:
        faults.append(
            f"{_named(topic, plan.foreign)} no dead letter of ours: no header says which topic it came from. "
            "--to TOPIC sends it there, --skip-foreign passes it over"
        )
    if plan.circular:
        faults.append(
            f"{_named(topic, plan.circular)} from the dead-letter topic itself and would go round in it. "
            "--to TOPIC sends it elsewhere, --skip-foreign passes it over"
        )
    faults += [
        f"the topic {missing} does not exist, and {_letters(count)} came from there: create it, or give --to TOPIC"
        if rules.to is None
        else f"the topic {missing} does not exist: create it first"
        for missing, count in sorted(plan.missing.items())
    ]
    if plan.doubtful:
        faults.append(
            f"{_named(topic, plan.doubtful)} older than the broker remembers: the group {group} has no progress there, "
            "and that of an earlier replay would have expired (offsets.retention.minutes). Leave old letters out with "
            "--since, or say with --first-time that they were never replayed"
        )
    if plan.beyond:
        numbers = ", ".join(map(str, plan.beyond))
        faults.append(
            f"the progress of the group {group} is past the end of partition {numbers} of {topic}: it is that of an "
            f"earlier topic of this name. humus offsets reset {group} --topic {topic} --to earliest forgets it"
        )
    if plan.scattered:
        numbers = ", ".join(map(str, plan.scattered))
        faults.append(
            f"too many letters are passed over between those that are replayed, in partition {numbers} of {topic}: the "
            "progress does not fit into a committed offset. Replay those first that were passed over, or fewer at once "
            "with --limit, or keep this replay's progress apart with --group NAME"
        )
    return faults


def _covering(letters: Sequence[Found], scanned: Range) -> Iterable[tuple[Found, Stretch]]:
    start = scanned.start
    for number, letter in enumerate(letters, 1):
        end = letter.offset + 1 if number < len(letters) else scanned.end
        yield letter, (start, end)
        start = end


def _decide(  # noqa: PLR0917 - what the plan is made of
    plan: Plan,
    letter: Found,
    covers: Stretch,
    sent: set[bytes],
    progress: Progress | None,
    topics: Mapping[str, int],
    rules: Rules,
) -> None:
    place = (letter.partition, letter.offset)
    plan.letters += 1
    if _is_done(letter, progress):
        plan.done += 1
        return
    if not letter.chosen:
        plan.passed_over += 1
        return
    if rules.limit is not None and plan.to_send >= rules.limit:
        plan.left += 1
        return
    if letter.identity in sent:
        plan.copies += 1
        plan.steps.append(Step(*place, covers, None))
        return
    target = _target(letter, topics, rules)
    if target is None or target.topic == rules.topic:
        if rules.skip_foreign:
            plan.passed_over += 1
        else:
            (plan.foreign if target is None else plan.circular).append(place)
        return
    if target.topic not in topics:
        plan.missing[target.topic] += 1
    if progress is None and not rules.first_time and _is_old(letter, rules.forgotten_before):
        plan.doubtful.append(place)
    if letter.identity is not None:
        sent.add(letter.identity)
    plan.targets[target.topic] += 1
    plan.again[letter.replays] += 1
    plan.steps.append(Step(*place, covers, target))


def _target(letter: Found, topics: Mapping[str, int], rules: Rules) -> Target | None:
    """Return where a letter goes: into the partition that it came from, as long as its topic has that one."""
    if rules.to is not None:
        return Target(rules.to, None)
    origin = letter.origin
    if origin is None:
        return None
    return Target(origin.topic, origin.partition if origin.partition < topics.get(origin.topic, 0) else None)


def _is_done(letter: Found, progress: Progress | None) -> bool:
    return progress is not None and letter.offset in progress


def _is_old(letter: Found, forgotten_before: int | None) -> bool:
    return forgotten_before is not None and (letter.timestamp is None or letter.timestamp < forgotten_before)


def _named(topic: str, places: Sequence[tuple[int, int]]) -> str:
    named = ", ".join(f"{topic}[{partition}]@{offset}" for partition, offset in places[:_NAMED])
    more = len(places) - _NAMED
    return f"{named}{f' and {more} more' if more > 0 else ''} {'is' if len(places) == 1 else 'are'}"


def _letters(count: int) -> str:
    return "1 letter" if count == 1 else f"{count:,} letters"
