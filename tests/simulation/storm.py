"""A run from a seed: a storm of everything that can happen, then calm, after which nothing may be left undone."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from humus.queue.kafka._message import TopicPartition
from tests.simulation.world import Handlers, Rules, World

__all__ = ["GENTLE", "Storm", "run"]

CALM_SECONDS = 300.0
"""Simulated seconds after which everything must be handled and committed."""


@dataclass(frozen=True, slots=True)
class Storm:
    """How often what happens, as weights, and how handlers behave meanwhile."""

    steps: int = 250
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "nothing": 20,
            "produce": 4,
            "assign": 4,
            "revoke": 2,
            "lose": 0.4,
            "remove": 0.4,
            "other member": 2,
            "answer": 12,
            "refuse": 2,
            "silence": 0.4,
            "stop": 0.3,
            "kill": 0.3,
            "unreadable": 0.2,
            "let go": 1,
            "brokers": 0.5,
        }
    )
    handlers: Handlers = field(
        default_factory=lambda: Handlers(
            seconds={(0.0, 0.002): 50, (0.0, 0.05): 10, (0.1, 2.0): 2, (3.0, 30.0): 0.3, (math.inf, math.inf): 0.1},
            ends={"ok": 100, "retry": 3, "skip": 2, "halt": 0.3, "fatal": 0.2},
            swallow=0.5,
        )
    )


GENTLE = Storm(
    weights={
        "nothing": 20,
        "produce": 4,
        "assign": 4,
        "revoke": 2,
        "other member": 2,
        "answer": 30,
        "refuse": 2,
        "stop": 0.3,
        "brokers": 0.5,
    },
    handlers=Handlers(
        seconds={(0.0, 0.002): 50, (0.0, 0.05): 10, (0.1, 0.5): 2},
        ends={"ok": 100, "retry": 3, "skip": 2, "halt": 0.3},
    ),
)
"""Nothing but what a graceful life brings: rebalances and stops with handlers that finish in time."""


def run(seed: int, rules: Rules, storm: Storm) -> World:
    """Run one seed to its end; return the world as it is then.

    Raises:
        AssertionError: a guarantee does not hold; its text has the seed and all that happened.
    """
    world = World(rules, Random(seed))  # noqa: S311 - a run that can be repeated
    try:
        world.handlers = storm.handlers
        for _ in range(storm.steps):
            _step(world, storm)
        _calm(world)
    except Exception as error:
        history = "\n".join(world.history[-400:])
        raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}\n{history}") from error
    return world


def _step(world: World, storm: Storm) -> None:
    [what] = world.random.choices(list(storm.weights), list(storm.weights.values()))
    _EVENTS[what](world)
    # Rounds of the real loop are never further apart than its longest wait.
    world.pass_time(world.random.choice((0.0, 0.001, 0.002, 0.02, 0.1, 0.2)))
    if world.random.random() < 0.9:
        world.round()
    if world.stopped:
        world.after_stop()
    if world.removed and not world.rebalancing and world.random.random() < 0.1:
        _notice_removal(world)


def _notice_removal(world: World) -> None:
    """Let the heartbeat tell that the member was removed; it joins again, with nothing of its own."""
    if world.client.assigned:
        world.happen("lost", world.client.assigned)
    else:
        world.removed = False


def _some(world: World, among: Sequence[TopicPartition]) -> list[TopicPartition]:
    return world.random.sample(among, world.random.randint(1, len(among))) if among else []


# -- what happens in a storm: each looks first whether it can -----------------------------------------------------


def _produce(world: World) -> None:
    random = world.random
    log = random.choice(list(world.logs.values()))
    log.append(random.choice((0, 0, 1, 5)), random.randint(0, 60), random.choice((0, 0, 1, 2)))
    world.note(f"{log.tp} has {len(log.records)} records, its end is {log.end}")


def _assign(world: World) -> None:
    if world.steady:
        world.happen("assigned", _some(world, world.free()))


def _revoke(world: World) -> None:
    if world.steady and world.client.assigned:
        world.happen("revoked", _some(world, list(world.client.assigned)))


def _lose(world: World) -> None:
    mine = list(world.client.assigned)
    if world.steady and mine:
        world.happen("lost", mine)
        if world.random.random() < 0.5:  # and some come back within the same call
            world.happen("assigned", _some(world, mine))


def _remove(world: World) -> None:
    if not world.removed and world.client.assigned and not world.rebalance_queued:
        world.remove_member()


def _other_member(world: World) -> None:
    theirs = [*world.free(), *(world.client.assigned if world.removed else ())]
    if theirs:
        world.other_member(world.random.choice(theirs), world.random.randint(0, 20))


def _answer(how: str) -> Callable[[World], None]:
    def answer(world: World) -> None:
        if world.requests:
            world.answer_commit(how)

    return answer


def _stop(world: World) -> None:
    if not world.core.stopping:
        world.stop()


def _unreadable(world: World) -> None:
    if world.steady and world.client.assigned:
        world.happen("unreadable", [world.random.choice(list(world.client.assigned))])


def _let_go(world: World) -> None:
    for worker in world.workers.values():
        worker.let_go(world.now)


_EVENTS: dict[str, Callable[[World], None]] = {
    "nothing": lambda _world: None,
    "produce": _produce,
    "assign": _assign,
    "revoke": _revoke,
    "lose": _lose,
    "remove": _remove,
    "other member": _other_member,
    "answer": _answer("ok"),
    "refuse": _answer("refused"),
    "silence": _answer("silence"),
    "stop": _stop,
    "kill": World.kill,
    "unreadable": _unreadable,
    "let go": _let_go,
    "brokers": lambda world: world.core.flow.brokers(world.random.randint(1, 3)),
}


# -- and then ------------------------------------------------------------------------------------------------------


def _calm(world: World) -> None:
    """Nothing goes wrong any more: everything must come to an end by itself."""
    world.note("calm")
    world.handlers = Handlers()
    until = world.now + CALM_SECONDS
    while not world.quiet():
        assert world.now < until, f"stuck: {world.core.views()}"
        for worker in world.workers.values():
            if worker.ends_at > world.now + 1:
                worker.let_go(world.now)
        while world.requests:
            world.answer_commit("ok")
        if not world.rebalancing:
            _rebalance_in_calm(world)
        world.pass_time(0.02)
        world.round()
        if world.stopped:
            world.after_stop()


def _rebalance_in_calm(world: World) -> None:
    """Bring every partition to this member, and those that halted back for another try."""
    halted = [view.tp for view in world.core.views() if view.state == "halted"]
    if world.removed:
        _notice_removal(world)
    elif world.core.stopping:
        return
    elif halted:
        world.happen("revoked", halted)
    elif world.free():
        world.happen("assigned", world.free())
