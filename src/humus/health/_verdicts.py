"""Alive, started, ready? Decided here, from facts alone: no thread, no clock, no HTTP.

=========  =================================================================================================
liveness   fails when a restart would help: a partition is stalled, a runtime's own thread or the application's
           loop does not turn. While starting up it is alive
startup    fails until `init` has returned and the runtimes have been started; joining the group is not its matter:
           brokers that are away are waited for, and a restart would not bring them back
readiness  fails while anything is wrong that has been noticed, until the groups were joined, and from the first
           moment of a stop; the user's own checks count here
=========  =================================================================================================
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from humus.health._facts import Facts, RuntimeFacts

__all__ = ["Verdict", "liveness", "readiness", "startup"]

TURNS_WITHIN: Final = 10.0
"""Seconds within which a thread or a loop has to turn: both take a tenth of one."""
STARTS_WITHIN: Final = 60.0
"""The same for a runtime that has not joined yet: it may wait for the user's function that fetches a token."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, a line each: nothing where it passes. `warnings` are told and make nothing fail."""

    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def passes(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def liveness(facts: Facts) -> Verdict:
    """Tell whether the process should go on, or be restarted."""
    problems = list(_loop(facts))
    for runtime in facts.runtimes:
        problems += _named(runtime, facts.runtimes, (*_thread(runtime, facts.now), *runtime.stalled))
    return Verdict(tuple(problems))


def startup(facts: Facts) -> Verdict:
    """Tell whether the start is over."""
    if facts.phase == "starting":
        return Verdict(("starting: init has not returned yet",))
    problems: list[str] = []
    for runtime in facts.runtimes:
        if runtime.state == "new" and facts.phase == "running":
            problems += _named(runtime, facts.runtimes, ["starting: it has not been started yet"])
    return Verdict(tuple(problems))


def readiness(facts: Facts, own: Sequence[str] = ()) -> Verdict:
    """Tell whether the service does its work; `own` is what the user's own checks found."""
    if facts.phase == "starting":
        return Verdict(("starting: init has not returned yet",))
    problems = ["stopping"] if facts.phase == "stopping" else []
    problems += _loop(facts)
    for runtime in facts.runtimes:
        found = [*_thread(runtime, facts.now), *_membership(runtime, facts), *runtime.problems]
        problems += _named(runtime, facts.runtimes, found)
    problems += own
    warnings = [line for runtime in facts.runtimes for line in _named(runtime, facts.runtimes, runtime.warnings)]
    return Verdict(tuple(problems), tuple(warnings))


def _loop(facts: Facts) -> Iterator[str]:
    if facts.phase != "starting" and facts.loop_silent > TURNS_WITHIN:
        yield (
            f"the application's event loop has not turned for {facts.loop_silent:.0f} s: "
            "something on it blocks, such as an async def processor that never awaits"
        )


def _thread(runtime: RuntimeFacts, now: float) -> Iterator[str]:
    if runtime.made_at is None or runtime.state in {None, "new", "stopped"}:
        return
    silent = now - runtime.made_at
    if silent > (STARTS_WITHIN if runtime.state == "starting" else TURNS_WITHIN):
        yield f"the runtime's own thread has not turned for {silent:.0f} s"


def _membership(runtime: RuntimeFacts, facts: Facts) -> Iterator[str]:
    if runtime.state in {"new", "starting"}:
        yield "starting: the group has not been joined yet"
    elif runtime.state in {"stopping", "stopped"} and facts.phase != "stopping":
        yield "the runtime is stopping" if runtime.state == "stopping" else "the runtime has stopped"


def _named(runtime: RuntimeFacts, runtimes: Sequence[RuntimeFacts], lines: Iterable[str]) -> list[str]:
    """Begin each line with the runtime's name where there are several."""
    return list(lines) if len(runtimes) == 1 else [f"{runtime.name}: {line}" for line in lines]
