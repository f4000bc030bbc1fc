"""Says what failed: the clause, the shortest schedule, what happens in it, and the command that plays it again."""

from tests.simulation.shrink import Failure, shrink, story, to_text
from tests.simulation.storm import STORMS, Schedule, draw

__all__ = ["of_schedule", "of_seed"]


def of_seed(storm: str, seed: int, failure: Failure) -> str:
    """Shrink a failing seed and tell its story."""
    schedule = draw(seed, STORMS[storm])
    shortest = shrink(schedule, failure.clause)
    begin = f"seed {seed} of the {storm} storm fails: {failure.text}"
    lengths = f"{len(schedule.steps)} steps, {len(shortest.steps)} of which are enough:"
    return f"{begin}\n{lengths}\n{of_schedule(shortest)}"


def of_schedule(schedule: Schedule) -> str:
    """Tell a schedule's steps and story, and how to play it again."""
    steps = [
        f"{at:4} {step.what}, then {step.wait:g} s ({step.luck})" for at, step in enumerate(schedule.steps, start=1)
    ]
    command = f"make simulate ARGS=\"--replay '{to_text(schedule)}'\""
    begin = f"in the world {schedule.world!r}:"
    return "\n".join([begin, *steps, "what happens:", story(schedule), "play it again with:", f"    {command}"])
