"""What a mode is: which candidates, on which topic, against whom, and told in which columns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bench.child import Child, Outcome, own
from bench.work import Order

__all__ = ["Amounts", "Column", "Described", "Mode", "alone", "finished"]

Against = Literal["ratio", "difference", "calls", "champion"]


@dataclass(frozen=True, slots=True)
class Amounts:
    """How much is measured: `seconds` of a steady rate, `limit` of those who do not get to the end of the topic."""

    rounds: int
    records: int
    seconds: float
    timeout: float
    limit: float = 8.0


class Described(Protocol):
    """What a mode needs to know of a candidate."""

    @property
    def what(self) -> str:
        """What it is, in a few words."""
        ...


@dataclass(frozen=True, slots=True)
class Column:
    """One figure in the table; `against` says how it is compared with the yardstick's of the same round.

    As `calls`, it stands for the comparison alone: what the candidate needs more, in calls of `Mode.calls`. As
    `champion`, too: how many times the candidate's figure the champion's is.
    """

    figure: str
    heading: str
    digits: int
    against: Against | None = None

    @property
    def alone(self) -> bool:
        """Whether it stands for the comparison alone."""
        return self.against in {"calls", "champion"}


def _ready(_candidate: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Mode:
    """One kind of measurement.

    `prepare` is given the brokers, makes the topic that all runs share, and returns its name (empty if each run makes
    its own); `run` is given candidate, brokers and topic, and makes one run. `ready` makes what a candidate needs
    beforehand, and raises `NotAvailable` if it can't be had. Candidates in `on_request` are left out unless they are
    asked for. `budgets` are those of the design, in words. `typical_s` is how long a run takes, about.

    `yardsticks` are those of candidates that have another one than the mode's; `calls` says which candidate is the bare
    call that another one adds to its yardstick. A bare call has no yardstick. `others` are compared with the champion.
    """

    name: str
    title: str
    about: str
    candidates: Mapping[str, Described]
    columns: tuple[Column, ...]
    prepare: Callable[[str, Amounts], str]
    run: Callable[[str, str, str, Amounts], Outcome]
    ready: Callable[[str], None] = _ready
    amount: Callable[[Amounts], str] | None = None
    yardstick: str | None = None
    on_request: frozenset[str] = frozenset()
    budgets: tuple[str, ...] = ()
    yardsticks: Mapping[str, str] = field(default_factory=dict)
    calls: Mapping[str, str] = field(default_factory=dict)
    champion: str | None = None
    others: frozenset[str] = frozenset()
    typical_s: float = 10.0
    plotted: bool = False
    warm_up: bool = True

    def yardstick_of(self, candidate: str) -> str | None:
        """Return what a candidate is compared with, `None` for nothing."""
        if candidate == self.yardstick or candidate in self.calls.values():
            return None
        return self.yardsticks.get(candidate, self.yardstick)

    def chosen(self, only: frozenset[str]) -> list[str]:
        """Return the candidates to run, the yardstick with them; none if all that is asked for belongs elsewhere."""
        if not only:
            return [name for name in self.candidates if name not in self.on_request]
        named = {name for name in self.candidates if name in only}
        needed = {self.yardstick_of(name) for name in named} | {self.calls.get(name) for name in named}
        if named:
            needed |= {self.yardstick, self.champion if named & self.others else None}
        return [name for name in self.candidates if name in named | needed]


def alone(candidate: str, brokers: str, topic: str, amounts: Amounts) -> Outcome:
    """Run one of the bench's own candidates, and nothing beside it."""
    order = Order(brokers, topic, seconds=amounts.limit, timeout=amounts.timeout)
    return finished(Child(candidate, own(candidate, order), amounts.timeout))


def finished(child: Child) -> Outcome:
    """Wait for the end of a child, however it comes."""
    try:
        return child.wait()
    finally:
        child.discard()
