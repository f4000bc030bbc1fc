"""What happens in a run, step by step, drawn from a seed; then calm, after which nothing may be left undone.

A step says all about itself: what happens, a number from which the rest is drawn (which member, which partition), and
how long it takes until the next one. So a run is its list of steps, and any part of the list is a run too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.simulation.group import Heard
from tests.simulation.luck import Luck
from tests.simulation.member import Member
from tests.simulation.worker import Run
from tests.simulation.world import WORLDS, World

__all__ = ["STORMS", "Schedule", "Step", "Storm", "draw", "play"]

CALM_SECONDS: Final = 300.0
"""Simulated seconds after which everything must be handled and committed."""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens, and the seconds that pass after it."""

    what: str
    luck: int
    wait: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """A run: what happens in which world."""

    world: str
    steps: tuple[Step, ...]

    def check(self) -> None:
        """Look whether everything has a known name.

        Raises:
            ValueError: something has not.
        """
        if self.world not in WORLDS:
            raise ValueError(f"there is no world {self.world!r}: {', '.join(WORLDS)}")
        for step in self.steps:
            if step.what not in _EVENTS:
                raise ValueError(f"nothing is called {step.what!r}: {', '.join(_EVENTS)}")


@dataclass(frozen=True, slots=True)
class Storm:
    """How often what happens, as weights, and the waits between."""

    weights: dict[str, int]
    waits: tuple[float, ...]
    worlds: tuple[str, ...]
    steps: int = 40


def draw(seed: int, storm: Storm) -> Schedule:
    """Draw a schedule. Each seed has its own mixture: a few things happen often, some never."""
    luck = Luck(seed)
    world = luck.choice(storm.worlds)
    rules = WORLDS[world]
    urn = [what for what, weight in storm.weights.items() for _ in range(weight * luck.choice((0, 1, 1, 4)))]
    urn += ["produce", "answer", "answer", "answer", "nothing"] * 3
    start = ["produce"] * (rules.at_least_once + rules.at_most_once)
    names = start + [luck.choice(urn) for _ in range(storm.steps)]
    return Schedule(world, tuple(Step(what, luck.below(1 << 30), luck.choice(storm.waits)) for what in names))


def play(world: World, schedule: Schedule) -> None:
    """Run a schedule in a world, to its end.

    Raises:
        Exception: a guarantee does not hold (`AssertionError`, its text begins with the clause), or the core fell over.
    """
    for step in schedule.steps:
        luck = world.luck = Luck(step.luck)
        _EVENTS[step.what](world, luck)
        world.pass_time(step.wait)
        world.rounds(skip=8)
        for member in world.members:
            if member.alive and not member.frozen and not member.known and luck.one_in(4):
                world.heartbeat(member)
        group = world.group
        if group.rebalance_due and not group.waiting and luck.one_in(2):
            group.rebalance(luck, world.now, [tp for tp in world.tps if luck.one_in(4)])
    _calm(world)
    world.check_graceful()


# -- what happens in a storm: each looks first whether it can -----------------------------------------------------


def _alive(world: World) -> list[Member]:
    return [member for member in world.members if member.alive]


def _frozen(world: World) -> list[Member]:
    return [member for member in world.members if member.alive and member.frozen]


def _one(luck: Luck, among: list[Member]) -> Member | None:
    return luck.choice(among) if among else None


def _produce(world: World, luck: Luck) -> None:
    log = world.logs[luck.choice(world.tps)]
    log.append(luck.choice((0, 0, 1, 5)), luck.below(25), luck.choice((0, 0, 1, 2)))
    world.note(f"{log.tp} has {len(log.records)} records, its end is {log.end}")


def _pass(world: World, _luck: Luck) -> None:
    """Let more time pass than any wait between two rounds has."""
    for _ in range(4):
        world.pass_time(0.5)
        world.rounds()


def _rebalance(world: World, _luck: Luck) -> None:
    world.group.rebalance_due = True


