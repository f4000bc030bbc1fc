"""What goes wrong, and when: drawn from a seed. Pure.

A plan has three acts: members only come and go in good order (nothing may come twice), then members also die and
freeze, then brokers do as well. Each act has every fault of its own at least once, if it is long enough.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

__all__ = ["GROUPS", "Fault", "Step", "draw", "short"]

GROUPS: Final = 3
_BROKERS: Final = 3
_FEWEST, _MOST = 2, 3
"""Members of a group."""


class Fault(StrEnum):
    """What can happen."""

    JOIN = "member joins"
    LEAVE = "member leaves (SIGTERM)"
    KILL = "member killed (SIGKILL)"
    FREEZE = "member frozen past its session"
    RESTART_BROKER = "broker restarts"
    KILL_BROKER = "broker killed and restarted"
    FREEZE_BROKER = "broker frozen"

    @property
    def graceful(self) -> bool:
        """Whether nothing may come twice by it."""
        return self in {Fault.JOIN, Fault.LEAVE}

    @property
    def of_broker(self) -> bool:
        """Whether it befalls a broker."""
        return self in {Fault.RESTART_BROKER, Fault.KILL_BROKER, Fault.FREEZE_BROKER}


@dataclass(frozen=True, slots=True)
class Step:
    """Wait `pause` seconds, then let it happen to a broker, or to a member of a group; `seconds` is how long it lasts.

    `number` is the broker's (from 1) or the group's (from 1); `luck` (0 to 1) picks the member.
    """

    pause: float
    fault: Fault
    number: int
    seconds: float = 0.0
    luck: float = 0.0

    def __str__(self) -> str:
        who = f"broker {self.number}" if self.fault.of_broker else f"group {self.number}"
        lasts = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"after {self.pause:4.1f} s: {who}: {self.fault}{lasts}"


_GRACEFUL: Final = (Fault.JOIN, Fault.LEAVE)
_MEMBERS: Final = (*_GRACEFUL, Fault.KILL, Fault.FREEZE)
_ALL: Final = (*_MEMBERS, Fault.RESTART_BROKER, Fault.KILL_BROKER, Fault.FREEZE_BROKER)
_ACTS: Final = (_GRACEFUL, _MEMBERS, _ALL)
_LASTS: Final = {
    # A member's session lasts 12 s, a broker's with its controller 6 s.
    Fault.KILL: (0.0, 4.0),  # until another member takes its place
    Fault.FREEZE: (13.0, 18.0),
    Fault.RESTART_BROKER: (0.0, 3.0),
    Fault.KILL_BROKER: (0.0, 9.0),
    Fault.FREEZE_BROKER: (2.0, 12.0),
}
_TAKES: Final = {Fault.RESTART_BROKER: 10.0, Fault.KILL_BROKER: 10.0, Fault.FREEZE_BROKER: 2.0}
"""Seconds beside that, about, until the cluster is whole again: a plan is to be over when the records are."""


def draw(seed: int, seconds: float) -> list[Step]:
    """Draw a plan of about so many seconds."""
    luck = random.Random(seed)  # noqa: S311 - repeatable, guards nothing
    members = [_FEWEST] * GROUPS
    steps: list[Step] = []
    for faults in _ACTS:
        left = seconds / len(_ACTS)
        for fault in _deal(faults, luck):
            if left <= 0:
                break
            step = _step(fault, members, luck)
            # Members' steps run beside each other.
            left -= step.pause + (step.seconds + _TAKES[fault] if fault.of_broker else 0.0)
            steps.append(step)
    return steps


def short() -> list[Step]:
    """Return the plan of the short form: one fault of the kinds that matter, in half a minute."""
    return [
        Step(1.0, Fault.JOIN, 1),
        Step(0.5, Fault.JOIN, 2),
        Step(4.0, Fault.LEAVE, 1),
        Step(0.0, Fault.LEAVE, 2, luck=0.9),
        Step(3.0, Fault.FREEZE, 2, seconds=13.0),
        Step(0.5, Fault.KILL, 1),
        Step(3.0, Fault.RESTART_BROKER, 2),
    ]


def _deal(faults: Sequence[Fault], luck: random.Random) -> Iterator[Fault]:
    """Deal the faults like cards: all of them, shuffled, again and again."""
    while True:
        yield from luck.sample(faults, len(faults))


def _step(fault: Fault, members: list[int], luck: random.Random) -> Step:
    number = luck.randint(1, _BROKERS if fault.of_broker else GROUPS)
    if fault.graceful:  # no group gets too small or too large
        count = members[number - 1]
        fault = Fault.JOIN if count <= _FEWEST else Fault.LEAVE if count >= _MOST else fault
        members[number - 1] += 1 if fault is Fault.JOIN else -1
    shortest, longest = _LASTS.get(fault, (0.0, 0.0))
    pause = luck.uniform(4.0, 8.0) if fault.of_broker else luck.uniform(1.0, 6.0)
    return Step(round(pause, 1), fault, number, round(luck.uniform(shortest, longest), 1), round(luck.random(), 2))
