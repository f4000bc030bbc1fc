"""Makes a failing run as short as it can be: drops steps and simplifies them while the same clause is violated."""

import re
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Final

from tests.simulation.storm import Schedule, Step, play
from tests.simulation.world import World, world_of

__all__ = ["Failure", "attempt", "from_text", "shrink", "story", "to_text"]

_MOST_RUNS: Final = 3_000
"""Runs that shrinking may take: some ten seconds."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is violated: a clause (D10), or where an exception came from; and what was said about it."""

    clause: str
    text: str


def attempt(schedule: Schedule, *, tracing: bool = False) -> tuple[World, Failure | None]:
    """Run a schedule; return the world as it is then, and what is violated."""
    world = world_of(schedule.world, tracing=tracing)
    try:
        play(world, schedule)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what we look for
        return world, _failure(error)
    return world, None


def _failure(error: Exception) -> Failure:
    clause = re.match(r"(D\d+|books)\b", str(error))
    if isinstance(error, AssertionError) and clause:
        return Failure(clause[1], str(error))
    place = traceback.extract_tb(error.__traceback__)[-1]
    return Failure(
        f"{type(error).__name__} in {place.name}", f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
    )


def shrink(schedule: Schedule, clause: str, *, runs: int = _MOST_RUNS) -> Schedule:
    """Return the shortest schedule found that still violates the clause."""
    left = iter(range(runs))

    def fails(steps: tuple[Step, ...]) -> bool:
        if next(left, None) is None:
            return False
        _, failure = attempt(replace(schedule, steps=steps))
        return failure is not None and failure.clause == clause

    steps, before = schedule.steps, None
    while steps != before:
        before = steps
        steps = _simplified(_without_pairs(_dropped(steps, fails), fails), fails)
    return replace(schedule, steps=steps)


def _dropped(steps: tuple[Step, ...], fails: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """Drop runs of steps, long ones first, as long as it fails."""
    size = len(steps)
    while size:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fails(fewer):
                steps = fewer
            else:
                at += size
        size //= 2
    return steps


def _without_pairs(steps: tuple[Step, ...], fails: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """Drop two steps that only go together: a member is killed and started again."""
    for first, second in combinations(range(len(steps)), 2):
        fewer = steps[:first] + steps[first + 1 : second] + steps[second + 1 :]
        if fails(fewer):
            return _without_pairs(fewer, fails)
    return steps


def _simplified(steps: tuple[Step, ...], fails: Callable[[tuple[Step, ...]], bool]) -> tuple[Step, ...]:
    """Take away what a step has beside its name, as long as it fails."""
    for at in range(len(steps)):
        for simpler in _simpler(steps[at]):
            others = (*steps[:at], simpler, *steps[at + 1 :])
            if fails(others):
                steps = others
                break
    return steps


def _simpler(step: Step) -> Iterator[Step]:
    if step.wait:
        yield replace(step, wait=0.0)
    for luck in range(min(6, step.luck)):
        yield replace(step, luck=luck)


# -- as text ------------------------------------------------------------------------------------------------------


def to_text(schedule: Schedule) -> str:
    """Write a schedule so that `from_text` reads it back."""
    return " ".join([schedule.world, *(f"{step.what}:{step.luck}:{step.wait:g}" for step in schedule.steps)])


def from_text(text: str) -> Schedule:
    """Read a schedule.

    Raises:
        ValueError: it is none; says which part.
    """
    world, *words = text.split()
    steps = []
    for word in words:
        step = re.fullmatch(r"([a-z-]+):(\d+):(\d+\.?\d*)", word)
        if step is None:
            raise ValueError(f"{word!r} is no step: what:number:seconds")
        steps.append(Step(step[1], int(step[2]), float(step[3])))
    schedule = Schedule(world, tuple(steps))
    schedule.check()
    return schedule


def story(schedule: Schedule) -> str:
    """Tell what happens in a run, and what is violated in the end."""
    world, failure = attempt(schedule, tracing=True)
    return "\n".join([*world.history, f"{world.now:8.3f} {'all is well' if failure is None else failure.text}"])