def _answer(how: str) -> Callable[[World, Luck], None]:
    def answer(world: World, luck: Luck) -> None:
        waiting = [member for member in world.members if member.alive and member.requests]
        member = _one(luck, waiting)
        for _ in range(1 + luck.below(3)):
            if member is not None and member.requests:
                world.answer_commit(member, how)

    return answer


def _stop(world: World, luck: Luck) -> None:
    running = [member for member in _alive(world) if not member.core.stopping and not member.frozen]
    member = _one(luck, running)
    if member is not None:
        world.seen["stop"] += 1
        world.note(member, "is asked to stop")
        member.stop()


def _kill(world: World, luck: Luck) -> None:
    member = _one(luck, _alive(world))
    if member is None:
        return
    world.seen["kill"] += 1
    if member.requests:
        world.seen["kill while a commit is in flight"] += 1
    world.note(member, "is killed")
    while member.requests and luck.one_in(2):
        world.answer_commit(member, "ok")
    member.die()


def _start(world: World, luck: Luck) -> None:
    member = _one(luck, [member for member in world.members if not member.alive])
    if member is not None:
        world.seen["start"] += 1
        member.start()


def _freeze(world: World, luck: Luck) -> None:
    member = _one(luck, _alive(world))
    if member is not None and not member.frozen:
        world.seen["freeze"] += 1
        world.note(member, "is frozen")
        member.frozen = True


def _thaw(world: World, luck: Luck) -> None:
    member = _one(luck, _frozen(world))
    if member is not None:
        world.seen["thaw"] += 1
        if not member.known:
            world.seen["thaw after the session"] += 1
        world.note(member, "goes on")
        member.frozen = False


def _expire(world: World, luck: Luck) -> None:
    """Remove a member: one that is dead or frozen, rarely one that lives and is cut off."""
    group = world.group
    ids = {member.membership.id for member in world.members if member.alive and not member.frozen}
    silent = [member_id for member_id in group.members if member_id not in ids]
    if not silent and luck.one_in(3):
        silent = list(group.members)
    if silent:
        group.expire(luck.choice(silent))


def _unreadable(world: World, luck: Luck) -> None:
    member = _one(luck, _alive(world))
    if member is not None and not member.rebalancing and member.client.assigned:
        tp = luck.choice(list(member.client.assigned))
        world.seen["unreadable"] += 1
        world.note(member, "cannot read", tp)
        member.inbox.append(Heard("unreadable", [tp]))


def _let_go(world: World, _luck: Luck) -> None:
    for member in _alive(world):
        for worker in member.workers.values():
            worker.let_go(world.now)


def _brokers(world: World, luck: Luck) -> None:
    for member in _alive(world):
        member.core.flow.brokers(1 + luck.below(3))


def _handler(end: str, *seconds: float, wait: float = 0.0) -> Callable[[World, Luck], None]:
    """Announce how the next attempts in a partition go."""

    def announce(world: World, luck: Luck) -> None:
        tp = luck.choice(world.tps)
        for _ in range(1 + luck.below(2)):
            world.ahead[tp].append(Run(luck.choice(seconds), end, wait if luck.one_in(2) else 0.0))

    return announce


def _letter(end: str, *waits: float) -> Callable[[World, Luck], None]:
    """Announce that the next record in a partition becomes a dead letter."""

    def announce(world: World, luck: Luck) -> None:
        world.ahead[luck.choice(world.tps)].append(Run(0.0, "letter", luck.choice(waits), end))

    return announce


def _late_failure(world: World, luck: Luck) -> None:
    """Announce a handler that fails when nobody counts on it any more, and cannot be cancelled before."""
    tp = luck.choice(world.tps)
    world.ahead[tp].append(Run(luck.choice((1.5, 3.0)), luck.choice(("retry", "skip", "halt", "fatal"))))
    world.stubborn.add(tp)


def _stubborn(world: World, luck: Luck) -> None:
    world.stubborn ^= {luck.choice(world.tps)}


