"""Carries a plan out: reads the letters again, sends them batch by batch, and says how far it is."""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import Message

from humus.cli._cluster import Cluster
from humus.cli._letter_reader import place_in, read_letters
from humus.cli._outbox import Outbox
from humus.cli._progress import Progress, Stretch
from humus.cli._replay_plan import Plan, Range, Step, after

__all__ = ["Done", "Job", "ProgressLine", "carry_out"]

BATCH: Final = 500
"""Letters that one transaction holds, at most."""
_BATCH_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """What is replayed: the letters in these ranges of a topic, whose progress a group holds."""

    cluster: Cluster
    topic: str
    group: str
    ranges: Mapping[int, Range]


@dataclass(slots=True)
class Done:
    """How far a replay came: what is counted is confirmed, for good."""

    sent: int = 0
    copies: int = 0
    vanished: int = 0
    """Letters that were deleted between the plan and their turn."""
    stopped: bool = False


class ProgressLine:
    """One line on stderr that is written over, where somebody looks at it; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = sys.stderr.isatty()

    def __call__(self, sent: int) -> None:
        """Show how many letters are confirmed."""
        if self._shown:
            sys.stderr.write(f"\r{sent:,} of {self._total:,} letters replayed")
            sys.stderr.flush()

    def end(self) -> None:
        """Leave the line."""
        if self._shown:
            sys.stderr.write("\n")


def carry_out(
    job: Job,
    outbox: Outbox,
    plan: Plan,
    progress: Mapping[int, Progress],
    *,
    stopping: Callable[[], bool],
    tell: Callable[[int], None],
    done: Done,
) -> None:
    """Send every letter of the plan, and count in `done` what is confirmed; ends early once `stopping`.

    Raises:
        BrokerError: a letter is refused, or the brokers do not answer; the open batch does not count.
    """
    steps = {(step.partition, step.offset): step for step in plan.steps}
    batch = _Batch(outbox, job.ranges, progress, done)
    tell(0)
    for letter in read_letters(job.cluster, job.topic, _stretches(plan.steps), job.group, stopping):
        step = steps.pop(place_in(letter), None)
        if step is None:
            continue
        batch.add(letter, step)
        if batch.full:
            batch.confirm()
            tell(done.sent)
        if stopping():
            break
    batch.confirm()
    tell(done.sent)
    done.stopped = bool(steps) and stopping()
    done.vanished = 0 if done.stopped else len(steps)


class _Batch:
    """The letters of one transaction."""

    def __init__(
        self, outbox: Outbox, ranges: Mapping[int, Range], progress: Mapping[int, Progress], done: Done
    ) -> None:
        self._outbox = outbox
        self._ranges = ranges
        self._progress = progress
        self._done = done
        self._steps: list[Step] = []
        self._bytes = 0

    @property
    def full(self) -> bool:
        return len(self._steps) >= BATCH or self._bytes >= _BATCH_BYTES

    def add(self, letter: Message, step: Step) -> None:
        self._outbox.begin()
        if step.target is not None:
            self._outbox.send(letter, step.target)
            self._bytes += len(letter)
        self._steps.append(step)

    def confirm(self) -> None:
        if not self._steps:
            return
        progress = after(self._steps, self._ranges, self._progress)
        self._outbox.confirm(progress)
        self._progress = progress
        sent = sum(step.target is not None for step in self._steps)
        self._done.sent += sent
        self._done.copies += len(self._steps) - sent
        self._steps = []
        self._bytes = 0


def _stretches(steps: Iterable[Step]) -> dict[int, Stretch]:
    """Return from where to where each partition is to be read again."""
    found: dict[int, Stretch] = {}
    for step in steps:
        start, end = found.get(step.partition, (step.offset, step.offset))
        found[step.partition] = (min(start, step.offset), max(end, step.offset + 1))
    return found