_EVENTS: Final[dict[str, Callable[[World, Luck], None]]] = {
    "nothing": lambda _world, _luck: None,
    "pass": _pass,
    "produce": _produce,
    "rebalance": _rebalance,
    "answer": _answer("ok"),
    "refuse": _answer("refused"),
    "silence": _answer("silence"),
    "stop": _stop,
    "kill": _kill,
    "start": _start,
    "freeze": _freeze,
    "thaw": _thaw,
    "expire": _expire,
    "unreadable": _unreadable,
    "let-go": _let_go,
    "brokers": _brokers,
    "slow": _handler("ok", 0.05, 0.3, 1.5),
    "brief": _handler("ok", 0.05, 0.2, 0.4),
    "hang": _handler("ok", 6.0, math.inf),
    "retry": _handler("retry", 0.0, 0.2, wait=0.5),
    "skip": _handler("skip", 0.0, 0.1),
    "halt": _handler("halt", 0.0, 0.1),
    "fatal": _handler("fatal", 0.0, 0.1),
    "letter": _letter("confirmed", 0.0, 0.1, 0.4),
    "letter-late": _letter("confirmed", 2.0, math.inf),
    "letter-refused": _letter("too large", 0.0, 0.4),
    "late-failure": _late_failure,
    "stubborn": _stubborn,
}

_STORMY: Final = Storm(
    weights={
        "produce": 4,
        "answer": 10,
        "rebalance": 4,
        "nothing": 4,
        "pass": 1,
        "refuse": 2,
        "silence": 1,
        "stop": 1,
        "kill": 1,
        "start": 2,
        "freeze": 1,
        "thaw": 2,
        "expire": 2,
        "unreadable": 1,
        "let-go": 1,
        "brokers": 1,
        "slow": 3,
        "hang": 1,
        "retry": 3,
        "skip": 2,
        "halt": 1,
        "fatal": 1,
        "letter": 2,
        "letter-late": 2,
        "letter-refused": 1,
        "late-failure": 2,
        "stubborn": 2,
    },
    waits=(0.0, 0.001, 0.02, 0.1, 0.2, 0.5),
    worlds=tuple(name for name, rules in WORLDS.items() if not rules.graceful),
)
_GENTLE: Final = Storm(
    weights={
        "produce": 4,
        "answer": 20,
        "rebalance": 4,
        "nothing": 4,
        "refuse": 1,
        "stop": 1,
        "start": 4,
        "brokers": 1,
        "brief": 3,
        "retry": 2,
        "skip": 2,
        "letter": 2,
    },
    waits=(0.0, 0.001, 0.02, 0.1, 0.2),
    worlds=tuple(name for name, rules in WORLDS.items() if rules.graceful),
)
"""Nothing but what a graceful life brings: rebalances, refused commits and stops with handlers that finish in time."""
STORMS: Final = {"stormy": _STORMY, "gentle": _GENTLE}


# -- and then ------------------------------------------------------------------------------------------------------


def _calm(world: World) -> None:
    """Nothing goes wrong any more: everything must come to an end by itself."""
    world.note("calm")
    for ahead in world.ahead.values():
        ahead.clear()
    world.stubborn.clear()
    until, wait = world.now + CALM_SECONDS, 0.02
    while not world.quiet:
        stuck = [(str(log.tp), log.start, log.end) for log in world.logs.values() if not log.finished]
        assert world.now < until, f"D72: stuck: {stuck}"
        # As the real loop: quick while things happen, slower while nothing comes of it.
        wait = 0.002 if any(member.requests for member in world.members) else min(wait * 2, 0.2)
        _bring_in_order(world)
        world.pass_time(wait)
        world.rounds()


def _bring_in_order(world: World) -> None:
    group = world.group
    for member in world.members:
        if not member.alive:
            member.start()
        member.frozen = False
        for worker in member.workers.values():
            if worker.stuck or worker.ends_at > world.now + 1:
                worker.let_go(world.now)
        while member.requests:
            world.answer_commit(member, "ok")
        if not member.known:
            world.heartbeat(member)
    mine = {member.membership.id for member in world.members}
    for member_id in [member_id for member_id in group.members if member_id not in mine]:
        group.expire(member_id)
    halted = world.halted()
    if (group.rebalance_due or halted) and not group.waiting:
        group.rebalance(world.luck, world.now, halted)
